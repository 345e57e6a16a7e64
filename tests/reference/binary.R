# Reference results for answers of yes or no, on patients.csv: Rscript tests/reference/binary.R writes binary.json.
# R's stats and metafor where they have it; limits by score from their definition, with optimise() and uniroot().
suppressMessages({library(metafor); library(jsonlite)})
here <- "tests/reference"
d <- read.csv(file.path(here, "patients.csv"), colClasses = c(DOSE = "character"))
out <- list(R = R.version.string, metafor = as.character(packageVersion("metafor")))
z <- qnorm(0.975)
x1 <- sum(d$RESP[d$ARM == "b"]); n1 <- sum(d$ARM == "b"); x0 <- sum(d$RESP[d$ARM == "a"]); n0 <- sum(d$ARM == "a")

# restricted shares by maximising the likelihood over the share of control
active <- list(difference = function(p0, t) p0 + t, ratio = function(p0, t) p0 * t,
               odds_ratio = function(p0, t) p0 * t / (1 + p0 * (t - 1)))
bounds <- list(difference = function(t) c(max(0, -t), min(1, 1 - t)), ratio = function(t) c(0, min(1, 1 / t)),
               odds_ratio = function(t) c(0, 1))
restricted <- function(measure, t, x1, n1, x0, n0) {
  score <- function(p0) { # derivative of the log-likelihood, whose root is found to rounding
    h <- 1e-7; p1 <- active[[measure]](p0, t)
    slope <- switch(measure, difference = 1, ratio = t, odds_ratio = t / (1 + p0 * (t - 1))^2)
    (x1 / p1 - (n1 - x1) / (1 - p1)) * slope + x0 / p0 - (n0 - x0) / (1 - p0)
  }
  b <- bounds[[measure]](t); e <- 1e-13 * diff(b)
  p0 <- uniroot(score, c(b[1] + e, b[2] - e), tol = 1e-15, maxiter = 2000)$root
  c(active[[measure]](p0, t), p0)
}
mn <- function(measure, t, x1, n1, x0, n0, w) {
  top <- 0; v <- 0
  for (h in seq_along(x1)) {
    r <- restricted(measure, t, x1[h], n1[h], x0[h], n0[h]); N <- n1[h] + n0[h]
    v1 <- r[1] * (1 - r[1]) / n1[h]; v0 <- r[2] * (1 - r[2]) / n0[h]
    if (measure == "difference") { top <- top + w[h] * (x1[h] / n1[h] - x0[h] / n0[h] - t); own <- w[h]^2 * (v1 + v0) }
    if (measure == "ratio") { top <- top + w[h] * (x1[h] / n1[h] - t * x0[h] / n0[h]); own <- w[h]^2 * (v1 + t^2 * v0) }
    if (measure == "odds_ratio") {
      top <- top + x1[h] - n1[h] * r[1]; own <- 1 / (1 / (n1[h]^2 * v1) + 1 / (n0[h]^2 * v0)) }
    v <- v + own * N / (N - 1)
  }
  top / sqrt(v)
}
mn_limits <- function(measure, x1, n1, x0, n0, w = rep(1, length(x1))) {
  range <- switch(measure, difference = c(-0.9, 0.9), c(0.02, 50))
  sapply(c(z, -z), function(q) uniroot(function(t) mn(measure, t, x1, n1, x0, n0, w) - q, range, tol = 1e-13)$root)
}
wilson <- function(x, n, q = z) { p <- x / n; m <- (p + q^2 / (2 * n)) / (1 + q^2 / n)
  s <- q / (1 + q^2 / n) * sqrt(p * (1 - p) / n + q^2 / (4 * n^2)); c(m - s, m + s) }
w1 <- prop.test(x1, n1, correct = FALSE)$conf.int; w0 <- prop.test(x0, n0, correct = FALSE)$conf.int
p1 <- x1 / n1; p0 <- x0 / n0; dif <- p1 - p0
out$shares <- list(wilson = rbind(w0[1:2], w1[1:2]),
                   exact = rbind(binom.test(x0, n0)$conf.int[1:2], binom.test(x1, n1)$conf.int[1:2]))
