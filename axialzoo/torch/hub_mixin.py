"""Methods that load models from the Hub and upload them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self, Unpack, cast

from axialzoo.hub import plan_build
from axialzoo.hub.mixin import HubMixin as SharedHubMixin
from axialzoo.spec import Changes
from axialzoo.torch.weights import load_tensors, save_model


class HubMixin(SharedHubMixin):
    """Adds ``from_pretrained`` and ``push_to_hub`` to a model with a head."""

    @classmethod
    def from_pretrained(cls, source: str | os.PathLike[str], **changes: Unpack[Changes]) -> Self:
        """Load a checkpoint's model with its weights, in evaluation mode.

        Args:
            source: ``"org/repo[@revision]"`` on the Hub, a folder, ``"name.tag"`` or ``"name"`` with weights.
            **changes: As for :func:`axialzoo.torch.create_model`.

        Raises:
            CheckpointError: where the weights are not whole, or the Hub does not have them.

        Example:
            >>> from axialzoo.torch import AxialModel
            >>> AxialModel.from_pretrained("axial_resnet_cifar10").labels[3].name
            'cat'
        """
        planned = plan_build("custom", source, **changes)
        assert planned.checkpoint is not None and planned.config is not None
        model = cast(Any, cls)(planned.spec)
        load_tensors(model, planned.checkpoint.tensors, replace=planned.replace, verified=True)
        model.name, model.config = planned.config.model, planned.config
        model.came_from = str(source)
        return model.eval()

    def _save(self, folder: Path, **saved: Any) -> None:
        save_model(cast(Any, self), folder, **saved)
