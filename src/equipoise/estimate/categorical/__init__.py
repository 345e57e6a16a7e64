"""Yes or no, ordered answers and counts: proportions, tables, logistic and count regression, repeated answers."""
