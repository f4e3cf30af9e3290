"""Checks that tensors are those of a model: their names, shapes, dtypes, values and digest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from axialzoo.checkpoint.checkpoint_error import CheckpointError
from axialzoo.checkpoint.safetensors import NAMES, Tensors, flat_bytes
from axialzoo.spec import Model, did_you_mean, parameters

CHUNK = 1 << 20  # bytes; small enough that a chunk is still in the cache when it is hashed


def digest(tensors: Tensors) -> str:
    """Return ``"sha256:..."`` over name, dtype, shape and bytes of each tensor in the order of names.

    The digest does not depend on the framework or format of the tensors: it is the SHA-256 of, for each tensor, the line
    ``["name","F32",[64,3]]`` and the SHA-256 of its little-endian bytes in C order.

    Example:
        >>> digest({"a": np.zeros(2, np.float32)})[:15]
        'sha256:e8cb5af1'
    """
    return _digest_of(tensors, _inspect(tensors, hashing=True))


def check_tensors(
    tensors: Tensors,
    spec: Model,
    *,
    where: str,
    ignore: Collection[str] = (),
    check_finite: bool = True,
    expected_digest: str = "",
) -> None:
    """Check that `tensors` are exactly those of `spec`: each is used once, all have one dtype and finite values.

    Args:
        tensors: Canonical names, PyTorch's layout.
        spec: What predicts them.
        where: File or folder, for the message.
        ignore: Names that are expected on neither side.
        check_finite: Whether to look for values that are not finite.
        expected_digest: Result that :func:`digest` must have, unless empty.

    Raises:
        CheckpointError: one, with the complete list of what is missing, left over, misshapen, of the wrong dtype or
            not finite; or that the digest differs.
    """
    targets = {parameter.name: parameter.shape for parameter in parameters(spec) if parameter.name not in ignore}
    sources = {name: array for name, array in tensors.items() if name not in ignore}
    check_match(sources, targets, where)
    if check_finite or expected_digest:
        inspected = _inspect(tensors, hashing=bool(expected_digest))
        broken = [f"{name} ({count} of {tensors[name].size} values)" for name, (_, count) in inspected.items() if count]
        if check_finite and broken:
            raise _unfit(where, {"not finite": broken})
        if expected_digest:
            _refuse_other(where, expected_digest, _digest_of(tensors, inspected))


def check_digest(tensors: Tensors, expected: str, where: str) -> None:
    """Check that :func:`digest` of `tensors` is `expected`, whatever model they are of.

    Raises:
        CheckpointError: naming both digests.
    """
    _refuse_other(where, expected, digest(tensors))


def _refuse_other(where: str, expected: str, actual: str) -> None:
    if actual != expected:
        raise CheckpointError(
            f"{where}: the weights are not those that the config describes: expected digest {expected}, found {actual}; "
            "the file is damaged or belongs to another config: fetch or write it again"
        )


def check_match(sources: Tensors, targets: dict[str, tuple[int, ...]], where: str) -> None:
    """Check that `sources` and `targets` have the same names and shapes, and that all sources have one dtype."""
    missing = [name for name in targets if name not in sources]
    left = [f"{name}{did_you_mean(name, missing) if len(missing) < 50 else ''}" for name in sources if name not in targets]
    misshapen = [
        f"{name} (expected {targets[name]}, found {array.shape})"
        for name, array in sources.items()
        if name in targets and array.shape != targets[name]
    ]
    dtypes: dict[str, list[str]] = {}
    for name, array in sources.items():
        dtypes.setdefault(NAMES.get(array.dtype.newbyteorder("<"), str(array.dtype)), []).append(name)
    common = max(dtypes, key=lambda dtype: (dtype in NAMES.values(), len(dtypes[dtype])), default="F32")
    wrong = [f"{name} (expected {common}, found {dtype})" for dtype, names in dtypes.items() if dtype != common for name in names]
    if common not in NAMES.values():
        wrong = [f"{name} (expected F16, F32 or F64, found {common})" for name in dtypes[common]]
    if missing or left or misshapen or wrong:
        raise _unfit(where, {"missing": missing, "left over": left, "misshapen": misshapen, "of the wrong dtype": wrong})


def _unfit(where: str, lists: dict[str, list[str]]) -> CheckpointError:
    lines = [f"  {what} ({len(names)}): {', '.join(names)}" for what, names in lists.items() if names]
    return CheckpointError(
        "\n".join([f"{where}: the tensors are not those of the model; nothing was loaded", *lines, "check that it is the right file"])
    )


def _digest_of(tensors: Tensors, inspected: dict[str, tuple[bytes, int]]) -> str:
    total = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name]
        dtype = NAMES.get(array.dtype.newbyteorder("<"))
        if dtype is None:
            raise CheckpointError(f"{name} is {array.dtype}; expected float16, float32 or float64: convert it first")
        line = json.dumps([name, dtype, list(array.shape)], separators=(",", ":"), ensure_ascii=False)
        total.update(f"{line}\n".encode())
        total.update(inspected[name][0])
    return f"sha256:{total.hexdigest()}"


def _inspect(tensors: Tensors, hashing: bool) -> dict[str, tuple[bytes, int]]:
    """Return SHA-256 (if `hashing`) and number of values that are not finite of each tensor, in one pass, on all cores."""

    def inspect(array: np.ndarray) -> tuple[bytes, int]:
        sha, bad = hashlib.sha256(), 0
        flat = np.ascontiguousarray(array).reshape(-1)
        step = CHUNK // flat.itemsize
        finite = np.empty(min(step, flat.size), bool)
        for begin in range(0, flat.size, step):
            chunk = flat[begin : begin + step]
            good = np.isfinite(chunk, out=finite[: chunk.size])
            bad += 0 if good.all() else chunk.size - int(good.sum())
            if hashing:
                sha.update(flat_bytes(chunk))
        return sha.digest(), bad

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return dict(zip(tensors, pool.map(inspect, tensors.values())))
