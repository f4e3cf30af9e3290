"""Explanation of a slot of a mask transformer: its pixels stage by stage, and the attention of its token."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from axialzoo.analysis.attention_probe import Source, view_at
from axialzoo.analysis.networks import random_network
from axialzoo.analysis.picture import Panel, Row, draw_grid
from axialzoo.files import check_output
from axialzoo.image import load_image
from axialzoo.runtime.local import torch_model
from axialzoo.spec import SpecError
from axialzoo.torch.transformer import DualPathTransformer

CENTER = (0.5, 0.5)  # shares of width and height
COLUMNS = 4  # panels of a row


def explain_slot(
    source: Source,
    path: str | os.PathLike[str],
    slot: int,
    *,
    seed: int = 0,
    out: Path | None = None,
    overwrite: bool = False,
    log: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Return the numbers that ``axialzoo explain --slot --json`` prints; `out` gets the picture.

    Args:
        source: A model with slots.
        path: A photograph.
        slot: Number of the slot, from 0.
        seed: Of random weights.
        out: File of the picture; never `path` itself.
        overwrite: Whether an existing file is replaced.
        log: Gets a line on progress.

    Raises:
        SpecError: for a model without slots, or a slot that it has not.
    """
    if out is not None:
        check_output(out, inputs=[path], overwrite=overwrite)
    slots = getattr(source.spec.head, "slots", None)
    if slots is None:
        raise SpecError(f"--slot: expected a model with slots, found {source.name}; --point explains a pixel")
    if not 0 <= slot < slots:
        raise SpecError(f"--slot: expected a number from 0 to {slots - 1}, found {slot}")
    view = view_at(load_image(path), CENTER, source.preprocessing)
    network = random_network(source.spec, view.image, seed) if source.tensors is None else torch_model(source.spec, source.tensors)
    log(f"{source.name}, slot {slot}")
    stages, outputs = slot_maps(network.eval(), view.image, slot)
    probabilities = outputs["class_logits"][0, slot].softmax(-1)[:-1]  # (classes,)
    report = {
        "model": source.name,
        "weights": "random" if source.tensors is None else "trained",
        "digest": source.digest,
        "image": str(path),
        "slot": slot,
        "class": int(probabilities.argmax()),
        "probability": float(probabilities.max()),
        "input_size": list(view.image.shape[2:]),
        "stages": [{"name": name, "map": list(weights.shape), "share": owned, "kind": kind} for name, kind, weights, owned in stages],
    }
    if out is not None:
        panels = [Panel(name, f"{kind}, {owned:.1%} of pixels assigned", weights) for name, kind, weights, owned in stages]
        height, width = view.image.shape[2:]
        image = Panel("input image", f"{height} x {width} pixels")
        rows = [Row("Input image and final mask of the slot", [image, panels[-1]])]
        rows += [
            Row("Attention and masks of the slot, stage by stage", panels[first : first + COLUMNS])
            for first in range(0, len(panels) - 1, COLUMNS)
        ]
        row, column = divmod(int(stages[-1][2].argmax()), stages[-1][2].shape[1])
        mark = ((column + 0.5) / stages[-1][2].shape[1], (row + 0.5) / stages[-1][2].shape[0])
        caption = f"{source.name}, slot {slot}: class {report['class']}, {report['probability']:.1%}; {report['weights']} weights"
        title = f"Slot {slot} of {source.name}: the pixels that it attends to or masks"
        draw_grid(view.photo, mark, rows, caption, out, title=title, mark_label="mask maximum")
        report["picture"] = str(out)
    return report


def slot_maps(network: nn.Module, image: Tensor, slot: int) -> tuple[list[tuple[str, str, np.ndarray, float]], dict[str, Tensor]]:
    """Return each stage's name, kind, map (H, W) and share of owned pixels, in the order in which they run; and the model's outputs.

    The kind is ``"attention"`` of the slot's token to the pixels, averaged over heads, or the ``"mask"`` of the slot: its probability at
    each pixel. A pixel is owned by the slot that has the largest value there.
    """
    stages: list[tuple[str, str, np.ndarray, float]] = []

    def record_attention(name: str) -> Callable[..., None]:
        def hook(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            q, k = inputs[:2]  # (1, G, T, D), (1, G, HW + T, D)
            scale = module.norm_similarity.scale_and_shift()[0][:, None, None]  # (G, 1, 1)
            weights = ((q * scale) @ k.mT).softmax(-1).mean(1)[0]  # (T, HW + T)
            height, width = sizes[name]
            weights = weights[:, : height * width]
            owned = float((weights.argmax(0) == slot).float().mean())
            stages.append((name, "attention", weights[slot].unflatten(0, (height, width)).numpy(), owned))

        return hook

    def record_size(name: str) -> Callable[..., None]:
        return lambda module, inputs: sizes.__setitem__(name, tuple(inputs[0].shape[2:]))

    sizes: dict[str, Any] = {}
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, DualPathTransformer):
            handles.append(module.register_forward_pre_hook(record_size(name)))
            handles.append(module.memory_attention.register_forward_hook(record_attention(name)))
        elif name.startswith("head.kmeans.") and name.endswith(".predictor"):
            label = name.removesuffix(".predictor")
            handles.append(
                module.register_forward_hook(lambda module, inputs, output, label=label: stages.append(mask(label, output, slot)))
            )
    try:
        with torch.no_grad():
            outputs = network(image)
    finally:
        for handle in handles:
            handle.remove()
    return [*stages, mask("final", outputs, slot)], outputs


def mask(name: str, outputs: dict[str, Tensor], slot: int) -> tuple[str, str, np.ndarray, float]:
    """Return the stage of a predictor's outputs."""
    logits = outputs["mask_logits"][0]  # (S, H, W)
    owned = float((logits.argmax(0) == slot).float().mean())
    return name, "mask", logits.softmax(0)[slot].detach().numpy(), owned
