"""Fitting a scenario to what was published."""
