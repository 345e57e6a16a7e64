"""Replicates of a scenario with all its analyses: executors, blocks, resume."""
