# Interactions over all arms and trends over levels: Rscript tests/reference/subgroups.R writes subgroups.json, from
# three_arms.csv at week 12, in three groups of baseline. F tests of lm, likelihood ratio tests of coxph, Cochran's Q.
suppressMessages({library(survival); library(jsonlite)})
here <- "tests/reference"
d <- read.csv(file.path(here, "three_arms.csv")); d <- d[d$AVISITN == 12, ]
d <- transform(d, A = factor(TRT01P, c("placebo", "low", "high")), K = 1 + (BASE > 38) + (BASE > 42)); d$G <- factor(d$K)
f <- function(small, large) { a <- anova(small, large); list(statistic = a$F[2], df = a$Df[2], p = a$`Pr(>F)`[2]) }
lr <- function(small, large) { x <- 2 * (large$loglik[2] - small$loglik[2]); k <- sum(!is.na(coef(large))) - sum(!is.na(coef(small)))
  list(statistic = x, df = k, p = pchisq(x, k, lower.tail = FALSE)) }
tests <- function(d) {
  S <- Surv(d$TIME, d$CNSR == 0)
  list(difference = list(interaction = f(lm(FULL ~ A + G, d), lm(FULL ~ A * G, d)), trend = f(lm(FULL ~ A + G, d), lm(FULL ~ A + G + A:K, d))),
       hazard_ratio = list(interaction = lr(coxph(S ~ A + G, d), coxph(S ~ A * G, d)), trend = lr(coxph(S ~ A + G, d), coxph(S ~ A + G + A:K, d))))
}
out <- list(R = R.version.string, all = tests(d), high = tests(droplevels(d[d$A != "low", ])))
# risk difference of FULL above -2, high against placebo, in each group: Q and trend
e <- sapply(1:3, function(k) { x <- with(d[d$K == k & d$A != "low", ], tapply(FULL > -2, droplevels(A), function(v) c(mean(v), length(v))))
  c(x$high[1] - x$placebo[1], x$high[1] * (1 - x$high[1]) / x$high[2] + x$placebo[1] * (1 - x$placebo[1]) / x$placebo[2]) })
w <- 1 / e[2, ]; m <- weighted.mean(e[1, ], w); q <- sum(w * (e[1, ] - m)^2)
z <- coef(summary(lm(e[1, ] ~ I(1:3), weights = w))); s <- sum(w * (1:3 - weighted.mean(1:3, w))^2)
out$binary <- list(difference = e[1, ], variance = e[2, ], q = q, q_p = pchisq(q, 2, lower.tail = FALSE), trend = z[2, 1]^2 * s,
                   trend_p = pchisq(z[2, 1]^2 * s, 1, lower.tail = FALSE))
write_json(out, file.path(here, "subgroups.json"), digits = NA, auto_unbox = TRUE, pretty = TRUE)
