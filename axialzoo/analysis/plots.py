"""Plots of cost against the positions of a map, on logarithmic axes, where a power law is a straight line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from axialzoo.files import atomic_write

COLOURS = ("#d9480f", "#2563aa", "#168064", "#7850a0", "#b8860b", "#c2255c", "#4b5563", "#0c8599", "#5c940d", "#862e9c", "#364fc7")
MARKERS = "osD^vP*Xhd<"
PANELS = {  # key -> (title, label of the axis, size of its unit)
    "seconds": ("Time", "time (ms)", 1e-3),
    "memory_bytes": ("Peak memory of tensors", "peak memory (MiB)", 2**20),
    "multiply_adds": ("Multiply-adds per image", "multiply-adds (billions)", 1e9),
}
PLOTS = {"compare": tuple(PANELS), "time": ("seconds",), "memory": ("memory_bytes",), "multiply_adds": ("multiply_adds",)}


def draw_growth(report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw ``compare.png`` with all costs, and ``time.png``, ``memory.png`` and ``multiply_adds.png`` with one each.

    Args:
        report: The report of ``axialzoo compare --json``.
        folder: Folder of the plots.

    Returns:
        Paths of the plots.
    """
    return [_draw(report, keys, folder / f"{name}.png") for name, keys in PLOTS.items()]


def _draw(report: Mapping[str, Any], keys: Sequence[str], path: Path) -> Path:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(keys), figsize=(4.6 * len(keys) + 0.2, 5.1), layout="constrained", squeeze=False)
    for axis, key in zip(axes[0], keys):
        _panel(axis, report, key)
    part = "whole model" if report["layer"] is None else f"attention of {report['layer']}"
    device = f"{report['threads']} CPU thread{'s' * (report['threads'] > 1)}" if report["device"] == "cpu" else report["device"]
    several = len(keys) > 1
    subject, conditions = f"{report['model']}, {part}", f"{report['mode']}, batch size {report['batch']}, {device}"
    title = f"Cost of kinds of attention against {_size_name(report)}\n{subject}{', ' if several else chr(10)}{conditions}"
    figure.suptitle(title, fontsize=10.5 if several else 8.5, color="#374151")
    with atomic_write(path) as beside:
        figure.savefig(beside, dpi=110)
    plt.close(figure)
    return path


def _panel(axis: Any, report: Mapping[str, Any], key: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator

    title, label, unit_size = PANELS[key]
    sizes: dict[int, str] = {}
    for index, (kind, of_kind) in enumerate(report["kinds"].items()):
        rows = [row for row in of_kind["sizes"] if row[key] is not None]
        sizes |= {row["positions"]: _size(row["size"]) for row in of_kind["sizes"]}
        power = of_kind["exponents"][key]
        name = kind if power is None else f"{kind}  (b = {power:.2f})"
        axis.plot(
            [row["positions"] for row in rows], [row[key] / unit_size for row in rows], label=name, linewidth=1.6, markersize=5,
            color=COLOURS[index % len(COLOURS)], marker=MARKERS[index % len(MARKERS)],
        )  # fmt: skip
    axis.set(xscale="log", yscale="log", title=title, ylabel=label, xlabel=f"{_size_name(report)} (height x width)")
    axis.set_xticks(sorted(sizes), [sizes[positions] for positions in sorted(sizes)])
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.minorticks_off()
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(
        title="kind of attention (b: cost grows as positions to the power b)",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.15),
        ncols=2,
        fontsize=8.5,
        title_fontsize=8.5,
        frameon=False,
    )


def _size_name(report: Mapping[str, Any]) -> str:
    return "image size in pixels" if report["layer"] is None else "feature map size in positions"


def _size(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"
