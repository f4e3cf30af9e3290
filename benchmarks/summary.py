"""Table and plot of docs/speed.md, from the measured files in docs/results; nothing is measured here.

python benchmarks/summary.py                                # prints the table
python benchmarks/summary.py --plot docs/pictures/speed.png # and draws it
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"
COLUMNS = {
    "axialzoo": ("inference form", "ours"),
    "without the kernel": ("plain",),
    "the authors' code": ("theirs",),
    "ResNet-50": ("timm resnet50, channels last",),
    "ViT-S": ("timm vit_small_patch16_224",),
}
COLORS = ("#2563aa", "#9db8dc", "#e25822", "#8a8f98", "#c3c7cf")
Row = tuple[str, list[float | None]]  # a job, and milliseconds of the processor by column


def rows() -> list[Row]:
    """Return the jobs and their milliseconds, None where a column was not measured."""
    table_rows = []
    for name in ("inference", "training"):
        run = json.loads((RESULTS / f"{name}.json").read_text())
        for result in run["results"]:
            model, batch, size, *_ = [*result["case"].split(":"), "224"]
            times = [first(result["models"], keys) for keys in COLUMNS.values()]
            table_rows.append((f"{name}, `axial_resnet{model}`, {batch} x {size} x {size}", times))
    large = json.loads((RESULTS / "large.json").read_text())
    fused, plain = (1000 * large["results"][key]["whole"]["cpu_seconds"] for key in ("torch", "plain"))
    name = f"segments, `{large['model']}`, 1 x {large['size'].replace('x', ' x ')}"
    return [*table_rows, (name, [fused, plain, None, None, None])]


def first(models: dict[str, Any], keys: tuple[str, ...]) -> float | None:
    """Return the processor time of the first of the keys that was measured."""
    return next((models[key]["CPU ms"] for key in keys if key in models), None)


def table() -> str:
    """Return the table in Markdown, in milliseconds."""
    lines = [f"| job | {' | '.join(COLUMNS)} |", f"|---|{'--:|' * len(COLUMNS)}"]
    lines += [f"| {job} | {' | '.join('-' if ms is None else f'{ms:,.0f}' for ms in times)} |" for job, times in rows()]
    return "\n".join(lines)


def plot(path: Path) -> None:
    """Draw the processor time of each column relative to ours as bars, a group for each job."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    jobs = rows()
    figure = Figure(figsize=(9, 7.5), layout="constrained")
    axes, position, ticks = figure.subplots(), 0, []
    for job, times in jobs:
        bars = [(ms / times[0], color) for ms, color in zip(times, COLORS) if ms is not None and times[0]]
        for ratio, color in bars:
            axes.barh(position, ratio, height=0.85, color=color)
            axes.text(ratio + 0.1, position, f"{ratio:.1f}", va="center", fontsize=8)
            position += 1
        ticks.append((position - len(bars) / 2 - 0.5, job.replace("`", "").replace(", ", "\n", 1)))
        position += 1
    axes.set_yticks([tick for tick, _ in ticks], [label for _, label in ticks], fontsize=8)
    axes.set_ylim(position - 1, -1)
    axes.set_xlabel("processor time relative to axialzoo (less is faster), one CPU core, float32")
    axes.set_title("Time of the same job in axialzoo and in other code", fontsize=11)
    axes.legend(handles=[Patch(color=color, label=name) for color, name in zip(COLORS, COLUMNS)], fontsize=8, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, help="picture to draw")
    args = parser.parse_args()
    print(table())
    if args.plot:
        plot(args.plot)


if __name__ == "__main__":
    main()
