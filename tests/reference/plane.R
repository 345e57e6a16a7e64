# Covariance that falls with the distance in the plane: Rscript tests/reference/plane.R writes plane.json, from
# three_arms.csv with a second coordinate made of the number of the row. nlme's gls with corExp.
suppressMessages({library(nlme); library(jsonlite)})
here <- "tests/reference"
d <- na.omit(read.csv(file.path(here, "three_arms.csv"))[c("USUBJID", "TRT01P", "BASE", "AVISITN", "CHG")])
d <- transform(d, ID = USUBJID, ARM = factor(TRT01P, c("placebo", "low", "high")), T = AVISITN / 4, W = ((seq_len(nrow(d)) - 1) * 7) %% 11 / 5)
out <- list(R = R.version.string, nlme = as.character(packageVersion("nlme")))
for (m in c("REML", "ML")) {
  f <- gls(CHG ~ ARM * T + BASE, d, correlation = corExp(2, form = ~ T + W | ID), method = m,
           control = glsControl(tolerance = 1e-12, msTol = 1e-14, maxIter = 500, msMaxIter = 1000, opt = "nlminb"))
  out[[m]] <- list(loglik = as.numeric(logLik(f)), beta = unname(coef(f)), variance = sigma(f)^2,
                   rho = exp(-1 / coef(f$modelStruct$corStruct, unconstrained = FALSE)[[1]]), vcov = unname(diag(vcov(f))))
}
write_json(out, file.path(here, "plane.json"), digits = NA, auto_unbox = TRUE, pretty = TRUE)
