# Residuals, leverage, influence and normal quantiles: Rscript tests/reference/diagnostics.R writes diagnostics.json, from
# patients.csv, recurrences.csv and three_arms.csv. R's own functions where they exist; changes of coefficients by leaving
# a unit out and fitting again (refit), or by the weighted least squares of the other units at the fitted covariance.
suppressMessages({library(MASS); library(nlme); library(lme4); library(survival); library(splines); library(numDeriv); library(jsonlite)})
here <- "tests/reference"
d <- read.csv(file.path(here, "patients.csv"), stringsAsFactors = TRUE)
out <- list(R = R.version.string, survival = as.character(packageVersion("survival")), lme4 = as.character(packageVersion("lme4")))

f <- lm(BASE ~ ARM + SITE + WEEKS, d, weights = WEEKS)
i <- influence.measures(f)
out$lm <- list(hat = hatvalues(f), cook = cooks.distance(f), dfbeta = dfbeta(f), dfbetas = dfbetas(f), rstandard = rstandard(f), rstudent = rstudent(f))
q <- qqnorm(rstudent(f), plot.it = FALSE)
out$lm$normal <- sort(q$x)
out$lm$straightness <- cor(q$x, q$y)^2

tight <- glm.control(epsilon = 1e-15, maxit = 200)
left_out <- function(fit, who, again) t(sapply(who, function(i) coef(fit) - coef(again(i))))
of_glm <- function(f, dispersion, again) {
  X <- model.matrix(f); W <- f$weights; r <- residuals(f, "pearson"); h <- hatvalues(f)
  list(pearson = r, deviance = residuals(f, "deviance"), rstandard = rstandard(f), hat = h,
       cook = cooks.distance(f), dfbeta = t(solve(t(X) %*% (X * W), t(X * (sqrt(W) * r / (1 - h))))), refit = left_out(f, c(1, 7, 60), again))
}
g <- glm(RESP ~ ARM + BASE + SITE, binomial, d, control = tight)
out$logistic <- of_glm(g, 1, function(i) glm(RESP ~ ARM + BASE + SITE, binomial, d[-i, ], control = tight))
g <- glm(EVENTS ~ ARM + BASE + offset(log(WEEKS)), poisson, d, control = tight)
out$poisson <- of_glm(g, 1, function(i) glm(EVENTS ~ ARM + BASE + offset(log(WEEKS)), poisson, d[-i, ], control = tight))
g <- glm(EVENTS ~ ARM + BASE + offset(log(WEEKS)), quasipoisson, d, control = tight)
out$quasi <- list(cook = cooks.distance(g), rstandard = rstandard(g))
nb <- function(x) glm.nb(EVENTS ~ ARM + BASE + offset(log(WEEKS)), x, control = glm.control(epsilon = 1e-14, maxit = 500))
g <- nb(d)
out$negative_binomial <- list(deviance = residuals(g, "deviance"), pearson = residuals(g, "pearson"), hat = hatvalues(g), cook = cooks.distance(g))

end <- coxph.control(eps = 1e-11, toler.chol = 1e-12, iter.max = 50)
of_cox <- function(f, who, again) {
  b <- residuals(f, "dfbeta", weighted = TRUE)
  V <- if (is.null(f$naive.var)) f$var else f$naive.var
  list(dfbeta = b, dfbetas = sweep(b, 2, sqrt(diag(V)), "/"), cook = rowSums((b %*% solve(V)) * b) / ncol(b), refit = left_out(f, who, again),
       deviance = residuals(f, "deviance"))
}
c1 <- coxph(Surv(WEEKS, RESP) ~ ARM + BASE + strata(SITE), d, control = end)
out$cox <- of_cox(c1, c(1, 7, 60), function(i) coxph(Surv(WEEKS, RESP) ~ ARM + BASE + strata(SITE), d[-i, ], control = end))
c0 <- coxph(Surv(WEEKS, RESP) ~ ARM + BASE, d, control = end)
z <- cox.zph(c0, "identity", terms = FALSE)
y <- residuals(c0, "scaledsch")[, 2]; x <- as.numeric(rownames(residuals(c0, "scaledsch")))
p <- predict(lm(y ~ ns(x, 3)), interval = "confidence")
out$drift <- list(time = x, residual = unname(y), mean = unname(p[, 1]), low = unname(p[, 2]), high = unname(p[, 3]), chisq = unname(z$table[, 1]))
e <- read.csv(file.path(here, "recurrences.csv"), stringsAsFactors = TRUE)
c2 <- coxph(Surv(START, STOP, EVENT) ~ ARM + X, e, cluster = ID, control = end)
b <- residuals(c2, "dfbeta", collapse = e$ID)
ids <- levels(e$ID)[c(1, 4, 9)]
out$clusters <- list(dfbeta = unname(b), cook = unname(rowSums((b %*% solve(c2$naive.var)) * b) / 2),
  refit = t(sapply(ids, function(k) coef(c2) - coef(coxph(Surv(START, STOP, EVENT) ~ ARM + X, e[e$ID != k, ], control = end)))))

