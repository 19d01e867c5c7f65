# Truth for test_models.py and test_comparison.py: R survey on the samples of models_sample.py.
# Run: Rscript tests/reference/models_reference.R  (writes models_reference.json beside itself)
# R's own svyolr is good to four digits only; the ordinal logit is maximised here to the last bit.
suppressMessages({library(survey); library(jsonlite)})
options(digits = 17, survey.lonely.psu = "fail")
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)[1]))
read <- function(name) {
  d <- read.csv(file.path(here, paste0("models_sample_", name, ".csv")),
                colClasses = c(job = "character", confidant = "character"))
  d$job[d$job == ""] <- NA
  d$age_band <- factor(d$age_band, c("60s", "16-19", "20s", "30s", "40s", "50s", "70s", "80+"))
  d$sex <- factor(d$sex); d$job <- factor(d$job); d$confidant <- factor(d$confidant)
  d
}
poststratified <- function(d, ...) {
  base <- svydesign(ids = ~1, weights = ~base_weight, data = d, ...)
  cells <- unique(d[, c("cell", "cell_persons")])
  postStratify(base, ~cell, data.frame(cell = cells$cell, Freq = cells$cell_persons))
}
designs <- function(d) list(
  poststratified = poststratified(d),
  stratified = poststratified(d, strata = ~stratum),
  clustered = svydesign(ids = ~psu, strata = ~stratum, weights = ~base_weight, data = d, nest = TRUE),
  raked = calibrate(
    svydesign(ids = ~1, weights = ~base_weight, data = d), list(~age_band, ~sex),
    population = lapply(list("age_band", "sex"), function(v) {
      cells <- unique(d[, c("cell", v, "cell_persons")])
      out <- aggregate(cells$cell_persons, cells[v], sum); names(out)[2] <- "Freq"; out
    }), calfun = "raking", epsilon = 1e-13, maxit = 200))

logit <- function(design) {
  used <- subset(design, !is.na(lonely) & !is.na(job))
  fit <- svyglm(lonely ~ age_band + sex + job + confidant, used, family = quasibinomial(),
                control = glm.control(epsilon = 1e-12, maxit = 100))
  b <- coef(fit); x <- model.matrix(fit); w <- weights(used)[weights(used) > 0]
  rows <- which(!is.na(design$variables$lonely) & !is.na(design$variables$job))
  beta_influence <- (x * residuals(fit, "response")) %*%
    solve(t(x) %*% (x * (w * fitted(fit) * (1 - fitted(fit)))))
  effects <- sapply(list(c("age_band", "20s"), c("sex", "2"), c("job", "3"), c("confidant", "2")),
    function(term) {
      own <- grep(paste0("^", term[1]), colnames(x)); x0 <- x; x0[, own] <- 0
      x1 <- x0; x1[, paste0(term[1], term[2])] <- 1
      p0 <- plogis(x0 %*% b); p1 <- plogis(x1 %*% b); ame <- sum(w * (p1 - p0)) / sum(w)
      slope <- (colSums(x1 * as.vector(w * p1 * (1 - p1))) -
                colSums(x0 * as.vector(w * p0 * (1 - p0)))) / sum(w)
      z <- numeric(nrow(design$variables))
      z[rows] <- as.vector(p1 - p0 - ame) / sum(w) + as.vector(beta_influence %*% slope)
      design <- update(design, z = z)
      c(ame, SE(svytotal(~z, design)))
    })
  wald <- sapply(c("age_band", "sex", "job", "confidant"), function(term) {
    test <- regTermTest(fit, term, method = "Wald"); c(test$Ftest, test$p)
  })
  list(wald_f = wald[1, ], wald_p = wald[2, ], coef = unname(b), names = names(b), se = unname(SE(fit)), df = fit$df.residual,
       ame = effects[1, ], ame_se = effects[2, ])
}

