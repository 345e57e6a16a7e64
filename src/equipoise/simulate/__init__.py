"""Scenario to virtual trials, in batches."""
