"""The images that a run trains on, and those that it keeps apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from axialzoo.checkpoint import Config
from axialzoo.data import ArraySplit, CachedSplit, Dataset, Split, split_off
from axialzoo.data.hash_split import names_digest, split_by_name
from axialzoo.image import model_view
from axialzoo.train.recipe import Recipe

HELD_OUT = "held_out"  # in a checkpoint's provenance: share, and digest of the names


def split_training(dataset: Dataset, recipe: Recipe) -> tuple[Split, Split]:
    """Return the images to train on, and those to watch progress with: some of ``train``, else ``val`` where there is one."""
    training = dataset.split("train")
    if recipe.holdout_share:
        return split_by_name(training, recipe.holdout_share)
    training, held_out = split_off(training, recipe.holdout, recipe.seed)
    return training, dataset.split("val") if not recipe.holdout and "val" in dataset.splits else held_out


def in_memory(training: Split, recipe: Recipe) -> Split:
    """Return the images to train on in memory as far as they fit; for ``augment="crop"``, which needs one size, as the model sees them."""
    if isinstance(training, ArraySplit):
        return training
    if recipe.augment != "crop" or not len(training) or not isinstance(training[0].annotation, int):
        return CachedSplit(training)
    samples = [training[index] for index in range(len(training))]
    pixels = np.stack([np.asarray(model_view(sample.picture, recipe.preprocessing)) for sample in samples])
    return ArraySplit(pixels, np.array([sample.annotation for sample in samples], np.int64))


def provenance_of(held_out: Split, recipe: Recipe) -> dict[str, Any]:
    """Return what a checkpoint says of the images that were kept apart by name; nothing if none were."""
    return {HELD_OUT: {"share": recipe.holdout_share, "digest": names_digest(held_out)}} if recipe.holdout_share else {}


def held_out_of(dataset: Dataset, config: Config) -> Split | None:
    """Return the images of data without splits that the training of a checkpoint kept apart; None where it did not train on them."""
    note = config.provenance.get(HELD_OUT)
    if not isinstance(note, dict) or "test" not in dataset.about.get("same_as", {}) or len(dataset.split("train")) < 2:
        return None
    _, held_out = split_by_name(dataset.split("train"), float(note.get("share", 0.0)))
    return held_out if names_digest(held_out) == note.get("digest") else None
