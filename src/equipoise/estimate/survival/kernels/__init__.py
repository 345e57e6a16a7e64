"""The compiled kernels of times to an event: arrays in, arrays out; no data frames, no classes."""
