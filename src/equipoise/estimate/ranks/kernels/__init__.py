"""The compiled kernels of ranks and wins: arrays in, arrays out; no data frames, no classes."""
