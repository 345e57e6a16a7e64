"""The compiled kernels of linear models: arrays in, arrays out; no data frames, no classes."""
