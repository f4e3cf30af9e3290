"""Losses beside the heads, mirrored in both frameworks."""
