"""In what order, whole or not at all."""
