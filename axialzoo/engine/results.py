"""Rows of results, and the two formats of their files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from axialzoo.data.parquet import arrow
from axialzoo.files import atomic_write, printable
from axialzoo.runtime.predict import ImagePrediction

FORMATS = (".parquet", ".jsonl")  # of results


def row_of(prediction: ImagePrediction, top: int | None = None) -> dict[str, Any]:
    """Return the row of a predicted picture, for any task.

    Args:
        prediction: A picture with one result, or an error.
        top: Number of classes or objects; default as `to_json` of the result.

    Returns:
        ``picture`` its name; ``width``, ``height`` in pixels, None where it cannot be read; ``labels`` and ``scores`` of the classes or
        objects, best first; ``result`` as `axialzoo predict --json` has it; ``error`` of a picture that cannot be read, else None.
    """
    if prediction.picture is None:
        return {**_nothing(printable(str(prediction.path))), "error": printable(prediction.error)}
    limit = {} if top is None else {"top": top}
    result = prediction.results[0]
    summary = result.summary(**limit)
    return {
        "picture": printable(str(prediction.path)),
        "width": prediction.picture.width,
        "height": prediction.picture.height,
        "labels": [label for label, _ in summary],
        "scores": [score for _, score in summary],
        "result": result.to_json(**limit),
        "error": None,
    }


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows as JSON lines or Parquet, by the suffix of `path`, completely or not at all; in Parquet ``result`` is JSON text.

    Raises:
        ModuleNotFoundError: for Parquet where pyarrow is not installed.
    """
    if path.suffix == ".jsonl":
        with atomic_write(path) as beside, open(beside, "w", encoding="utf-8") as file:
            file.writelines(_json(row) + "\n" for row in rows)
        return
    pyarrow = arrow()
    texts = [{**row, "result": None if row["result"] is None else _json(row["result"])} for row in rows]
    table = pyarrow.Table.from_pylist(texts, schema=_schema(pyarrow))
    with atomic_write(path) as beside:
        pyarrow.parquet.write_table(table, beside, compression="zstd")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _nothing(picture: str) -> dict[str, Any]:
    return {"picture": picture, "width": None, "height": None, "labels": None, "scores": None, "result": None}


def _schema(pyarrow: Any) -> Any:
    text, whole = pyarrow.string(), pyarrow.int32()
    return pyarrow.schema(
        [
            pyarrow.field("picture", text, nullable=False),
            pyarrow.field("width", whole),
            pyarrow.field("height", whole),
            pyarrow.field("labels", pyarrow.list_(text)),
            pyarrow.field("scores", pyarrow.list_(pyarrow.float64())),
            pyarrow.field("result", text),
            pyarrow.field("error", text),
        ]
    )
