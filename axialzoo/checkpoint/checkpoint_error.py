"""The error of everything that reads or writes weights."""

from __future__ import annotations


class CheckpointError(ValueError):
    """Error about a damaged or unsuitable file or set of tensors: names it, what was expected and found, and what to do."""


class UnsupportedVersionError(CheckpointError):
    """A config of a version that this axialzoo does not read."""
