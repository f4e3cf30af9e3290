"""Earlier names of arguments and of options of the command line, refused with the names of today."""

from __future__ import annotations

from collections.abc import Container

RENAMED: dict[str, tuple[str, ...]] = {
    "any_size": ("dynamic_shapes",),
    "batch": ("batch_size",),
    "check": ("dry_run",),
    "examples": ("card_examples",),
    "figures": ("metrics",),
    "flip": ("hflip",),
    "flips": ("hflip",),
    "from": ("url", "framework"),
    "long_axis": ("beyond_tables",),
    "memory": ("memory_limit",),
    "pictures": ("save_vis",),
    "plain": ("no_fused",),
    "reading": ("targets", "postprocess"),
    "record": ("update_card",),
    "rounds": ("repeats",),
    "seconds": ("timeout",),
}


def renamed_hint(name: str, known: Container[str]) -> str:
    """Return ``"; 'flips' is hflip now"`` for an earlier name of some of the known ones, else ``""``."""
    new = [candidate for candidate in RENAMED.get(name, ()) if candidate in known]
    return f"; {name!r} is {' and '.join(new)} now" if new else ""
