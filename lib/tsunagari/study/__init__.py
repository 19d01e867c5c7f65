"""What is this survey: settings, codebook, files, population, fieldwork."""
