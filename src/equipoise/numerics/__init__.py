"""Random streams, small linear algebra and normal tails: the compiled numerics that more than one family uses."""
