# Three arms: Rscript tests/reference/three_arms.R makes three_arms.csv and writes three_arms.json.
# Conditional mean imputation of one repeated-measures model of all arms, from its definition (Carpenter, Roger & Kenward
# 2013; Wolbers et al. 2022): restricted likelihood by optim() and Newton's method; ANCOVA and contrasts by emmeans.
# Restricted means by survival; joint ranks and pairs from their definition.
suppressMessages({library(survival); library(emmeans); library(numDeriv); library(jsonlite)})
here <- "tests/reference"
set.seed(20261129)
n <- 72; weeks <- c(4, 8, 12); arms <- c("placebo", "low", "high")
who <- data.frame(USUBJID = sprintf("S%02d", 1:n), TRT01P = rep(arms, length.out = n), BASE = round(rnorm(n, 40, 5), 1))
who$TIME <- round(pmin(rexp(n, 1 / c(14, 20, 26)[match(who$TRT01P, arms)]), 12), 2); who$CNSR <- as.integer(who$TIME >= 12)
who$STOP <- sample(c(4, 8, 12, NA), n, TRUE, c(.05, .15, .15, .65)); who$STRATEGY <- ifelse(is.na(who$STOP), NA, "ICE")
L <- chol(matrix(c(4, 3, 2.5, 3, 5, 4, 2.5, 4, 7), 3))
y <- t(sapply(1:n, function(i) weeks * -.25 + weeks * .08 * (match(who$TRT01P[i], arms) - 1) + .05 * (who$BASE[i] - 40) + c(rnorm(3) %*% L)))
y <- round(y, 2); full <- y
for (i in 1:n) { s <- which(weeks >= ifelse(is.na(who$STOP[i]), 99, who$STOP[i])); if (length(s) > 1 || runif(1) < .5) y[i, s] <- NA }
y[cbind(sample(n, 4), c(1, 2, 1, 2))] <- NA
long <- do.call(rbind, lapply(1:3, function(v) cbind(who, AVISITN = weeks[v], CHG = y[, v], FULL = full[, v])))
long <- long[order(long$USUBJID, long$AVISITN), ]
write.csv(long, file.path(here, "three_arms.csv"), row.names = FALSE, na = "")
A <- match(who$TRT01P, arms) - 1
W <- function(a) cbind(1, a == 1, a == 2, who$BASE - mean(who$BASE))
w <- W(A); wref <- W(rep(0, n))
first <- ifelse(is.na(who$STOP), 4, match(who$STOP, weeks))
hidden <- outer(first, 1:3, "<=") # what follows an event is not seen by the imputation model
seen <- !is.na(y) & !hidden
sigma_of <- function(t) { l <- matrix(0, 3, 3); l[lower.tri(l, TRUE)] <- t; diag(l) <- exp(diag(l)); l %*% t(l) }
fit <- function(rows, start = NULL) {
  X <- lapply(rows, function(i) { x <- matrix(0, 3, 12); for (v in 1:3) x[v, (v - 1) * 4 + 1:4] <- w[i, ]; x[seen[i, ], , drop = FALSE] })
  Y <- lapply(rows, function(i) y[i, seen[i, ]]); keep <- lapply(rows, function(i) which(seen[i, ]))
  beta <- NULL
  loss <- function(t) {
    S <- sigma_of(t); XX <- matrix(0, 12, 12); XY <- numeric(12); d <- 0; yy <- 0
    for (k in seq_along(rows)) if (length(keep[[k]])) {
      V <- S[keep[[k]], keep[[k]], drop = FALSE]; R <- chol(V); d <- d + 2 * sum(log(diag(R)))
      u <- backsolve(R, X[[k]], transpose = TRUE); z <- backsolve(R, Y[[k]], transpose = TRUE)
      XX <- XX + crossprod(u); XY <- XY + crossprod(u, z); yy <- yy + sum(z^2)
    }
    R <- chol(XX); b <- backsolve(R, backsolve(R, XY, transpose = TRUE)); beta <<- c(b)
    .5 * (d + 2 * sum(log(diag(R))) + yy - sum(XY * b))
  }
  t <- if (is.null(start)) c(.5, 1, 1, .5, 1, .5) else start
  t <- optim(t, loss, method = "BFGS", control = list(reltol = 1e-14, maxit = 500))$par
  for (k in 1:3) t <- t - solve(hessian(loss, t), grad(loss, t))
  stopifnot(max(abs(grad(loss, t))) < 1e-7)
  loss(t)
  list(t = t, beta = matrix(beta, 3, 4, byrow = TRUE), sigma = sigma_of(t)) # beta: visit by covariate
}
complete <- function(f, rows, strategy) {
  t(sapply(rows, function(i) {
    own <- c(f$beta %*% w[i, ]); ref <- c(f$beta %*% wref[i, ]); mu <- own; e <- first[i]
    if (e < 4) {
      if (strategy == "JR") mu[e:3] <- ref[e:3]
      if (strategy == "CR") mu <- ref
      if (strategy == "CIR") mu[e:3] <- if (e == 1) ref else ref[e:3] + own[e - 1] - ref[e - 1]
    }
    z <- y[i, ]; k <- !is.na(z)
    if (!any(k)) return(mu)
    z[!k] <- mu[!k] + f$sigma[!k, k, drop = FALSE] %*% solve(f$sigma[k, k, drop = FALSE], z[k] - mu[k]); z
  }))
}
pairs <- list(c("low", "placebo"), c("high", "placebo"), c("high", "low"))
contrasts_of <- function(z, rows) { # differences at week 12, and standard errors of the three means and differences
  d <- data.frame(z = z, arm = factor(who$TRT01P[rows], arms), base = who$BASE[rows])
  m <- lm(z ~ arm + base, d); e <- emmeans(m, "arm")
  ct <- as.data.frame(contrast(e, list(a = c(-1, 1, 0), b = c(-1, 0, 1), c = c(0, -1, 1))))
  list(mean = as.data.frame(e)$emmean, mean_se = as.data.frame(e)$SE, difference = ct$estimate, se = ct$SE, df = ct$df)
}
whole <- fit(1:n)
mi <- list()
for (s in c("JR", "CR", "CIR")) mi[[s]] <- contrasts_of(complete(whole, 1:n, s)[, 3], 1:n)
left <- lapply(1:n, function(i) { f <- fit((1:n)[-i], whole$t); sapply(c("JR", "CR", "CIR"), function(s) {
  contrasts_of(complete(f, (1:n)[-i], s)[, 3], (1:n)[-i])$difference }) })
