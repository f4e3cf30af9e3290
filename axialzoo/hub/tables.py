"""The tables of a card: figures of each framework, and how well frameworks and back ends agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from axialzoo.checkpoint import Config
from axialzoo.hub.metadata import dataset_of, metrics_of, split_of


def metric_lines(config: Config, evaluations: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """Return the lines of a table of metrics, with a column for each evaluation, and the data that they were measured on.

    Args:
        config: Its ``provenance`` may hold ``metrics``, as ``axialzoo evaluate --update-card`` writes them.
        evaluations: What ``axialzoo evaluate --json`` said, one a framework and back end.
    """
    metrics = metrics_of(config)
    columns = {_title(evaluation): evaluation for evaluation in evaluations} or {"recorded": metrics}
    names = dict.fromkeys(key for figures in columns.values() for key, value in figures.items() if isinstance(value, float))
    rows = [[name, *(_figure(figures.get(name)) for figures in columns.values())] for name in names if name != "seconds"]
    if not rows:
        return []
    split, count = split_of(metrics)
    if evaluations:
        split, count = str(evaluations[0].get("split") or ""), evaluations[0].get("images")
    name = dataset_of(config)[1] or str(metrics.get("data") or "")
    of = ", ".join(part for part in (name, split, f"{count:,} images" if isinstance(count, int) else "") if part)
    return ["## Figures", "", *([f"Of {of}; fractions, in float32.", ""] if of else []), *markdown(["figure", *columns], rows)]


def parity_lines(report: Mapping[str, Any] | None, repo_id: str) -> list[str]:
    """Return the largest differences between frameworks and back ends, from the report of ``axialzoo verify``."""
    lines = ["## Parity", ""]
    if report is None or not report.get("parity"):
        return [*lines, f"Not measured when this was published; `axialzoo verify {repo_id}` measures it with what is installed."]
    pairs: dict[tuple[str, str], dict[str, tuple[float | None, float]]] = {}
    for pair in report["parity"]:
        cell = pairs.setdefault(tuple(pair["pair"]), {})
        before = cell.get(pair["precision"])
        worse = before is None or pair["error"] is None or (before[0] is not None and pair["error"] > before[0])
        if worse:
            cell[pair["precision"]] = (pair["error"], pair["limit"])
    precisions = list(dict.fromkeys(pair["precision"] for pair in report["parity"]))
    rows = [[*pair, *(_difference(cell.get(precision)) for precision in precisions)] for pair, cell in pairs.items()]
    limits = ", ".join(f"{limit:.0e} in {name}" for name, (_, limit) in next(iter(pairs.values())).items())
    return [
        *lines,
        "The largest difference of any output of the same weights and inputs, over the output's largest value (at least 1 in float32); "
        f"allowed are {limits}.",
        "",
        *markdown(["", "against", *precisions], rows),
    ]


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table; all but the first column are aligned right."""
    lines = [f"| {' | '.join(headings)} |", "|---|" + "--:|" * (len(headings) - 1)]
    return [*lines, *(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows)]


def _title(evaluation: Mapping[str, Any]) -> str:
    framework = {"torch": "PyTorch", "keras": "Keras"}.get(str(evaluation.get("framework")), "measured")
    return f"{framework} ({evaluation['backend']})" if evaluation.get("backend") else framework


def _figure(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "-"


def _difference(cell: tuple[float | None, float] | None) -> str:
    return "-" if cell is None else "not finite" if cell[0] is None else f"{cell[0]:.1e}"
