"""Compiled parts of joint models: plain float64 arrays in, plain arrays out."""