v <- na.omit(read.csv(file.path(here, "three_arms.csv"))[c("USUBJID", "TRT01P", "BASE", "AVISITN", "CHG")])
v <- transform(v, ID = factor(USUBJID), ARM = factor(TRT01P, c("placebo", "low", "high")), X = BASE, T = AVISITN / 4, VALUE = CHG)
v <- v[order(v$ID, v$T), ]
held <- function(X, y, V, id) { # V: covariance of all rows; the coefficients of the other subjects at it
  W <- solve(V); A <- t(X) %*% W %*% X; b <- solve(A, t(X) %*% W %*% y)
  D <- t(sapply(levels(id), function(k) { o <- id != k; Wo <- solve(V[o, o]); b - solve(t(X[o, , drop = FALSE]) %*% Wo %*% X[o, , drop = FALSE], t(X[o, , drop = FALSE]) %*% Wo %*% y[o]) }))
  h <- sapply(levels(id), function(k) { o <- id == k; sum(diag(solve(A) %*% t(X[o, , drop = FALSE]) %*% solve(V[o, o]) %*% X[o, , drop = FALSE])) })
  list(dfbeta = unname(D), cook = unname(rowSums((D %*% A) * D) / ncol(X)), dfbetas = unname(sweep(D, 2, sqrt(diag(solve(A))), "/")), leverage = unname(h))
}
polished <- function(start, V, X, y) { # the restricted likelihood's optimum by Newton's steps from an optimiser's
  f <- function(u) { S <- V(u); W <- solve(S); A <- t(X) %*% W %*% X; r <- y - X %*% solve(A, t(X) %*% W %*% y)
    c(determinant(S)$modulus + determinant(A)$modulus + t(r) %*% W %*% r) / 2 }
  for (k in 1:4) start <- start - solve(hessian(f, start), grad(f, start))
  stopifnot(max(abs(grad(f, start))) < 1e-6)
  start
}
at <- function(X, y, V) c(solve(t(X) %*% solve(V, X), t(X) %*% solve(V, y)))
of_mixed <- function(start, V, X, y, id, who) { # V: of parameters and the rows' numbers
  u <- polished(start, function(u) V(u, seq_along(y)), X, y)
  b <- at(X, y, V(u, seq_along(y)))
  again <- t(sapply(who, function(k) { o <- which(id != k); w <- polished(u, function(u) V(u, o), X[o, ], y[o]); b - at(X[o, ], y[o], V(w, o)) }))
  c(held(X, y, V(u, seq_along(y)), id), list(who = who, refit = again), list(u = u))
}
ids <- levels(v$ID)[c(2, 5, 20)]
fine <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-13, maxfun = 1e5), calc.derivs = FALSE)
l <- lmer(VALUE ~ ARM * T + X + (T | ID), v, control = fine)
same <- outer(v$ID, v$ID, "==")
random <- function(u, o) { L <- matrix(c(u[1:2], 0, u[3]), 2); Z <- cbind(1, v$T[o]); (Z %*% L %*% t(L) %*% t(Z)) * same[o, o] + exp(u[4]) * diag(length(o)) }
L <- getME(l, "theta") * sigma(l)
X <- getME(l, "X")
s <- of_mixed(c(L, 2 * log(sigma(l))), random, X, v$VALUE, v$ID, ids)
L <- matrix(c(s$u[1:2], 0, s$u[3]), 2)
V <- random(s$u, seq_len(nrow(v)))
r <- solve(V, v$VALUE - X %*% at(X, v$VALUE, V))
B <- t(sapply(levels(v$ID), function(k) { o <- v$ID == k; L %*% t(L) %*% t(cbind(1, v$T[o])) %*% r[o] }))
stopifnot(max(abs(B - as.matrix(ranef(l)$ID))) < 1e-3)
s$qq <- apply(B, 2, function(u) list(normal = sort(qqnorm(u, plot.it = FALSE)$x), value = sort(u)))
out$slope <- s[names(s) != "u"]
m <- gls(VALUE ~ ARM * factor(T) + X, v, corCompSymm(form = ~ 1 | ID), weights = varIdent(form = ~ 1 | T))
visit <- as.integer(factor(v$T))
csh <- function(u, o) { d <- exp(u[visit[o]]); R <- same[o, o] * u[length(u)]; diag(R) <- 1; R * outer(d, d) }
deviations <- sigma(m) * c(1, exp(unlist(m$modelStruct$varStruct)))[match(levels(factor(v$T)), c(setdiff(levels(factor(v$T)), names(coef(m$modelStruct$varStruct))), names(coef(m$modelStruct$varStruct))))]
rho <- coef(m$modelStruct$corStruct, unconstrained = FALSE)
s <- of_mixed(unname(c(log(deviations), rho)), csh, model.matrix(~ ARM * factor(T) + X, v), v$VALUE, v$ID, ids)
out$csh <- s[names(s) != "u"]
fifth <- seq(1, nrow(d), 5) # of the patients every fifth is kept
strip <- function(x) {
  if (is.list(x)) return(lapply(x, strip))
  if (NROW(x) == nrow(d)) x <- if (is.matrix(x)) x[fifth, ] else x[fifth]
  if (is.matrix(x)) dimnames(x) <- NULL
  unname(x)
}
write_json(strip(out), file.path(here, "diagnostics.json"), digits = NA, auto_unbox = TRUE)
