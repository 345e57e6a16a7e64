# Models with an offset: Rscript tests/reference/offset.R writes offset.json, from patients.csv. R's stats,
# emmeans, and MASS's polr polished by Newton's steps on its likelihood.
suppressMessages({library(MASS); library(emmeans); library(numDeriv); library(jsonlite)})
here <- "tests/reference"
d <- read.csv(file.path(here, "patients.csv"), stringsAsFactors = TRUE)
f <- lm(BASE ~ ARM + SITE + EVENTS + offset(log(WEEKS)), d)
means <- as.data.frame(emmeans(f, "ARM"))
new <- predict(f, d[1:3, ], interval = "prediction")
out <- list(lm = list(beta = unname(coef(f)), se = unname(sqrt(diag(vcov(f)))), loglik = as.numeric(logLik(f)), fitted = unname(fitted(f)[1:5]),
                      residual = unname(resid(f)[1:5]), means = means$emmean, se_means = means$SE,
                      difference = as.data.frame(pairs(emmeans(f, "ARM"), reverse = TRUE))$estimate, predicted = unname(new[, 1]), low = unname(new[, 2])))
y <- factor(d$GRADE); X <- model.matrix(~ ARM + BASE, d)[, -1]; o <- d$WEEKS / 50
l <- function(u) { k <- nlevels(y) - 1; p <- ncol(X); e <- c(X %*% u[1:p]) + o
  up <- cbind(sapply(1:k, function(j) plogis(u[p + j] - e)), 1); low <- cbind(0, up[, 1:k])
  -sum(log((up - low)[cbind(seq_along(e), as.integer(y))])) }
m <- polr(y ~ ARM + BASE + offset(WEEKS / 50), d)
u <- unname(c(coef(m), m$zeta))
for (k in 1:4) u <- u - solve(hessian(l, u), grad(l, u))
stopifnot(max(abs(u - c(coef(m), m$zeta))) < 1e-3)
out$polr <- list(beta = u[1:2], se = sqrt(diag(solve(hessian(l, u))))[1:2], loglik = -l(u))
write_json(out, file.path(here, "offset.json"), digits = NA, auto_unbox = TRUE, pretty = TRUE)
