"""Survey weighting, estimation and reporting for loneliness and isolation surveys."""
