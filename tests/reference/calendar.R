# Error spent on calendar time: Rscript tests/reference/calendar.R writes calendar.json. rpact, with the error spent up to
# each look given, at the information of the looks.
suppressMessages({library(rpact); library(jsonlite)})
here <- "tests/reference"; alpha <- 0.025
spends <- list("obrien-fleming" = function(s) 2 - 2 * pnorm(qnorm(1 - alpha / 2) / sqrt(s)),
               pocock = function(s) alpha * log(1 + (exp(1) - 1) * s),
               "hwang-shih-decani" = function(s) alpha * (1 - exp(2 * s)) / (1 - exp(2))) # gamma -2
cases <- list(list(fractions = c(.5, 1), times = c(.7, 1)), list(fractions = c(.3, .6, 1), times = c(.5, .8, 1)),
              list(fractions = c(.25, .7, .9, 1), times = c(.2, .4, .75, 1)))
out <- list(R = R.version.string, rpact = as.character(packageVersion("rpact")), cases = list())
for (name in names(spends)) for (case in cases) {
  d <- getDesignGroupSequential(informationRates = case$fractions, alpha = alpha, typeOfDesign = "asUser",
                                userAlphaSpending = spends[[name]](case$times), tolerance = 1e-10)
  out$cases[[length(out$cases) + 1]] <- c(list(rule = name), case, list(boundary = d$criticalValues))
}
write_json(out, file.path(here, "calendar.json"), digits = NA, auto_unbox = TRUE, pretty = TRUE)
