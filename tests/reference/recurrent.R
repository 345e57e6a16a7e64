# Reference results for repeated events on recurrences.csv: Rscript tests/reference/recurrent.R writes recurrent.json.
suppressMessages({library(survival); library(jsonlite)})
here <- "tests/reference"
d <- read.csv(file.path(here, "recurrences.csv"), stringsAsFactors = TRUE)
out <- list(R = R.version.string, survival = as.character(packageVersion("survival")))
tight <- coxph.control(eps = 1e-14, iter.max = 100)
for (ties in c("efron", "breslow")) {
  a <- coxph(Surv(START, STOP, EVENT) ~ ARM + X, d, ties = ties, control = tight)
  l <- coxph(Surv(START, STOP, EVENT) ~ ARM + X, d, ties = ties, cluster = ID, control = tight)
  out[[ties]] <- list(beta = unname(coef(a)), se = unname(sqrt(diag(vcov(a)))), robust = unname(sqrt(diag(vcov(l)))))
}
for (arm in c("a", "b")) {
  f <- survfit(Surv(START, STOP, EVENT) ~ 1, d[d$ARM == arm, ], id = ID, robust = TRUE)
  s <- summary(f, times = c(10, 20, 30))
  out$mean[[arm]] <- list(mean = s$cumhaz, se = s$std.chaz)
}
write_json(out, file.path(here, "recurrent.json"), digits = NA, auto_unbox = TRUE, pretty = TRUE)
