# Truth for test_weighting.py and test_estimation.py: R survey on the samples of weighting_sample.py.
# Run in this folder: Rscript weighting_reference.R   (writes weighting_reference.json)
suppressMessages({library(survey); library(jsonlite)})
options(digits = 17, survey.lonely.psu = "fail")
text <- c(region = "character", age = "character", sex = "character", marital = "character",
          stratum_age = "character", stratum = "character", psu = "character")
read <- function(name) {
  file <- paste0("weighting_", name, ".csv")
  known <- names(read.csv(file, nrows = 1))
  read.csv(file, colClasses = text[intersect(names(text), known)])
}
quota <- read("quota"); population <- read("population"); marital <- read("marital")
clusters <- read("clusters")
margin <- function(by) {
  out <- aggregate(population$population, population[by], sum); names(out)[length(by) + 1] <- "Freq"; out
}
names(marital)[2] <- "Freq"
# The lone stratum region 3, age 7 joins its neighbour age 6: the collapse rule of the project.
quota$stratum <- paste(quota$region, ifelse(quota$stratum_age == "7", "6", quota$stratum_age))
cells <- c("region", "age", "sex")

# --- designs ------------------------------------------------------------------------------------
plain <- svydesign(ids = ~1, weights = ~base_weight, strata = ~stratum, data = quota)
unstratified <- svydesign(ids = ~1, weights = ~base_weight, data = quota)
post <- postStratify(plain, ~region + age + sex, margin(cells))
post_plain <- postStratify(unstratified, ~region + age + sex, margin(cells))
rake_to <- function(design, formulas, totals)
  calibrate(design, formulas, population = totals, calfun = "raking", epsilon = 1e-13, maxit = 500)
two <- list(list(~region + age, ~sex), list(margin(c("region", "age")), margin("sex")))
three <- list(c(two[[1]], ~marital), c(two[[2]], list(marital)))
raked2 <- rake_to(plain, two[[1]], two[[2]])
raked3 <- rake_to(plain, three[[1]], three[[2]])
designs <- list(given = unstratified, stratified = plain, post = post, post_plain = post_plain,
                raked2 = raked2, raked3 = raked3)

# --- trimmed: the loop itself, not trimWeights ----------------------------------------------------
cap_ratio <- 3.5
w <- weights(raked3); rounds <- 0; touched <- rep(FALSE, length(w))
while (max(w) > cap_ratio * mean(w) * (1 + 1e-10)) {
  touched <- touched | w > cap_ratio * mean(w)
  w <- pmin(w, cap_ratio * mean(w))
  w <- weights(rake_to(svydesign(ids = ~1, weights = ~w, data = data.frame(quota, w = w)),
                       three[[1]], three[[2]]))
  rounds <- rounds + 1; stopifnot(rounds <= 50)
}
trimmed <- w
linear <- model.matrix(~region * age + sex + marital, quota)
of_trimmed <- function(y) {
  average <- sum(w * y) / sum(w)
  u <- (y - average) / sum(w)
  r <- lm.wfit(linear, u, quota$base_weight)$residuals
  v <- svyrecvar(r * w, plain$cluster, plain$strata, plain$fpc)
  list(estimate = average, std_error = sqrt(as.vector(v)))
}

# --- helpers --------------------------------------------------------------------------------------
t_of <- function(df) qt(0.975, df)
share <- function(design, variable, inside = rep(TRUE, nrow(design))) {
  y <- design$variables[[variable]]; inside <- inside & !is.na(y)
  part <- subset(design, inside)
  df <- length(unique(design$cluster[inside, 1])) - length(unique(design$strata[inside, 1]))
  mean_ <- svymean(as.formula(paste0("~", variable)), part)
  p <- unname(coef(mean_)); v <- as.vector(vcov(mean_)); n <- sum(inside)
  wd <- weights(design)[inside]
  if (n < 50 || min(y[inside]) == max(y[inside])) {
    p <- if (max(y[inside]) == 0) 0 else if (min(y[inside]) == 1) 1 else p
    size <- if (p %in% c(0, 1)) sum(wd)^2 / sum(wd^2)
            else min(n, p * (1 - p) / v * (qt(0.025, n - 1) / qt(0.025, df))^2)
    lower <- if (p == 0) 0 else qbeta(0.025, size * p, size * (1 - p) + 1)
    upper <- if (p == 1) 1 else qbeta(0.975, size * p + 1, size * (1 - p))
    method <- "beta"
  } else {
    f <- as.formula(paste0("~I(", variable, "==1)"))
    ci <- attr(svyciprop(f, part, method = "xlogit", df = df), "ci")
    lower <- ci[[1]]; upper <- ci[[2]]; method <- "xlogit"
  }
  se <- if (p %in% c(0, 1)) 0 else sqrt(v)
  list(estimate = 100 * p, std_error = 100 * se, lower = 100 * lower, upper = 100 * upper,
       df = df, n = n, n_effective = sum(wd)^2 / sum(wd^2), method = method)
}
number <- function(stat, df) {
  m <- unname(coef(stat)); s <- unname(as.vector(SE(stat)))
  list(estimate = m, std_error = s, lower = m - t_of(df) * s, upper = m + t_of(df) * s, df = df)
}
df_of <- function(design, inside) length(unique(design$cluster[inside, 1])) -
  length(unique(design$strata[inside, 1]))