for (k in 1:3) { a <- sapply(left, function(x) x[, k]); mi[[k]]$jackknife <- sqrt((n - 1) / n * rowSums((a - rowMeans(a))^2)) }
# restricted means to 10, each pair
km <- survfit(Surv(TIME, CNSR == 0) ~ TRT01P, who)
tab <- summary(km, rmean = 10)$table; rownames(tab) <- sub("TRT01P=", "", rownames(tab))
rmst <- lapply(pairs, function(p) list(difference = tab[p[1], "rmean"] - tab[p[2], "rmean"], se = sqrt(tab[p[1], "se(rmean)"]^2 + tab[p[2], "se(rmean)"]^2)))
# pairs won and lost, death first, then FULL at week 12; joint ranks of each pair of arms and their ANCOVA
x <- full[, 3]; dead <- who$CNSR == 0
better <- function(i, j) {
  if (dead[j] && who$TIME[j] < who$TIME[i]) return(1); if (dead[i] && who$TIME[i] < who$TIME[j]) return(-1)
  if (dead[i] && dead[j] && who$TIME[i] == who$TIME[j]) return(sign(x[i] - x[j])); sign(x[i] - x[j])
}
wins <- lapply(pairs, function(p) {
  m <- outer(which(who$TRT01P == p[1]), which(who$TRT01P == p[2]), Vectorize(better)); list(won = sum(m > 0), lost = sum(m < 0))
})
ranks <- lapply(pairs, function(p) {
  k <- which(who$TRT01P %in% p); key <- ifelse(dead[k], -1e6 + who$TIME[k], x[k]); score <- 2 * rank(key) - (length(k) + 1)
  m <- summary(lm(score ~ I(who$TRT01P[k] == p[1]) + who$BASE[k]))$coefficients
  list(difference = m[2, 1], se = m[2, 2], p = m[2, 4])
})
out <- list(R = R.version.string, survival = as.character(packageVersion("survival")), emmeans = as.character(packageVersion("emmeans")),
            pairs = sapply(pairs, paste, collapse = " - "), mi = mi, rmst = rmst, wins = wins, joint_rank = ranks)
write_json(out, file.path(here, "three_arms.json"), digits = NA, auto_unbox = TRUE, pretty = TRUE)
