"""Linear models: ANCOVA, mixed models for repeated measures, the constrained model, random slopes."""
