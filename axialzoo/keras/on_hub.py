"""Models from the Hub and to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self, Unpack, cast

from axialzoo.hub import push_saved, to_build
from axialzoo.keras.weights import load_tensors, save_model
from axialzoo.spec import Changes


class OnHub:
    """``from_pretrained`` and ``push_to_hub`` of a model with a head.

    Attributes:
        came_from: What the weights were loaded from by ``from_pretrained``, or "".
    """

    came_from = ""

    @classmethod
    def from_pretrained(cls, source: str | os.PathLike[str], *, dtype: Any = None, **changes: Unpack[Changes]) -> Self:
        """The model that a checkpoint holds, with its weights.

        Args:
            source: ``"org/repo[@revision]"`` on the Hub, a folder, ``"name.tag"`` or ``"name"`` with weights.
            dtype, **changes: As for :func:`axialzoo.keras.create_model`.

        Raises:
            CheckpointError: where the weights are not whole, or the Hub does not have them.

        Example:
            >>> from axialzoo.keras import AxialModel
            >>> AxialModel.from_pretrained("axial_resnet_cifar10").labels[3].name
            'cat'
        """
        planned = to_build("custom", source, **changes)
        assert planned.checkpoint is not None and planned.config is not None
        size = changes.get("input_size")
        model = cast(Any, cls)(planned.spec, input_size=size, dtype=dtype, name=planned.config.model)
        load_tensors(model, planned.checkpoint.tensors, replace=planned.replace, verified=True)
        model.config = planned.config
        model.came_from = str(source)
        return model

    def push_to_hub(self, repo_id: str, *, private: bool = False, revision: str | None = None, tag: str | None = None, **saved: Any) -> str:
        """Publishes the model as it is, in one commit; returns the commit's address.

        ``axialzoo publish`` does so with golden activations and the parity of all frameworks, which it measures first.

        Args:
            repo_id: ``"org/repo"``, created where it does not exist.
            private: Whether the repository is private.
            revision: Branch to write to, created where it does not exist; default the main one.
            tag: Put on the commit; never moved.
            **saved: ``labels``, ``preprocessing``, ``provenance``: see :func:`axialzoo.keras.save_model`.

        Raises:
            CheckpointError: for values that are not finite, and where the Hub refuses.
        """

        def save(folder: Path) -> None:
            save_model(cast(Any, self), folder, **saved)

        return push_saved(save, repo_id, self.came_from, private=private, revision=revision, tag=tag)
