"""Ranks and wins: joint rank tests, the combined assessment of function and survival, win statistics."""
