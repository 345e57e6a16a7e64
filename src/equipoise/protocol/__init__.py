"""Arms, ratio, strata, visits, dosing, extension and the analysis plan: the design as data."""
