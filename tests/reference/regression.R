# Reference results for regressions of yes or no, of ordered answers and of counts, on patients.csv:
# Rscript tests/reference/regression.R writes regression.json. R's stats and MASS at their optimum; profile limits by
# uniroot on the deviance; Firth's estimate from its modified score by Newton's steps; standardised effects by numDeriv.
suppressMessages({library(MASS); library(jsonlite); library(numDeriv); library(sandwich)})
here <- "tests/reference"
d <- read.csv(file.path(here, "patients.csv"), stringsAsFactors = TRUE)
out <- list(R = R.version.string, MASS = as.character(packageVersion("MASS")))
tight <- glm.control(epsilon = 1e-15, maxit = 200)
cut <- qchisq(0.95, 1) / 2

f <- glm(RESP ~ ARM + BASE + SITE, binomial, d, control = tight)
X <- model.matrix(f)
out$logistic <- list(beta = unname(coef(f)), se = unname(sqrt(diag(vcov(f)))), loglik = as.numeric(logLik(f)),
                     HC0 = unname(sqrt(diag(sandwich(f)))), HC3 = unname(sqrt(diag(vcovHC(f, "HC3")))))
profile_of <- function(j) { # limits of coefficient j where the log-likelihood has lost the quantile
  l <- function(b) as.numeric(logLik(glm.fit2(b, j)))
  g <- function(b) as.numeric(logLik(f)) - l(b) - cut
  s <- sqrt(vcov(f)[j, j]); b <- coef(f)[j]
  c(uniroot(g, c(b - 4 * s, b), tol = 1e-13)$root, uniroot(g, c(b, b + 4 * s), tol = 1e-13)$root,
    pchisq(2 * (as.numeric(logLik(f)) - l(0)), 1, lower.tail = FALSE))
}
glm.fit2 <- function(b, j) glm(d$RESP ~ X[, -j] - 1 + offset(X[, j] * b), family = binomial, control = tight)
out$logistic$profile <- rbind(profile_of(2), profile_of(3))

# standardised shares: Ge et al. 2011 by the delta method, Ye et al. 2023 from its definition
mu <- function(b, arm) { Y <- X; Y[, 2] <- arm; plogis(Y %*% b)[, 1] }
m <- function(b) c(mean(mu(b, 0)), mean(mu(b, 1)))
J <- jacobian(m, coef(f)); V <- J %*% vcov(f) %*% t(J); s <- m(coef(f))
se <- function(g, V) { k <- grad(g, s); sqrt(c(t(k) %*% V %*% k)) }
contrasts <- function(V) list(means = sqrt(diag(V)), difference = se(function(q) q[2] - q[1], V),
  ratio = se(function(q) log(q[2] / q[1]), V), odds_ratio = se(function(q) qlogis(q[2]) - qlogis(q[1]), V))
a <- mu(coef(f), 0); b <- mu(coef(f), 1); A <- d$ARM == "a"; n <- nrow(d); y <- d$RESP
ye <- matrix(0, 2, 2)
ye[1, 1] <- var((y - a)[A]) / mean(A) + 2 * cov(y[A], a[A]) - var(a)
ye[2, 2] <- var((y - b)[!A]) / mean(!A) + 2 * cov(y[!A], b[!A]) - var(b)
ye[1, 2] <- ye[2, 1] <- cov(y[A], b[A]) + cov(y[!A], a[!A]) - cov(a, b)
out$marginal <- list(means = s, ge = contrasts(V), ye = contrasts(ye / n))

# Firth: the modified score of Heinze & Schemper, also with a coefficient held for profile limits
Z <- model.matrix(~ ARM + BASE, d); r <- d$RARE
penalised <- function(b) { e <- Z %*% b; p <- plogis(e)
  sum(r * e - log1p(exp(e))) + 0.5 * determinant(t(Z) %*% (Z * c(p * (1 - p))))$modulus }
score <- function(b) { p <- plogis(Z %*% b)[, 1]; w <- p * (1 - p); I <- t(Z) %*% (Z * w)
  h <- rowSums((Z %*% solve(I)) * Z) * w; c(t(Z) %*% (r - p + h * (0.5 - p))) }
solved <- function(j = NULL, at = 0, start) {
  free <- setdiff(1:3, j); b <- start; b[j] <- at
  for (i in 1:500) { p <- plogis(Z %*% b)[, 1]; I <- (t(Z) %*% (Z * p * (1 - p)))[free, free]
    step <- solve(I, score(b)[free]); step <- step * min(1, 0.5 / max(abs(step))); b[free] <- b[free] + step
    if (max(abs(step)) < 1e-13) break }
  b
}
beta <- solved(start = c(-3, 0, 0)); stopifnot(max(abs(score(beta))) < 1e-8)
p <- plogis(Z %*% beta)[, 1]; v <- sqrt(diag(solve(t(Z) %*% (Z * p * (1 - p)))))
lim <- function(j) { g <- function(x) c(penalised(beta) - penalised(solved(j, x, beta))) - cut
  far <- beta[j] + 3 * v[j]; while (g(far) < 0) far <- far + v[j]
  near <- beta[j] - 3 * v[j]; while (g(near) < 0) near <- near - v[j]
  c(uniroot(g, c(near, beta[j]), tol = 1e-12)$root, uniroot(g, c(beta[j], far), tol = 1e-12)$root,
    pchisq(2 * c(penalised(beta) - penalised(solved(j, 0, beta))), 1, lower.tail = FALSE)) }
