"""Costs against the positions of a map, on logarithmic axes, where a power is a straight line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from axialzoo.files import atomic_write

COLOURS = ("#d9480f", "#2563aa", "#168064", "#7850a0", "#b8860b", "#c2255c", "#4b5563", "#0c8599", "#5c940d", "#862e9c", "#364fc7")
MARKERS = "osD^vP*Xhd<"
PANELS = {  # key -> (title, unit, what one unit is)
    "seconds": ("Time", "milliseconds", 1e-3),
    "memory_bytes": ("Peak memory of tensors", "MiB", 2**20),
    "multiply_adds": ("Multiply-adds", "billions", 1e9),
}
PLOTS = {"compare": tuple(PANELS), "time": ("seconds",), "memory": ("memory_bytes",), "multiply_adds": ("multiply_adds",)}


def draw_growth(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """``compare.png`` with all measures, and ``time.png``, ``memory.png``, ``multiply_adds.png`` with one each.

    Args:
        report: What ``axialzoo compare --json`` prints.
        folder: Where they go.

    Returns:
        Their paths.
    """
    return [_draw(report, keys, folder / f"{name}.png") for name, keys in PLOTS.items()]


def _draw(report: Mapping[str, Any], keys: Sequence[str], path: Path) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(keys), figsize=(4.6 * len(keys) + 0.2, 4.9), layout="constrained", squeeze=False)
    for axis, key in zip(axes[0], keys):
        _panel(axis, report, key)
    what = "whole network" if report["layer"] is None else f"attention of {report['layer']}"
    batch = f", batch {report['batch']}" if report["batch"] > 1 else ""
    place = f"{report['threads']} CPU thread{'s' * (report['threads'] > 1)}" if report["device"] == "cpu" else report["device"]
    figure.suptitle(
        f"{report['model']}, {what}: {report['mode']}{batch}, {place}", fontsize=10.5 if len(keys) > 1 else 8.5, color="#374151"
    )
    with atomic_write(path) as beside:
        figure.savefig(beside, dpi=110)
    plt.close(figure)
    return path


def _panel(axis: Any, report: Mapping[str, Any], key: str) -> None:
    title, unit, unit_size = PANELS[key]
    sizes: dict[int, str] = {}
    for index, (kind, of_kind) in enumerate(report["kinds"].items()):
        rows = [row for row in of_kind["sizes"] if row[key] is not None]
        sizes |= {row["positions"]: _size(row["size"]) for row in of_kind["sizes"]}
        power = of_kind["exponents"][key]
        label = kind if power is None else f"{kind}  {power:.2f}"
        axis.plot(
            [row["positions"] for row in rows], [row[key] / unit_size for row in rows], label=label, linewidth=1.6, markersize=5,
            color=COLOURS[index % len(COLOURS)], marker=MARKERS[index % len(MARKERS)],
        )  # fmt: skip
    axis.set(xscale="log", yscale="log", title=title, ylabel=unit, xlabel="pixels" if report["layer"] is None else "positions of the map")
    axis.set_xticks(sorted(sizes), [sizes[positions] for positions in sorted(sizes)])
    axis.minorticks_off()
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(
        title="kind and exponent", loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2, fontsize=8.5, title_fontsize=8.5, frameon=False
    )


def _size(size: Sequence[int]) -> str:
    return f"{size[0]}²" if size[0] == size[1] else f"{size[0]} x {size[1]}"
