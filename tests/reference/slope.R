# AIC of a random intercept under maximum likelihood, on visits.csv: Rscript tests/reference/slope.R writes slope.json.
suppressMessages({library(nlme); library(jsonlite)})
here <- "tests/reference"
d <- read.csv(file.path(here, "visits.csv"), stringsAsFactors = TRUE)
f <- lme(VALUE ~ ARM * VISIT, d, ~ 1 | ID, method = "ML")
l <- logLik(f)
write_json(list(nlme = as.character(packageVersion("nlme")), loglik = as.numeric(l), parameters = attr(l, "df"), aic = AIC(f)),
           file.path(here, "slope.json"), digits = NA, auto_unbox = TRUE, pretty = TRUE)
