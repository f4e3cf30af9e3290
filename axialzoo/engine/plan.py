"""The folder of a run of batch prediction: its plan, and the files of results that exist.

results.parquet/
  _plan.json               the plan of the run; readers of Parquet folders ignore names that begin with _
  part-000000.parquet      the rows of a chunk; the file exists once it is complete
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
    """All settings that determine the bytes of the results.

    Attributes:
        model: The checkpoint's name.
        digest: Digest of its weights.
        framework, backend, optimized: See :class:`axialzoo.runtime.Runner`.
        threads: Threads of each worker.
        batch: Pictures computed at once.
        tta: Options of :func:`axialzoo.tasks.tta_from_options`.
        top: Number of classes or objects per row.
        pictures, parts: Number of pictures, and of files of results.
        input: Digest of the pictures' names in their order, shards with their sizes.
        device: Device as the user named it; None for the default device of the framework.
        page, channel: Page and channel of each picture, from 1; None for the first page and all channels.
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
    page: int | None = None
    channel: int | None = None

    def to_json(self) -> dict[str, Any]:
        fields = json.loads(json.dumps(asdict(self)))
        optional = ("device", "page", "channel")
        return {name: value for name, value in fields.items() if name not in optional or value is not None}


def input_digest(chunks: Sequence[Chunk]) -> str:
    """Digest of the assignment of pictures to chunks."""
    hasher = hashlib.sha256()
    for chunk in chunks:
        size = os.path.getsize(chunk.shard) if chunk.shard else 0
        hasher.update(json.dumps([chunk.to_json(), size]).encode())
    return f"sha256:{hasher.hexdigest()}"


def part_path(folder: Path, number: int) -> Path:
    """Return the path of the file of results of chunk `number`."""
    return folder / f"part-{number:06}{folder.suffix}"


def open_run(folder: Path, plan: Plan, inputs: Sequence[str | os.PathLike[str]], *, resume: bool, overwrite: bool) -> None:
    """Create the folder of a run, or check that the existing folder belongs to this run.

    Args:
        resume: Continue an existing run; start a new one if there is none.
        overwrite: Remove an existing run.

    Raises:
        ValueError: for a name that is neither of Parquet nor of JSON lines.
        FileExistsError: where the folder exists and holds something else.
    """
    check_format(folder)
    if resume and (folder / NOTE).is_file():
        before, now = json.loads((folder / NOTE).read_text()), plan.to_json()
        differing = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
        if differing:
            differences = "; ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in differing)
            raise FileExistsError(f"{folder}: holds another run ({NOTE}): {differences}; choose another folder, or replace it (--force)")
        for leftover in folder.glob(".*.part-*"):  # from a process that was killed while writing
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
    """Raise ValueError for a name that is neither of Parquet nor of JSON lines."""
    if folder.suffix not in FORMATS:
        raise ValueError(f"out: expected a name that ends in {' or '.join(FORMATS)}, found {str(folder)!r}")


def pending_chunks(folder: Path, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return the chunks without a file of results."""
    return [chunk for chunk in chunks if not part_path(folder, chunk.number).is_file()]
