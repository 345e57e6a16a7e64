"""The compiled engine of the progression model."""
