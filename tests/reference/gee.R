# Reference results for repeated answers on visits.csv: Rscript tests/reference/gee.R writes gee.json.
# Estimates and sandwich of geepack; corrected covariances from their definition, at geepack's estimates; with working
# independence Mancl & DeRouen's is clubSandwich's CR3.
suppressMessages({library(geepack); library(jsonlite); library(clubSandwich)})
here <- "tests/reference"
d <- read.csv(file.path(here, "visits.csv"), stringsAsFactors = TRUE)
d$id <- as.integer(d$ID)
whole <- d
out <- list(R = R.version.string, geepack = as.character(packageVersion("geepack")))
tight <- geese.control(epsilon = 1e-12, maxit = 500)
families <- list(binomial = list(YES ~ ARM + X + VISIT, binomial()), poisson = list(MANY ~ ARM + X + VISIT, poisson()),
                 gaussian = list(VALUE ~ ARM + X + VISIT, gaussian()))
root <- function(a) { e <- eigen(a); Re(e$vectors %*% diag(1 / sqrt(as.complex(e$values)), nrow(a)) %*% solve(e$vectors)) }
for (name in names(families)) for (cor in c("independence", "exchangeable", "unstructured")) {
  w <- families[[name]]; d <- whole
  if (cor == "unstructured") d <- d[d$ID %in% names(which(table(d$ID) == 4)), ] # with gaps and waves= geepack stops R
  f <- geeglm(w[[1]], family = w[[2]], data = d, id = id, corstr = cor, control = tight)
  X <- model.matrix(w[[1]], d); y <- model.response(model.frame(w[[1]], d)); b <- coef(f); phi <- summary(f)$dispersion[1, 1]
  mu <- w[[2]]$linkinv(c(X %*% b)); D <- X * w[[2]]$mu.eta(c(X %*% b)); V <- w[[2]]$variance(mu)
  R <- diag(4); a <- summary(f)$corr[, 1]
  if (cor == "exchangeable") R[upper.tri(R)] <- a
  if (cor == "unstructured") { k <- 0; for (i in 1:3) for (j in (i + 1):4) { k <- k + 1; R[i, j] <- a[k] } }
  R[lower.tri(R)] <- t(R)[lower.tri(R)]
  sets <- split(seq_along(y), d$id)
  W <- lapply(sets, function(s) solve(outer(sqrt(V[s]), sqrt(V[s])) * R[d$VISIT[s], d$VISIT[s]]))
  B <- solve(Reduce(`+`, Map(function(s, w) t(D[s, , drop = FALSE]) %*% w %*% D[s, , drop = FALSE], sets, W)))
  meat <- function(g) sqrt(diag(B %*% Reduce(`+`, Map(function(s, w) { u <- g(D[s, , drop = FALSE], w, (y - mu)[s]); u %*% t(u) }, sets, W)) %*% B))
  out[[name]][[cor]] <- list(beta = unname(b), se = summary(f)$coefficients[, 2], phi = phi, R = R,
    robust = unname(meat(function(D, w, r) t(D) %*% w %*% r)), model = unname(sqrt(diag(B) * phi)),
    mancl_derouen = unname(meat(function(D, w, r) t(D) %*% w %*% solve(diag(length(r)) - D %*% B %*% t(D) %*% w, r))),
    kauermann_carroll = unname(meat(function(D, w, r) t(D) %*% w %*% root(diag(length(r)) - D %*% B %*% t(D) %*% w) %*% r)),
    fay_graubard = unname(meat(function(D, w, r) (1 - pmin(0.75, diag(t(D) %*% w %*% D %*% B)))^-0.5 * (t(D) %*% w %*% r))))
}
d <- whole
g <- glm(YES ~ ARM + X + VISIT, binomial, d, control = glm.control(epsilon = 1e-15))
out$CR3 <- unname(sqrt(diag(as.matrix(vcovCR(g, cluster = d$id, type = "CR3")))))
write_json(out, file.path(here, "gee.json"), digits = NA, auto_unbox = TRUE, pretty = TRUE)
