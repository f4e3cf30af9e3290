"""Facts about a model without any framework: its size, cost, stages, published numbers and weights."""

from __future__ import annotations

from axialzoo.spec import Model, adapt, aliases, cost, get_entry, size_pair, to_dict


def model_info(name: str, input_size=None, output_stride: int | None = None, attention: str | None = None) -> dict:
    """Describe a registered model as plain JSON.

    Args:
        name: Its name or alias.
        input_size: A side or (height, width) in pixels, for the cost; default the model's own.
        output_stride: Of the last stage, 8, 16 or 32; default the model's own.
        attention: Another kind of attention, of `axialzoo.spec.KINDS`.

    Returns:
        ``name``, ``aliases``, ``summary``, ``source``, ``published``, ``weights`` (tag -> location), and the result of
        :func:`describe`.

    Raises:
        SpecError: for an unknown name, naming the nearest; for a model that has no such output stride.

    Example:
        >>> import axialzoo
        >>> axialzoo.model_info("axial_resnet26_s")["parameters"]
        5944936
    """
    entry = get_entry(name)
    spec = adapt(entry.at(output_stride), output_stride=output_stride, attention=attention)
    return {
        "name": entry.name,
        "aliases": aliases(entry.name),
        "summary": entry.summary,
        "source": entry.source,
        "published": dict(entry.published) if spec == entry.spec else {},
        "weights": dict(entry.weights),
        **describe(spec, input_size),
    }


def describe(spec: Model, input_size=None) -> dict:
    """Describe any spec as plain JSON.

    Returns:
        ``parameters``, ``multiply_adds``, ``attention_multiply_adds`` and ``activation_bytes`` for an image of ``input_size``, ``stages``
        (name, stride, channels, blocks, size of the output), ``classes``, ``task``, ``spec``.
    """
    size = spec.input_size if input_size is None else size_pair(input_size)
    price = cost(spec, size)
    return {
        "task": spec.task,
        "classes": spec.num_classes,
        "input_size": list(size),
        "parameters": price.parameters,
        "multiply_adds": price.multiply_adds,
        "attention_multiply_adds": price.attention_multiply_adds,
        "activation_bytes": price.activation_bytes,
        "stages": [
            {
                "name": point["module"],
                "stride": point["reduction"],
                "channels": point["num_chs"],
                "blocks": _blocks(spec, point["module"]),
                "size": [-(-side // point["reduction"]) for side in size],
            }
            for point in spec.backbone.feature_info()
        ],
        "spec": to_dict(spec),
    }


def _blocks(spec: Model, module: str) -> list[str]:
    """Return the kinds of a stage's blocks; for the stem, its convolutions."""
    owner, _, index = module.partition(".")
    if owner == "stem":
        return [f"conv{conv.kernel}x{conv.kernel}" for conv in spec.backbone.stem.convs]
    if owner == "neck":
        return [kind for stage in spec.backbone.neck for kind in ("fuse", *(block.kind for block in stage.blocks))]
    return [block.kind for block in spec.backbone.stages[int(index)].blocks]
