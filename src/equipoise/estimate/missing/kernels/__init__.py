"""The compiled kernels of imputation: arrays in, arrays out; no data frames, no classes."""