out$wald <- list(difference = c(dif, prop.test(c(x1, x0), c(n1, n0), correct = FALSE)$conf.int),
                 ratio = with(escalc("RR", ai = x1, n1i = n1, ci = x0, n2i = n0), c(exp(yi), sqrt(vi))),
                 odds_ratio = with(escalc("OR", ai = x1, n1i = n1, ci = x0, n2i = n0), c(exp(yi), sqrt(vi))))
out$newcombe <- dif + c(-1, 1) * c(sqrt((p1 - w1[1])^2 + (w0[2] - p0)^2), sqrt((w1[2] - p1)^2 + (p0 - w0[1])^2))
out$mn <- sapply(c("difference", "ratio", "odds_ratio"), function(m) mn_limits(m, x1, n1, x0, n0), simplify = FALSE)
out$mn_z_margin <- mn("difference", -0.1, x1, n1, x0, n0, 1)
out$pearson <- prop.test(c(x1, x0), c(n1, n0), correct = FALSE)$p.value
f <- fisher.test(matrix(c(x1, n1 - x1, x0, n0 - x0), 2))
# fisher.test stops its roots at 1e-4: the same equations to rounding
support <- max(0, x1 + x0 - n0):min(n1, x1 + x0)
dn <- function(o) { l <- dhyper(support, n1, n0, x1 + x0, log = TRUE) + log(o) * support; l <- exp(l - max(l)); l / sum(l) }
root <- function(g) exp(uniroot(function(u) g(exp(u)), c(-6, 6), tol = 1e-14)$root)
out$fisher <- c(f$p.value, root(function(o) sum(support * dn(o)) - x1),
                root(function(o) sum(dn(o)[support >= x1]) - 0.025), root(function(o) sum(dn(o)[support <= x1]) - 0.025))
stopifnot(max(abs(out$fisher[2:4] - c(f$estimate, f$conf.int))) < 1e-3)

# strata
s <- aggregate(cbind(x = RESP, n = 1) ~ ARM + SITE, d, sum)
a <- s[s$ARM == "b", ]; b <- s[s$ARM == "a", ]
w <- a$n * b$n / (a$n + b$n)
out$strata <- list()
for (m in c("RD", "RR", "OR")) {
  fit <- rma.mh(ai = a$x, n1i = a$n, ci = b$x, n2i = b$n, measure = m, correct = FALSE)
  out$strata[[m]] <- c(as.numeric(fit$beta), fit$se)
  if (m == "OR") out$breslow_day <- c(fit$BD, fit$BDp, fit$TA, fit$TAp)
}
out$strata$mn <- sapply(c("difference", "ratio", "odds_ratio"), function(m) mn_limits(m, a$x, a$n, b$x, b$n, w), simplify = FALSE)
q <- w / sum(w)
arm <- function(x, n) { # Yan & Su 2010
  p <- x / n; v <- p * (1 - p) / n
  own <- z * sqrt(sum(q^2 * v)) / sum(q * sqrt(v))
  l <- sapply(seq_along(x), function(h) wilson(x[h], n[h], own))
  c(sum(q * l[1, ]), sum(q * l[2, ]), sum(q^2 / n))
}
A <- arm(a$x, a$n); B <- arm(b$x, b$n); est <- sum(q * (a$x / a$n - b$x / b$n))
out$strata$newcombe <- c(est - z * sqrt(A[3] * A[1] * (1 - A[1]) + B[3] * B[2] * (1 - B[2])),
                         est + z * sqrt(A[3] * A[2] * (1 - A[2]) + B[3] * B[1] * (1 - B[1])))
size <- (a$n + b$n) / sum(a$n + b$n)
v <- a$x / a$n * (1 - a$x / a$n) / a$n + b$x / b$n * (1 - b$x / b$n) / b$n
out$strata$size <- c(sum(size * (a$x / a$n - b$x / b$n)), sqrt(sum(size^2 * v)))
out$cmh_2x2 <- unname(mantelhaen.test(table(d$ARM, d$RESP, d$SITE), correct = FALSE)$statistic)

