"""Dots in a layer's name are levels of its variables' paths: ``stages.0.blocks.1`` has ``stages/0/blocks/1/reduce/conv/kernel``."""

from __future__ import annotations

from collections.abc import Sequence

import keras


def own_scope(layer: keras.layers.Layer):
    """Return a scope to build `layer` in, with a level for each dot; names of variables on PyTorch cannot have dots."""
    parent, _, name = layer.path.replace(".", "/").rpartition("/")
    return keras.name_scope(name, override_parent=parent)


def build_numbered(name: str, parts: Sequence[keras.layers.Layer], *shape: int | None) -> None:
    """Build layers that are named by their number, each for inputs of `shape`, in the scope `name`."""
    with keras.name_scope(name):
        for part in parts:
            part.build(shape or None)
