"""The compiled numerics: arrays in, arrays out; no data frames, no classes."""
