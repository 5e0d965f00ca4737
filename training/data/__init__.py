"""Data sets as tensors, with their vocabulary, digest and licence."""
