"""The front matter of a card: what the Hub reads of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from axialzoo.checkpoint import Config
from axialzoo.hub.address import HUB_ID

TAGS = ("axial-attention", "pytorch", "keras", "safetensors", "vision")
METRICS = {"top1": "accuracy", "top5": "top-5-accuracy", "miou": "mean_iou"}  # where the Hub has a name of its own
IMAGES = "_images"  # what ends the name of a count of images: its beginning is the split


def front_matter(config: Config, repo_id: str, base_model: str | None = None) -> str:
    """Return the YAML front matter, with its lines of three hyphens.

    Args:
        config: Its ``provenance`` may hold ``licence``, ``metrics``, ``data`` and ``base_model``.
        repo_id: Where it is published.
        base_model: The repository on the Hub whose weights these started from.
    """
    from huggingface_hub import ModelCardData

    tag = None if config.spec.head is None else config.spec.head.pipeline_tag
    base = base_model or _base(config)
    results = _results(config, tag)
    licence = licence_of(config)
    data = ModelCardData(
        license=licence,
        license_name="see-card" if licence == "other" else None,
        license_link=f"https://huggingface.co/{repo_id}" if licence == "other" else None,
        library_name="axialzoo",
        tags=[*TAGS, *([config.model] if config.model != "custom" else [])],
        datasets=[dataset] if (dataset := dataset_of(config)[0]) else None,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
        pipeline_tag=tag,
        base_model=base,
        model_name=repo_id.rpartition("/")[2],
        eval_results=results or None,
    )
    if not results:
        data.model_name = None
    return f"---\n{data.to_yaml()}\n---"


def licence_of(config: Config) -> str:
    """Return the licence as the Hub writes it; ``"other"`` for a licence that the Hub does not list."""
    licence = str(config.provenance.get("licence") or "other").lower()
    return licence if re.fullmatch("[a-z0-9.-]+", licence) else "other"


def dataset_of(config: Config) -> tuple[str, str]:
    """Return the data set that the weights were evaluated on: its name on the Hub, and its name."""
    data, metrics = config.provenance.get("data"), metrics_of(config)
    name = str(data.get("name") or "") if isinstance(data, Mapping) else str(metrics.get("data") or "")
    hub_name = str(data.get("hub") or "") if isinstance(data, Mapping) else ""
    return hub_name or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"), name


def metrics_of(config: Config) -> Mapping[str, Any]:
    """Return the recorded metrics of the weights: figures, the number of images of a split, the data."""
    metrics = config.provenance.get("metrics")
    return metrics if isinstance(metrics, Mapping) else {}


def split_of(metrics: Mapping[str, Any]) -> tuple[str, int | None]:
    """Return the split that the metrics are of, and its number of images."""
    for key, value in metrics.items():
        if key.endswith(IMAGES) and isinstance(value, int):
            return key.removesuffix(IMAGES), value
    return "", None


def _base(config: Config) -> str | None:
    """Return the repository of the weights that the recipe started from, or None if they are not on the Hub."""
    recipe = config.provenance.get("recipe")
    recipe = recipe if isinstance(recipe, Mapping) else {}
    start = recipe.get("init_from") or recipe.get("start")  # `start` in provenance before version 3
    base_model = config.provenance.get("base_model") or start
    match = HUB_ID.fullmatch(base_model) if isinstance(base_model, str) else None
    return match["repo"] if match else None


def _results(config: Config, tag: str | None) -> list[Any]:
    from huggingface_hub import EvalResult

    metrics, (dataset, name) = metrics_of(config), dataset_of(config)
    split, _ = split_of(metrics)
    if tag is None or not dataset:
        return []
    return [
        EvalResult(
            task_type=tag, dataset_type=dataset, dataset_name=name, dataset_split=split or None,
            metric_type=METRICS.get(key, key), metric_name=key, metric_value=round(value, 4),
        )
        for key, value in metrics.items()
        if isinstance(value, float)
    ]  # fmt: skip