# Proportional odds with P(Y <= k) = plogis(cut_k - x b): Newton on the weighted likelihood.
ordinal <- function(design) {
  used <- subset(design, !is.na(job)); v <- used$variables
  if (nrow(v) != sum(weights(used) > 0)) v <- v[weights(used) > 0, ]
  w <- weights(used)[weights(used) > 0]
  x <- model.matrix(~ sex + job + confidant, v)[, -1]; y <- v$frequency; K <- max(y); q <- K - 1
  rows <- which(!is.na(design$variables$job))
  score <- function(theta) {
    cut <- c(-Inf, theta[1:q], Inf); eta <- as.vector(x %*% theta[-(1:q)])
    hi <- plogis(cut[y + 1] - eta); lo <- plogis(cut[y] - eta); p <- hi - lo
    dhi <- hi * (1 - hi); dlo <- lo * (1 - lo)
    s <- matrix(0, length(y), length(theta))
    for (k in 1:q) s[, k] <- ((y == k) * dhi - (y == k + 1) * dlo) / p
    s[, -(1:q)] <- -x * (dhi - dlo) / p
    s
  }
  theta <- c(qlogis(cumsum(tapply(w, y, sum))[1:q] / sum(w)), rep(0, ncol(x)))
  total <- function(t) colSums(score(t) * w)
  for (i in 1:60) {
    J <- sapply(seq_along(theta), function(j) {
      # central differences with one Richardson step: the last digits come from the score
      d <- function(h) { up <- dn <- theta; up[j] <- up[j] + h; dn[j] <- dn[j] - h
                         (total(up) - total(dn)) / (2 * h) }
      (4 * d(5e-4) - d(1e-3)) / 3
    })
    step <- solve(J, total(theta)); theta <- theta - step
    if (max(abs(step)) < 1e-13) break
  }
  u <- score(theta) %*% t(solve(-J))
  se <- sapply(seq_along(theta), function(j) {
    z <- numeric(nrow(design$variables)); z[rows] <- u[, j]
    SE(svytotal(~z, update(design, z = z)))
  })
  list(coef = unname(theta), se = unname(se))
}

mix <- c(1909, 318, 880, 1210, 1712, 1887, 2094, 1105)  # people of the national survey, order of age_band
# Means as ratios of totals over the whole design, so that domains keep every row.
ratio_totals <- function(design, groups) {
  has <- !is.na(design$variables$lonely); y <- ifelse(has, design$variables$lonely, 0)
  for (i in seq_along(groups)) {
    design$variables[[paste0("y", i)]] <- y * groups[[i]]
    design$variables[[paste0("n", i)]] <- has * groups[[i]]
  }
  k <- seq_along(groups)
  svytotal(as.formula(paste("~", paste(c(paste0("y", k), paste0("n", k)), collapse = "+"))), design)
}
contrast <- function(totals, text) {
  c1 <- svycontrast(totals, list(d = parse(text = text)[[1]])); c(unname(coef(c1)), unname(SE(c1)))
}
standardised <- function(design) {
  bands <- levels(design$variables$age_band)
  totals <- ratio_totals(design, c(lapply(bands, function(b) 1 * (design$variables$age_band == b)),
                                   list(1)))
  parts <- paste0(format(mix / sum(mix), digits = 17), " * y", 1:8, "/n", 1:8, collapse = " + ")
  age <- contrast(totals, parts); raw <- contrast(totals, "y9/n9")
  c(raw = raw[1], raw_se = raw[2], age = age[1], age_se = age[2])
}
waves <- function(now, before) {
  now$wave <- 2023; before$wave <- 2022; before$cell <- before$cell + 100
  stacked <- poststratified(rbind(now, before), strata = ~wave)
  v <- stacked$variables
  gap <- contrast(ratio_totals(stacked, list(1 * (v$wave == 2023), 1 * (v$wave == 2022))),
                  "y1/n1 - y2/n2")
  c(gap = gap[1], se = gap[2], df = sum(!is.na(v$lonely)) - 2)
}

now <- read("now"); before <- read("before")
out <- lapply(designs(now), function(d) list(
  weights = sum(weights(d)), logit = logit(d), ordinal = ordinal(d),
  standardised = as.list(standardised(d))))
out$waves <- as.list(waves(now, before))
out$p_adjust <- list(p = c(0.01, 0.04, 0.03, 0.2, 0.04, 1), bh = p.adjust(c(0.01, 0.04, 0.03, 0.2, 0.04, 1), "BH"))
out$versions <- list(R = R.version.string, survey = as.character(packageVersion("survey")))
write_json(out, file.path(here, "models_reference.json"), digits = NA, auto_unbox = TRUE, pretty = TRUE)
