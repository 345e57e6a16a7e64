"""Results of plans as tables, figures and the Analysis Results Standard."""