regions <- c("1", "2", "3")
ages <- sort(unique(quota$age))

# --- figures on every quota design ------------------------------------------------------------------
figures <- lapply(designs, function(design) {
  has <- !is.na(quota$score)
  by_region <- lapply(setNames(regions, regions), function(r) share(design, "lonely", quota$region == r))
  by_cell <- list()
  for (r in regions) for (a in ages)
    by_cell[[paste(r, "x", a)]] <- share(design, "edge", quota$region == r & quota$age == a)
  # Rows outside a domain keep a value, since R multiplies it by a weight of nought.
  design <- update(design, score = ifelse(is.na(score), 0, score))
  scored <- subset(design, has)
  score_df <- df_of(design, has)
  quantile_at <- function(p) {
    q <- unclass(svyquantile(~minutes, design, p, interval.type = "xlogit", df = df_of(design, TRUE)))
    list(estimate = q[[1]][1], lower = q[[1]][2], upper = q[[1]][3], std_error = q[[1]][4])
  }
  # Two domain means as ratios of totals over all rows, so that their covariance is kept.
  gap_of <- function(variable, group, other) {
    y <- quota[[variable]]; y[is.na(y)] <- 0
    d <- update(design, ya = y * group, a = as.numeric(group), yb = y * other, b = as.numeric(other))
    svycontrast(svytotal(~ya + a + yb + b, d), quote(ya / a - yb / b))
  }
  differences <- lapply(setNames(regions, regions), function(r) {
    gap <- gap_of("lonely", quota$region == r, quota$region != r)
    df <- df_of(design, rep(TRUE, nrow(quota)))
    out <- number(gap, df)
    out$p_value <- 2 * pt(-abs(out$estimate / out$std_error), df); out
  })
  mean_gap <- number(gap_of("score", has & quota$sex == "1", has & quota$sex == "2"), score_df)
  overlapping <- number(gap_of("lonely", quota$region == "1", has), df_of(design, has | quota$region == "1"))
  test <- svychisq(~answer + age, design, statistic = "F")
  few <- svychisq(~answer + band, update(design, band = ifelse(has, as.integer(score > 6), NA)),
                  statistic = "F")
  list(weights_first = unname(weights(design))[1:40],
       weights_sum = sum(weights(design)), weights_square = sum(weights(design)^2),
       share = share(design, "lonely"), by_region = by_region, by_cell = by_cell,
       mean = number(svymean(~score, scored), score_df),
       mean_by_age = lapply(setNames(ages, ages), function(a)
         number(svymean(~score, subset(design, has & quota$age == a)),
                df_of(design, has & quota$age == a))),
       total = number(svytotal(~lonely, design), df_of(design, rep(TRUE, nrow(quota)))),
       total_score = number(svytotal(~score, scored), score_df),
       differences = differences, mean_gap = mean_gap, overlapping = overlapping,
       median = quantile_at(0.5), quantile_90 = quantile_at(0.9),
       rao_scott = list(statistic = unname(test$statistic), ndf = unname(test$parameter[1]),
                        ddf = unname(test$parameter[2]), p_value = unname(test$p.value)),
       rao_scott_missing = list(statistic = unname(few$statistic), ndf = unname(few$parameter[1]),
                                ddf = unname(few$parameter[2]), p_value = unname(few$p.value)),
       design_effect = unname(as.vector(attr(svymean(~score, scored, deff = "replace"), "deff"))),
       covariance = unname(as.matrix(vcov(svymean(~lonely + edge + minutes, design)))),
       alpha = svycralpha(~ucla1 + ucla2 + ucla3, design))
})
trim <- list(ratio = cap_ratio, rounds = rounds, n_touched = sum(touched), weights = trimmed,
             score = of_trimmed(quota$minutes), lonely = of_trimmed(quota$lonely))

