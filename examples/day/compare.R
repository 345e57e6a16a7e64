# Analysis of covariance and Cox model of the day, in R, beside results.csv: Rscript compare.R FIXTURES RESULTS
given <- commandArgs(trailingOnly = TRUE)
subjects <- read.csv(file.path(given[1], "trial_subjects.csv"))
visits <- read.csv(file.path(given[1], "trial_visits.csv"))
ours <- read.csv(file.path(given[2], "results.csv"))
number <- function(key) ours$estimate[ours$key == key]

subjects$TRT01P <- factor(subjects$TRT01P, c("Placebo", "Active"))
last <- visits[visits$AVISITN == 28, ]
last$TRT01P <- factor(last$TRT01P, c("Placebo", "Active"))
fit <- lm(CHG ~ TRT01P + BASE + ONSETMO + RILFL, last)
beside <- data.frame(
  what = "difference at week 28", R = coef(fit)[["TRT01PActive"]], here = number("difference:2:s2:Active")
)
if (requireNamespace("survival", quietly = TRUE)) {
  cox <- survival::coxph(survival::Surv(TTEWK, EVENT) ~ TRT01P + ONSETMO + RILFL, subjects)
  beside <- rbind(beside, data.frame(
    what = "hazard ratio", R = exp(coef(cox)[["TRT01PActive"]]), here = number("hazard_ratio:4:Active")
  ))
}
print(beside, digits = 8)
stopifnot(abs(beside$R - beside$here) < 1e-6)
cat("equal within 1e-6\n")
