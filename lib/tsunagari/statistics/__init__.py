"""How many, how sure, what goes with it."""
