"""A run of batch prediction as it lies in its folder: what it is, and which of its files are there.

results.parquet/
  _plan.json               what the run is; programs that read folders of Parquet pass over names that begin with _
  part-000000.parquet      of each chunk its rows; there when it is whole
  part-000001.parquet
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from axialzoo.engine.inputs import Chunk
from axialzoo.engine.results import FORMATS
from axialzoo.files import check_output, write_text

NOTE = "_plan.json"


@dataclass(frozen=True)
class Plan:
    """What decides every byte of the results.

    Attributes:
        model: The checkpoint's name.
        digest: Of its weights.
        framework, backend, optimized: What computes: see :class:`axialzoo.runtime.Runner`.
        threads: Of each worker.
        batch: Pictures computed at once.
        tta: As :func:`axialzoo.tasks.tta_from_options` takes them.
        top: How many classes or objects are told of.
        pictures, parts: How many there are, of pictures and of files of results.
        input: Digest of the pictures' names in their order, shards with their sizes.
        device: Where it computes, as the user named it; None for the one that the framework takes by itself.
    """

    model: str
    digest: str
    framework: str
    backend: str | None
    optimized: bool
    threads: int
    batch: int
    tta: dict[str, Any] = field(default_factory=dict)
    top: int | None = None
    pictures: int = 0
    parts: int = 0
    input: str = ""
    device: str | None = None

    def to_json(self) -> dict[str, Any]:
        fields = json.loads(json.dumps(asdict(self)))
        return fields if self.device else {name: value for name, value in fields.items() if name != "device"}


def input_digest(chunks: Sequence[Chunk]) -> str:
    """Of which pictures are in which chunk."""
    hasher = hashlib.sha256()
    for chunk in chunks:
        size = os.path.getsize(chunk.shard) if chunk.shard else 0
        hasher.update(json.dumps([chunk.to_json(), size]).encode())
    return f"sha256:{hasher.hexdigest()}"


def part_path(folder: Path, number: int) -> Path:
    """Where the rows of chunk `number` lie."""
    return folder / f"part-{number:06}{folder.suffix}"


def open_run(folder: Path, plan: Plan, inputs: Sequence[str | os.PathLike], *, resume: bool, overwrite: bool) -> None:
    """Makes the folder of a run, or makes sure that the one there is this run.

    Args:
        resume: Go on with what is there; where nothing is, begin.
        overwrite: Remove what is there.

    Raises:
        ValueError: for a name that is neither of Parquet nor of JSON lines.
        FileExistsError: where something is there that this run may not touch.
    """
    check_format(folder)
    if resume and (folder / NOTE).is_file():
        before, now = json.loads((folder / NOTE).read_text()), plan.to_json()
        differing = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
        if differing:
            differences = "; ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in differing)
            raise FileExistsError(f"{folder}: holds another run ({NOTE}): {differences}; choose another folder, or replace it (--force)")
        for leftover in folder.glob(".*.part-*"):  # of a process that was killed as it wrote
            leftover.unlink(missing_ok=True)
        return
    if os.path.lexists(folder) and not (resume and folder.is_dir() and not any(folder.iterdir())):
        check_output(folder, inputs=inputs, overwrite=overwrite)
        if folder.is_dir() and any(folder.iterdir()) and not (folder / NOTE).is_file():
            raise FileExistsError(f"{folder}: holds no results of a batch prediction ({NOTE}) and is not replaced; choose another folder")
        shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / NOTE, json.dumps(plan.to_json(), indent=2) + "\n")


def check_format(folder: Path) -> None:
    """Raises ValueError for a name that is neither of Parquet nor of JSON lines."""
    if folder.suffix not in FORMATS:
        raise ValueError(f"out: expected a name that ends in {' or '.join(FORMATS)}, found {str(folder)!r}")


def pending_chunks(folder: Path, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Those whose results are not there."""
    return [chunk for chunk in chunks if not part_path(folder, chunk.number).is_file()]