out$firth <- list(beta = beta, se = v, profile = rbind(lim(2), lim(3)))

# counts
g <- glm(EVENTS ~ ARM + BASE + offset(log(WEEKS)), poisson, d, control = tight)
pearson <- sum(residuals(g, "pearson")^2) / g$df.residual
out$poisson <- list(beta = unname(coef(g)), se = unname(sqrt(diag(vcov(g)))), loglik = as.numeric(logLik(g)),
                    dispersion = pearson, HC0 = unname(sqrt(diag(sandwich(g)))))
q <- glm.nb(EVENTS ~ ARM + BASE + offset(log(WEEKS)), d, control = glm.control(epsilon = 1e-15, maxit = 500))
th <- q$theta; be <- coef(q)
W <- model.matrix(~ ARM + BASE, d)
for (i in 1:200) { # MASS stops theta early: on, alternately, to rounding
  th <- theta.ml(d$EVENTS, exp(W %*% be + log(d$WEEKS))[, 1], limit = 200, eps = 1e-14)
  q2 <- glm(EVENTS ~ ARM + BASE + offset(log(WEEKS)), negative.binomial(as.numeric(th)), d, control = tight, start = be)
  if (max(abs(coef(q2) - be)) < 1e-13) break
  be <- coef(q2)
}
mu2 <- fitted(q2); info <- t(W) %*% (W * (mu2 / (1 + mu2 / as.numeric(th))))
out$negative_binomial <- list(beta = unname(be), se = unname(sqrt(diag(solve(info)))), theta = as.numeric(th), theta_se = attr(th, "SE"),
  loglik = sum(dnbinom(d$EVENTS, size = as.numeric(th), mu = mu2, log = TRUE)))
e <- tapply(d$EVENTS, d$ARM, sum); t <- tapply(d$WEEKS, d$ARM, sum)
pt <- poisson.test(c(e["b"], e["a"]), c(t["b"], t["a"]))
out$rates <- list(a = unname(c(e["a"] / t["a"], poisson.test(e["a"], t["a"])$conf.int)), ratio = unname(c(pt$estimate, pt$conf.int, pt$p.value)))
rs <- function(dl, target) { x1 <- e["b"]; x0 <- e["a"]; t1 <- t["b"]; t0 <- t["a"]
  l <- function(r0) (x1 / (r0 + dl) - t1) + (x0 / r0 - t0) # derivative of the likelihood under the null
  r0 <- uniroot(l, c(max(0, -dl) + 1e-12, 5), tol = 1e-16, maxiter = 5000)$root
  (x1 / t1 - x0 / t0 - dl) / sqrt((r0 + dl) / t1 + r0 / t0) - target }
dif <- e["b"] / t["b"] - e["a"] / t["a"]; z <- qnorm(0.975)
out$rates$difference <- unname(c(dif, uniroot(rs, c(dif - 0.1, dif), target = z, tol = 1e-14)$root, uniroot(rs, c(dif, dif + 0.1), target = -z, tol = 1e-14)$root, rs(0, 0)))

# proportional odds: polr's coefficients polished, their Hessian by numDeriv
k <- polr(factor(GRADE) ~ ARM + BASE, d, Hess = TRUE, control = list(reltol = 1e-15, maxit = 1000))
U <- model.matrix(~ ARM + BASE, d)[, -1]; gr <- d$GRADE
neg <- function(v) { cum <- cbind(0, plogis(outer(-c(U %*% v[1:2]), v[3:5], "+")), 1)
  -sum(log(cum[cbind(seq_along(gr), gr + 1)] - cum[cbind(seq_along(gr), gr)])) }
v0 <- c(coef(k), k$zeta)
for (i in 1:20) v0 <- v0 - solve(hessian(neg, v0), grad(neg, v0))
out$polr <- list(par = unname(v0), se = unname(sqrt(diag(solve(hessian(neg, v0))))), loglik = -neg(v0))
stopifnot(max(abs(v0 - c(coef(k), k$zeta))) < 1e-3)
# the score test of proportional odds (SAS): every cut with coefficients of its own, at the common ones
free <- function(v) { cum <- cbind(0, plogis(sweep(-U %*% matrix(v[1:6], 2), 2, v[7:9], "+")), 1)
  -sum(log(cum[cbind(seq_along(gr), gr + 1)] - cum[cbind(seq_along(gr), gr)])) }
at <- c(rep(v0[1:2], 3), v0[3:5]); S <- -grad(free, at)
expected <- matrix(0, 9, 9) # Fisher's information by summing over the answers that each patient could have given
probs <- function(v, i) { cum <- c(0, plogis(-c(U[i, ] %*% matrix(v[1:6], 2)) + v[7:9]), 1); diff(cum) }
for (i in seq_along(gr)) { D <- jacobian(function(v) probs(v, i), at); pr <- probs(at, i); expected <- expected + t(D) %*% (D / pr) }
out$proportional <- c(t(S) %*% solve(expected) %*% S)
write_json(out, file.path(here, "regression.json"), digits = NA, auto_unbox = TRUE, pretty = TRUE)
