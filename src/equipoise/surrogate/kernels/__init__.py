"""Compiled kernels of the surrogate room: plain float64 arrays, one literature or many."""