# several arms and answers: general association by mantelhaen.test; the other two from sums over strata
g <- table(factor(d$DOSE, c("0", "low", "high")), d$GRADE, d$SITE)
general <- mantelhaen.test(g)
cmh <- function(t, a, score) { top <- 0; v <- 0
  for (h in seq_len(dim(t)[3])) { m <- t[, , h]; n <- sum(m); r <- rowSums(m) / n; k <- colSums(m) / n; b <- score(m)
    f <- (a %*% (m - n * r %o% k)) %*% b
    V <- (a %*% (diag(r) - r %o% r) %*% t(a)) * c(t(b) %*% (diag(k) - k %o% k) %*% b) * n^2 / (n - 1)
    top <- top + f; v <- v + V }
  c(t(top) %*% solve(v) %*% top) }
plain <- function(m) seq_len(ncol(m)); ridit <- function(m) { k <- colSums(m); (cumsum(k) - k / 2 + 0.5) / (sum(m) + 1) }
first <- diag(3)[1:2, ]
out$cmh <- list(general = c(unname(general$statistic), general$parameter),
                correlation = cmh(g, matrix(1:3, 1), plain), means = cmh(g, first, plain),
                means_ridit = cmh(g, first, ridit), correlation_ridit = cmh(g, matrix(1:3, 1), ridit))
k <- kruskal.test(d$GRADE, factor(d$DOSE)); out$kruskal <- unname(k$statistic) # with one stratum: times (N - 1) / N ... the same
out$fisher_rxc <- fisher.test(with(d[d$SITE == "z", ], table(DOSE, GRADE)), workspace = 2e7)$p.value
m <- table(d$BEFORE, d$RESP)
out$mcnemar <- unname(mcnemar.test(m, correct = FALSE)$statistic)
e <- binom.test(m[1, 2], m[1, 2] + m[2, 1]); out$mcnemar_exact <- c(e$p.value, e$conf.int / (1 - e$conf.int))

# exact limits without conditioning (Chan & Zhang 1999), on a smaller table, by brute force
exact <- function(x1, n1, x0, n0) {
  tables <- expand.grid(i = 0:n1, j = 0:n0)
  safe <- function(t, i, j) { # closed form, since shares on the edge have no root
    th <- n0 / n1; a <- 1 + th; pi <- i / n1; pj <- j / n0
    b <- -(1 + th + pi + th * pj + t * (th + 2)); k <- t^2 + t * (2 * pi + th + 1) + pi + th * pj; dd <- -pi * t * (1 + t)
    v <- b^3 / (27 * a^3) - b * k / (6 * a^2) + dd / (2 * a); u <- sign(v) * sqrt(pmax(b^2 / (9 * a^2) - k / (3 * a), 0))
    u[v == 0] <- sqrt(pmax(b^2 / (9 * a^2) - k / (3 * a), 0))[v == 0]
    r <- ifelse(u == 0, 0, v / u^3); w <- (base::pi + acos(pmin(1, pmax(-1, r)))) / 3
    r1 <- pmin(pmax(2 * u * cos(w) - b / (3 * a), max(0, t)), min(1, 1 + t)); r0 <- r1 - t
    s <- sqrt((r1 * (1 - r1) / n1 + r0 * (1 - r0) / n0) * (n1 + n0) / (n1 + n0 - 1)); top <- pi - pj - t
    ifelse(s < 1e-9, ifelse(abs(top) < 1e-9, 0, sign(top) * Inf), top / s)
  }
  p <- function(t, greater) {
    zs <- safe(t, tables$i, tables$j); own <- zs[tables$i == x1 & tables$j == x0]
    tail <- if (greater) zs >= own - 1e-9 else zs <= own + 1e-9
    f <- function(q) sum(dbinom(tables$i[tail], n1, pmin(1, pmax(0, q + t))) * dbinom(tables$j[tail], n0, q))
    grid <- seq(max(0, -t), min(1, 1 - t), length.out = 401); y <- sapply(grid, f); k <- which.max(y)
    max(y, optimise(f, c(grid[max(1, k - 1)], grid[min(401, k + 1)]), maximum = TRUE, tol = 1e-10)$objective)
  }
  d <- x1 / n1 - x0 / n0
  c(uniroot(function(t) p(t, TRUE) - 0.025, c(-0.9, d), tol = 1e-9)$root,
    uniroot(function(t) p(t, FALSE) - 0.025, c(d, 0.95), tol = 1e-9)$root, p(0, TRUE))
}
out$exact <- exact(9, 14, 4, 15)
write_json(out, file.path(here, "binary.json"), digits = NA, auto_unbox = TRUE, pretty = TRUE)
