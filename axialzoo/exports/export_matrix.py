"""The table of frameworks and export formats, for one size or any size; tests and documentation use it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from axialzoo.spec import SpecError, did_you_mean

FORMATS = {".pt2": "torch.export", ".onnx": "ONNX", ".tflite": "LiteRT", "": "SavedModel"}  # by suffix; a folder has no suffix
PACKAGES = {".onnx": {"onnx": "export", "onnxscript": "export", "onnxruntime": "export"}}  # optional, by suffix, with their extra
SIZES = ("fixed", "any")


@dataclass(frozen=True)
class ExportTarget:
    """An export format of one framework, and its limits.

    Attributes:
        fixed: Reason why it is not supported for one size and any batch; empty where it is.
        any: Reason why it is not supported for any height, width and batch; empty where it is.
    """

    fixed: str = ""
    any: str = ""

    def reason(self, sizes: str) -> str:
        """Return the reason why it is not supported for `sizes`, ``"fixed"`` or ``"any"``; empty where it is."""
        return self.any if sizes == "any" else self.fixed


def _none(reason: str) -> ExportTarget:
    return ExportTarget(reason, reason)


_TORCH = "--framework torch, which computes the same from the same weights, has it"
_TENSORFLOW = "KERAS_BACKEND=tensorflow, which computes the same from the same weights, has it"
_OTHER_BACKEND = f"Keras writes it on its torch back end alone; {_TORCH}"
_KERAS = "PyTorch does not write it; --framework keras with " + _TENSORFLOW

EXPORT_MATRIX: dict[tuple[str, str], ExportTarget] = {
    ("torch", ".pt2"): ExportTarget(),
    ("torch", ".onnx"): ExportTarget(),
    ("torch", ""): _none(_KERAS),
    ("torch", ".tflite"): _none(_KERAS),
    ("keras-tensorflow", ""): ExportTarget(),
    ("keras-tensorflow", ".tflite"): ExportTarget(),
    ("keras-tensorflow", ".onnx"): _none(_OTHER_BACKEND),
    ("keras-tensorflow", ".pt2"): _none(_OTHER_BACKEND),
    ("keras-jax", ""): ExportTarget(any="JAX compiles for one height and width; " + _TENSORFLOW),
    ("keras-jax", ".tflite"): _none("Keras does not write it on JAX; " + _TENSORFLOW),
    ("keras-jax", ".onnx"): _none(_OTHER_BACKEND),
    ("keras-jax", ".pt2"): _none(_OTHER_BACKEND),
    ("keras-torch", ".pt2"): ExportTarget(),
    ("keras-torch", ".onnx"): ExportTarget(),
    ("keras-torch", ""): _none("Keras does not write it on PyTorch; " + _TENSORFLOW),
    ("keras-torch", ".tflite"): _none("Keras does not write it on PyTorch without further packages; " + _TENSORFLOW),
}


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the suffix of a path, one of :data:`FORMATS`.

    Raises:
        SpecError: for another suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        known = ", ".join(filter(None, FORMATS))
        raise SpecError(
            f"{path}: expected a file ending in {known}, or a folder for a SavedModel, found {suffix!r}{did_you_mean(suffix, FORMATS)}"
        )
    return suffix


def as_markdown() -> str:
    """Return the table as Markdown, as the documentation prints it."""
    rows = ["| from | format | one size, any batch | any size |", "|---|---|---|---|"]
    for (exporter, suffix), target in EXPORT_MATRIX.items():
        answers = [target.reason(sizes).partition(";")[0] or "yes" for sizes in SIZES]
        rows.append(f"| {exporter} | {FORMATS[suffix]} ({f'`{suffix}`' if suffix else 'a folder'}) | {answers[0]} | {answers[1]} |")
    return "\n".join(rows)
