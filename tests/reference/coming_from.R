# The R code of docs/coming-from, run on small_trial.csv: Rscript tests/reference/coming_from.R writes coming_from.json, the
# code that ran and its figures. Blocks of a page run in order; the names that they leave are read below.
suppressMessages({library(survival); library(emmeans); library(jsonlite)})
page <- function(name) {
  lines <- readLines(file.path("docs/coming-from", paste0(name, ".md")))
  inside <- FALSE; code <- character()
  for (line in lines) {
    if (line == "```r") inside <- TRUE else if (line == "```") inside <- FALSE else if (inside) code <- c(code, line)
  }
  env <- new.env()
  env$trial <- read.csv("tests/reference/small_trial.csv")
  eval(parse(text = code), env)
  env$code <- code
  env
}
ems <- function(x) { s <- as.data.frame(x); list(estimate = s[[intersect(c("emmean", "estimate", "BASE.trend"), names(s))[1]]], se = s$SE, df = s$df) }
p_of <- function(x) c(ems(x), list(p = as.data.frame(x)$p.value))
e <- page("emmeans")
out <- list(versions = list(R = R.version.string, emmeans = as.character(packageVersion("emmeans")), survival = as.character(packageVersion("survival")), MASS = as.character(packageVersion("MASS"))))
j <- as.data.frame(e$joint)
out$emmeans <- list(code = e$code, means = ems(e$means), proportional = ems(e$proportional), young = ems(e$young), plain = p_of(e$plain),
  tukey = p_of(e$tukey), tukey_low = confint(e$tukey)$lower.CL, dunnett = ems(e$dunnett), dunnett_p = as.data.frame(e$dunnett)$p.value,
  holm = p_of(e$holm), by_site = p_of(e$by_site), both = p_of(e$both), slopes = ems(e$slopes),
  joint = list(terms = gsub(" ", "", j$`model term`), f = j$F.ratio, p = j$p.value))
s <- page("survival")
coef_of <- function(fit) { t <- coef(summary(fit)); list(beta = unname(t[, 1]), se = unname(t[, if ("robust se" %in% colnames(t)) "robust se" else grep("se|Std", colnames(t))[1]])) }
diff_of <- function(d) list(statistic = d$chisq, p = pchisq(d$chisq, length(d$n) - 1, lower.tail = FALSE))
a <- s$at24
out$survival <- list(code = s$code, at24 = list(at_risk = a$n.risk, survival = a$surv, se = a$std.err, low = a$lower, high = a$upper),
  medians = unname(s$medians$quantile[, 1]), plain = diff_of(s$plain), by_site = list(statistic = s$by_site$chisq),
  peto = diff_of(s$peto), late = s$late$score, fit = coef_of(s$fit), loglik = s$fit$loglik, breslow = coef_of(s$breslow),
  exact = coef_of(s$exact), robust = coef_of(s$robust), zph = unname(s$zph$table[, "chisq"]),
  rmean = unname(s$means[c(1, 3), grep("rmean", colnames(s$means))[1]]), rmean_se = unname(s$means[c(1, 3), grep("se", colnames(s$means))[1]]))
f <- page("sas-procedures")
glm_of <- function(fit) { t <- coef(summary(fit)); list(beta = unname(t[-1, 1]), se = unname(t[-1, 2])) }
out$sas <- list(code = f$code, fisher = f$fisher$p.value, general = list(statistic = unname(f$general$statistic), p = f$general$p.value),
  share = unname(f$share$p.value), fit = glm_of(f$fit), profile = unname(exp(f$profile[-1, ])), sums = glm_of(f$sums),
  counts = glm_of(f$counts), theta = f$counts$theta, poisson = glm_of(f$poisson), discrete = coef_of(f$discrete), breslow = coef_of(f$breslow))
d <- read.csv("tests/reference/small_trial.csv")
arms <- c("placebo", "low", "high")
by_arm <- function(f) unname(sapply(arms, function(a) f(d$BASE[d$ARM == a])))
out$gtsummary <- list(mean = by_arm(mean), sd = by_arm(sd), median = by_arm(median),
  q1 = by_arm(function(x) quantile(x, 0.25, type = 2)), q3 = by_arm(function(x) quantile(x, 0.75, type = 2)),
  kruskal = kruskal.test(BASE ~ ARM, d)$p.value, responders = unname(sapply(arms, function(a) sum(d$RESP[d$ARM == a]))),
  chisq = suppressWarnings(chisq.test(table(d$ARM, d$RESP), correct = FALSE))$p.value)
write_json(out, "tests/reference/coming_from.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
