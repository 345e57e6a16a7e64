# Slopes by arm and comparisons of fits on three_arms.csv: Rscript tests/reference/trends.R writes trends.json.
# Slopes by emmeans, of lm and of lmerTest's lmer with Satterthwaite's df (of a curve with a step of 1e-7, as emmeans takes
# the slope to the right); likelihoods by nlme and stats.
suppressMessages({library(emmeans); library(nlme); library(jsonlite)})
here <- "tests/reference"
d <- na.omit(read.csv(file.path(here, "three_arms.csv"))[c("USUBJID", "TRT01P", "BASE", "AVISITN", "CHG")])
d <- transform(d, ID = USUBJID, ARM = factor(TRT01P, c("placebo", "low", "high")), X = BASE, T = AVISITN / 4, VALUE = CHG)
of <- function(x) { s <- as.data.frame(x); names(s)[names(s) %in% c("T.trend", "X.trend")] <- "estimate"; list(estimate = s$estimate, se = s$SE, df = s$df) }
out <- list(R = R.version.string, emmeans = as.character(packageVersion("emmeans")), nlme = as.character(packageVersion("nlme")))
m <- lm(VALUE ~ ARM * T + X, d)
e <- emtrends(m, "ARM", var = "T")
out$lm <- list(slopes = of(e), pairs = of(pairs(e, reverse = TRUE)), proportional = of(emtrends(m, "ARM", var = "T", weights = "proportional")))
q <- lm(VALUE ~ ARM * (T + I(T^2)) + X, d)
out$quadratic <- list(mean = of(emtrends(q, "ARM", var = "T", delta.var = 1e-7)), at3 = of(emtrends(q, "ARM", var = "T", delta.var = 1e-7, at = list(T = 3))))
g <- emtrends(m, "ARM", var = "T")
out$tukey <- as.data.frame(pairs(g, adjust = "tukey", reverse = TRUE))$p.value
tight <- lmeControl(opt = "nlminb", msTol = 1e-14, tolerance = 1e-12, maxIter = 500, msMaxIter = 1000, msMaxEval = 2000)
fine <- lme4::lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-13, maxfun = 1e5), calc.derivs = FALSE)
l <- lmerTest::lmer(VALUE ~ ARM * T + X + (T | ID), d, control = fine)
out$lmer <- of(emtrends(l, "ARM", var = "T", mode = "satterthwaite"))
fits <- list(small = lme(VALUE ~ T + X, d, ~ 1 | ID, method = "ML", control = tight), arm = lme(VALUE ~ ARM * T + X, d, ~ 1 | ID, method = "ML", control = tight))
a <- anova(fits$small, fits$arm)
out$ml <- list(loglik = a$logLik, aic = a$AIC, parameters = a$df, ratio = a$L.Ratio[2], p = a$`p-value`[2])
r <- list(small = lme(VALUE ~ ARM * T, d, ~ 1 | ID, control = tight), large = lme(VALUE ~ ARM * T, d, ~ T | ID, control = tight))
b <- anova(r$small, r$large)
out$reml <- list(loglik = b$logLik, ratio = b$L.Ratio[2], p = b$`p-value`[2])
k <- list(lm(VALUE ~ T, d), lm(VALUE ~ T + ARM + X, d))
out$ls <- list(loglik = sapply(k, function(f) as.numeric(logLik(f))), aic = sapply(k, AIC), bic = sapply(k, BIC))
write_json(out, file.path(here, "trends.json"), digits = NA, auto_unbox = TRUE, pretty = TRUE)
