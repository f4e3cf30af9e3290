"""Dots in a layer's name are levels of its variables' paths: ``stages.0.blocks.1`` has ``stages/0/blocks/1/reduce/conv/kernel``."""

from __future__ import annotations

from collections.abc import Sequence

import keras


def own_scope(layer: keras.layers.Layer):
    """A scope to build `layer` in, with a level for each dot; PyTorch, as a back end, takes no dots in names of variables."""
    parent, _, name = layer.path.replace(".", "/").rpartition("/")
    return keras.name_scope(name, override_parent=parent)


def build_numbered(name: str, parts: Sequence[keras.layers.Layer], *shape: int | None) -> None:
    """Builds layers that are called by their number, each for inputs of `shape`, in the scope `name`."""
    with keras.name_scope(name):
        for part in parts:
            part.build(shape or None)
