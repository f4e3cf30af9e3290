"""Methods that the models of both frameworks share: publishing, and what their checkpoint says of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from axialzoo.checkpoint import CheckpointError, Config, default_config
from axialzoo.hub.push import push_saved
from axialzoo.spec import Label, Model, Preprocessing
from axialzoo.spec.neighbours import check_arguments

SAVED = ("labels", "preprocessing", "provenance")  # options of a framework's `save_model`


class HubMixin:
    """``save_pretrained``, ``push_to_hub``, ``labels`` and ``preprocessing`` of a model with a head.

    Attributes:
        came_from: Source of the weights that ``from_pretrained`` loaded, or "".
        config: Config of the checkpoint that the weights were loaded from, or None.
        name, spec: The model's.
    """

    came_from = ""
    config: Config | None
    name: Any
    spec: Model

    def _save(self, folder: Path, **saved: Any) -> None:
        """Write a checkpoint folder; arguments as of the framework's ``save_model``."""
        raise NotImplementedError

    def save_pretrained(self, folder: str | os.PathLike[str], *, push_to_hub: bool = False, repo_id: str = "", **saved: Any) -> None:
        """Write the model as a checkpoint folder, which ``from_pretrained`` of both frameworks reads.

        Args:
            folder: Its files are replaced with ``overwrite=True`` alone.
            push_to_hub: Also publish it as `repo_id`: see :meth:`push_to_hub`.
            repo_id: ``"org/repo"``.
            **saved: ``labels``, ``preprocessing``, ``provenance``, ``overwrite``: see ``save_model`` of the model's framework.

        Raises:
            FileExistsError: where `folder` has a checkpoint and ``overwrite=True`` is not said.
            CheckpointError: for values that are not finite.
        """
        check_arguments(saved, (*SAVED, "overwrite"), "save_pretrained")
        if push_to_hub and not repo_id:
            raise CheckpointError("save_pretrained: expected repo_id='org/repo' with push_to_hub=True, found none")
        self._save(Path(folder), **saved)
        if push_to_hub:
            self.push_to_hub(repo_id, **{name: value for name, value in saved.items() if name != "overwrite"})

    def push_to_hub(self, repo_id: str, *, private: bool = False, revision: str | None = None, tag: str | None = None, **saved: Any) -> str:
        """Publish the model as it is, in one commit, and return the commit's address.

        ``axialzoo publish`` does so with golden activations and the parity of all frameworks, which it measures first.

        Args:
            repo_id: ``"org/repo"``, created where it does not exist.
            private: Whether the repository is private.
            revision: Branch to write to, created where it does not exist; default the main one.
            tag: Put on the commit; never moved.
            **saved: ``labels``, ``preprocessing``, ``provenance``: see ``save_model`` of the model's framework.

        Raises:
            CheckpointError: for values that are not finite, and where the Hub refuses.
        """
        check_arguments(saved, SAVED, "push_to_hub")
        return push_saved(lambda folder: self._save(folder, **saved), repo_id, self.came_from, private=private, revision=revision, tag=tag)

    @property
    def labels(self) -> tuple[Label, ...]:
        """Names of its classes, where its weights have them."""
        return () if self.config is None else self.config.labels

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of pictures: that of its weights, else the registry's for the model."""
        return (self.config or default_config(self.spec, self.name)).preprocessing
