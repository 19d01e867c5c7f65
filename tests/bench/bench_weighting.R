# The R half of bench_weighting.py: Rscript bench_weighting.R <sample.csv> <work> <replicates>
# Prints one JSON line with seconds and figures. work: "weights" or "bootstrap".
suppressMessages({library(survey); library(jsonlite)})
arguments <- commandArgs(trailingOnly = TRUE)
people <- read.csv(arguments[1], colClasses = c(region = "character", age = "character",
                                                sex = "character"))
targets <- read.csv(sub("[.]csv$", "_population.csv", arguments[1]),
                    colClasses = c(region = "character", age = "character", sex = "character"))
margin <- function(by) {
  out <- aggregate(targets$population, targets[by], sum); names(out)[length(by) + 1] <- "Freq"; out
}
formulas <- list(~region + age, ~sex); totals <- list(margin(c("region", "age")), margin("sex"))
design <- svydesign(ids = ~1, weights = ~base_weight, data = people)
seconds <- function(call) unname(system.time(call)["elapsed"])
control <- list(maxit = 200, epsilon = 1e-11)
if (arguments[2] == "weights") {
  rake_s <- seconds(raked <- rake(design, formulas, totals, control = control))
  mean_s <- seconds(m <- svymean(~y1, raked))
  calibrated <- calibrate(design, formulas, population = totals, calfun = "raking",
                          epsilon = 1e-12, maxit = 200)
  se <- as.vector(SE(svymean(~y1, calibrated)))
  out <- list(rake = rake_s, mean = mean_s, estimate = unname(coef(m)), std_error = se)
} else {
  replicates <- as.integer(arguments[3])
  answers <- as.matrix(people[, paste0("y", 1:10)])
  set.seed(1)
  all_s <- seconds({
    replicated <- as.svrepdesign(design, type = "subbootstrap", replicates = replicates)
    raked <- rake(replicated, formulas, totals, control = list(maxit = 200, epsilon = 1e-9))
    found <- withReplicates(raked, function(w, data) colSums(w * answers) / sum(w))
  })
  out <- list(seconds = all_s, replicates = replicates, estimate = unname(as.vector(found)))
}
cat(toJSON(out, digits = NA, auto_unbox = TRUE), "\n")
