"""Compiled code of design studies."""
