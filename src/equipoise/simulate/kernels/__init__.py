"""Kernels that the engines of all diseases share."""
