"""The kinds of attention that readers of the paper compare, by name, for any model that attends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from axialzoo.spec.attention import Attention
from axialzoo.spec.backbone import Backbone
from axialzoo.spec.block import Block
from axialzoo.spec.check import SpecError, did_you_mean, require

CONTENT: dict[str, Any] = {"similarity": ("content",), "value": ("content",)}

# name -> (what it is, and where from; the fields of Attention that make it)
KINDS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "axial": ("along columns, then rows, positions for queries, keys and values (arXiv:2003.07853, equation 4)", {}),
    "axial_local": ("the same within 15 positions (arXiv:2003.07853, section 4.1)", {"span": 15}),
    "axial_query": ("positions for queries alone (arXiv:1906.05909, equation 3)", {**CONTENT, "similarity": ("content", "query")}),
    "axial_query_key": ("positions for queries and keys", {**CONTENT, "similarity": ("content", "query", "key")}),
    "axial_none": ("no positions at all", CONTENT),
    "axial_absolute": ("a learned vector for each row and column (arXiv:1912.12180)", {**CONTENT, "encoding": "absolute"}),
    "axial_sinusoidal": ("a vector of sines for each row and column (arXiv:1706.03762)", {**CONTENT, "encoding": "sinusoidal"}),
    "gated_axial": ("learned factors on the position terms (Medical Transformer, arXiv:2102.10662)", {"gated": True}),
    "global": ("the whole map at once", {"kind": "global"}),
    "local": ("7 x 7 around each position (Stand-Alone Self-Attention, arXiv:1906.05909)", {"kind": "local", "span": 7}),
    "window": ("windows of 7 x 7, shifted in every other block (Swin, arXiv:2103.14030)", {"kind": "window", "span": 7}),
}


def with_kind(backbone: Backbone, kind: str) -> Backbone:
    """Return the backbone with another kind of attention in each attention block; heads, widths and strides stay.

    Args:
        backbone: One with attention.
        kind: A name in `KINDS`.

    Raises:
        SpecError: naming the nearest kind; or that the model has no attention.
    """
    if kind not in KINDS:
        raise SpecError(f"attention: unknown kind {kind!r}{did_you_mean(kind, KINDS)}; there are {', '.join(KINDS)}")
    attending = 0

    def change(block: Block) -> Block:
        nonlocal attending
        if block.attention is None:
            return block
        fields = dict(KINDS[kind][1])
        if fields.get("kind") == "window":
            fields["shifted"] = attending % 2 == 1
        attending += 1
        old = block.attention
        names = ("key_channels", "value_channels", "heads", "max_length", "beyond_tables", "downsample")
        shared = {name: getattr(old, name) for name in names}
        attention = Attention(**{**shared, **fields})
        if attention.kind in ("local", "window"):  # tables cover the window alone
            attention = replace(attention, max_length=attention.reach(attention.max_length) + 1)
        return replace(block, kind="axial" if attention.kind == "axial" else "attention", attention=attention)

    changed = backbone.map_blocks(change)
    require(attending > 0, f"attention={kind!r}: expected a model with attention, found one of convolutions alone")
    return changed
