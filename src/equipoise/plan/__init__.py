"""The analysis plan: estimand, conditions, one module a method, and the key of a number of a trial."""
