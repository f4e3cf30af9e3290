"""``axialzoo predict --out results.parquet``: in batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from axialzoo.cli.shared import emit, say, say_if_compiling, stdout_kept_clean

BATCHES = (".parquet", ".jsonl")  # of --out


def run_batch(
    images: Sequence[Path], model: str, out: Path, how: dict[str, Any], tta: dict[str, Any], *, as_json: bool, quiet: bool
) -> None:
    """Predicts in batches, and says how it went.

    Args:
        how: Arguments of :func:`axialzoo.engine.predict_batch`.
        tta: As of :func:`axialzoo.cli.shared.tta_options`.
    """
    from axialzoo.engine import predict_batch
    from axialzoo.train.progress import progress

    if how["optimize"]:
        say_if_compiling(quiet)
    with stdout_kept_clean(), progress("predicting", 100, shown=not quiet) as bar:
        report = predict_batch(
            images, model, out, progress=lambda done, total: bar(100 * done // total, f"{done:,} of {total:,}"), **how, **tta
        )
    if as_json:
        emit(report)
        return
    rate = f", {report['done'] / report['seconds']:,.1f} a second" if report["done"] and report["seconds"] else ""
    say(f"done: {report['done']:,} of {report['pictures']:,} pictures{rate}; {out} is whole", quiet)
    if report["errors"]:
        say(f"{report['errors']:,} of them could not be read: their rows have an error", quiet)
