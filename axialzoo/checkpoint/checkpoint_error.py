"""The error of everything that reads or writes weights."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A file or a set of tensors that is not what it should be: says which, what was expected, found, and what to do."""


class UnsupportedVersionError(CheckpointError):
    """A config of a version that this axialzoo does not read."""
