"""Weights of other code bases, to and from the canonical tensors: one module per foreign zoo."""