# --- clusters: fpc, certainty, lonely units ---------------------------------------------------------
clustered <- svydesign(ids = ~psu, strata = ~stratum, weights = ~base_weight, fpc = ~fpc,
                       data = clusters, nest = TRUE)
without <- svydesign(ids = ~psu, strata = ~stratum, weights = ~base_weight, data = clusters,
                     nest = TRUE)
everybody <- rep(TRUE, nrow(clusters))
women <- clusters$sex == "2"
of_clusters <- function(design, rule) {
  options(survey.lonely.psu = rule)
  out <- list(mean = number(svymean(~score, design), df_of(design, everybody)),
       mean_women = number(svymean(~score, subset(design, women)), df_of(design, women)),
       share = share(design, "lonely"), total = number(svytotal(~score, design), df_of(design, everybody)))
  options(survey.lonely.psu = "fail"); out
}
cluster_figures <- list(
  fpc_certainty = of_clusters(clustered, "certainty"), fpc_adjust = of_clusters(clustered, "adjust"),
  plain_certainty = of_clusters(without, "certainty"), plain_adjust = of_clusters(without, "adjust"))
# The project's own rule: the lonely stratum D joins the next smaller neighbour that is not certain.
joined <- transform(clusters, psu = paste(stratum, psu),
                    fpc = ifelse(stratum %in% c("B", "D"), 20 + 12, fpc),
                    stratum = ifelse(stratum == "D", "B", stratum))
collapsed <- svydesign(ids = ~psu, strata = ~stratum, weights = ~base_weight, fpc = ~fpc,
                       data = joined)
cluster_figures$fpc_collapse <- of_clusters(collapsed, "fail")
# A domain inside one sampling unit: R has no interval either.
options(survey.lonely.psu = "certainty")
one_unit <- number(svymean(~score, subset(without, stratum == "A" & psu == "1")), 0)[c("estimate", "lower")]
options(survey.lonely.psu = "fail")

# --- the project's synthetic sample, post-stratified as its study file says -----------------------
synthetic <- read.csv("weighting_synthetic.csv", colClasses = c(region = "character",
  age_band = "character", sex = "character", lonely_direct = "character"))
register <- read.csv("weighting_synthetic_population.csv", colClasses = c(region = "character",
  age_band = "character", sex = "character"))
# Sex 3 is unknown to the register: it keeps its share of the respondents of region and age.
synthetic$group <- paste(synthetic$region, synthetic$age_band)
register$group <- paste(register$region, register$age_band)
group_n <- table(synthetic$group); other <- table(synthetic$group[synthetic$sex == "3"])
group_population <- tapply(register$population, register$group, sum)
share_other <- setNames(rep(0, length(group_n)), names(group_n))
share_other[names(other)] <- other / group_n[names(other)]
known <- transform(register, Freq = population * (1 - share_other[group]))
unknown <- data.frame(group = names(other), sex = "3",
                      Freq = as.vector(share_other[names(other)] * group_population[names(other)]))
targets <- rbind(known[, c("group", "sex", "Freq")], unknown)
synthetic$often <- as.numeric(synthetic$lonely_direct == "5")
synthetic$ucla_high <- as.numeric(synthetic$ucla_total >= 10)
ehime <- postStratify(svydesign(ids = ~1, weights = ~1, strata = ~group,
                                data = transform(synthetic, one = 1)), ~group + sex, targets)
