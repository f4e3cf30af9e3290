"""Converters between weights of other code bases and the canonical tensors, one module per code base."""