# The weights are a function of sample totals, so R differentiates the whole estimator: in a group g
# the mean is p_a y_a + (1 - p_a) * sum over known sexes k of pi_k * y_k, with p_a the sample's own.
cell <- factor(paste(synthetic$group, synthetic$sex))
unweighted <- svydesign(ids = ~1, weights = ~1, strata = ~group, data = synthetic)
shared <- function(y, inside = rep(TRUE, nrow(synthetic))) {
  columns <- list()
  for (i in seq_along(levels(cell))) {
    here <- as.numeric(cell == levels(cell)[i])
    columns[[paste0("d", i)]] <- here
    columns[[paste0("y", i)]] <- ifelse(inside, y, 0) * here
    columns[[paste0("a", i)]] <- inside * here
  }
  design <- unweighted
  design$variables <- as.data.frame(columns)
  totals <- svytotal(as.formula(paste("~", paste(names(columns), collapse = "+"))), design)
  sum_of <- function(letter) paste(sapply(names(group_n), function(g) {
    ids <- which(sub(" [^ ]*$", "", levels(cell)) == g)
    is_other <- sub(".* ", "", levels(cell)[ids]) == "3"
    all <- paste0("(", paste0("d", ids, collapse = "+"), ")")
    both <- paste0("(", paste0("d", ids[!is_other], collapse = "+"), ")")
    pi <- sapply(ids[!is_other], function(i) with(register, population[
      paste(group, sex) == levels(cell)[i]] / sum(population[group == g])))
    parts <- paste0(format(pi, digits = 17), "*", both, "*", letter, ids[!is_other], "/d", ids[!is_other])
    parts <- c(parts, if (any(is_other)) paste0(letter, ids[is_other]))
    paste0(format(group_population[[g]], digits = 17), "*(", paste(parts, collapse = "+"), ")/", all)
  }), collapse = "+")
  ratio <- svycontrast(totals, list(m = parse(text = paste0("(", sum_of("y"), ")/(", sum_of("a"), ")"))[[1]]))
  df <- df_of(unweighted, inside)
  c(number(ratio, df), n = sum(inside))
}
shared_share <- function(y, inside = rep(TRUE, nrow(synthetic))) {
  out <- shared(y, inside); p <- out$estimate
  reach <- t_of(out$df) * out$std_error / (p * (1 - p))
  modifyList(lapply(out[c("estimate", "std_error")], function(x) 100 * x), list(
    lower = 100 * plogis(qlogis(p) - reach), upper = 100 * plogis(qlogis(p) + reach), df = out$df))
}
scored <- !is.na(synthetic$ucla_total)
bands <- sort(unique(synthetic$age_band))
filled <- update(ehime, ucla_total = ifelse(scored, ucla_total, 0))
synthetic_figures <- list(
  weights_first = unname(weights(ehime))[1:40], weights_square = sum(weights(ehime)^2),
  often = shared_share(synthetic$often), ucla_high = shared_share(synthetic$ucla_high, scored),
  often_by_age = lapply(setNames(bands, bands), function(b) shared_share(synthetic$often, synthetic$age_band == b)),
  often_by_region = lapply(setNames(regions, regions), function(r) shared_share(synthetic$often, synthetic$region == r)),
  ucla_mean = shared(synthetic$ucla_total, scored),
  sex = lapply(c("1" = "1", "2" = "2", "3" = "3"), function(s) shared_share(as.numeric(synthetic$sex == s))))
# The share of sex 3 is that of a design calibrated to the groups alone.
groups_only <- postStratify(unweighted, ~group, data.frame(group = names(group_population),
                                                           Freq = as.vector(group_population)))
third <- svymean(~I(as.numeric(sex == "3")), groups_only)
stopifnot(isTRUE(all.equal(c(coef(third), SE(third)), 0.01 * unlist(synthetic_figures$sex[["3"]][1:2]),
                           check.attributes = FALSE, tolerance = 1e-9)))

# --- replicates, re-raked -----------------------------------------------------------------------------
some <- subset(clusters, stratum %in% c("A", "B", "F"))
some$half <- ifelse(some$score > 6, "high", "low")
base <- svydesign(ids = ~psu, strata = ~stratum, weights = ~base_weight, data = some, nest = TRUE)
set.seed(1)
margins <- list(sex = data.frame(sex = c("1", "2"), Freq = c(900, 1100)),
                half = data.frame(half = c("high", "low"), Freq = c(1200, 800)))
replicated <- function(type, ...) {
  rep_design <- as.svrepdesign(base, type = type, ..., compress = FALSE)
  factors <- weights(rep_design, type = "replication")
  first <- !duplicated(paste(some$stratum, some$psu))
  raked <- rake(rep_design, list(~sex, ~half), margins, control = list(maxit = 500, epsilon = 1e-15))
  statistic <- function(w, data) c(sum(w * data$score) / sum(w), sum(w * data$lonely) / sum(w))
  out <- withReplicates(raked, statistic)
  list(factors = unname(factors[first, ]), scale = rep_design$scale, rscales = rep_design$rscales,
       estimate = unname(as.vector(out)), covariance = unname(as.matrix(vcov(out))))
}
replicates <- list(margins = margins, bootstrap = replicated("subbootstrap", replicates = 40),
                   jackknife = replicated("JKn"))

write(toJSON(list(survey = as.character(packageVersion("survey")), r = R.version.string,
                  quota = figures, trimmed = trim, clusters = cluster_figures, one_unit = one_unit, synthetic = synthetic_figures,
                  replicates = replicates), digits = NA, auto_unbox = TRUE, na = "null"),
      "weighting_reference.json")
