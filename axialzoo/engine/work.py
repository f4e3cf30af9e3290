"""The work of a worker, a process or an actor of Ray: it turns a chunk of pictures into a file of results."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from axialzoo.checkpoint import load_checkpoint
from axialzoo.engine.inputs import Chunk, pictures_of
from axialzoo.engine.plan import part_path
from axialzoo.engine.results import row_of, write_rows
from axialzoo.hub import fetch_checkpoint
from axialzoo.runtime import Runner
from axialzoo.runtime.device import AUTO
from axialzoo.runtime.predict import predict_opened
from axialzoo.tasks import tta_from_options


@dataclass(frozen=True)
class Work:
    """All settings of a worker, which can be written as JSON.

    Attributes:
        source: The checkpoint, as :func:`axialzoo.hub.fetch_checkpoint` takes it.
        folder: Its folder on the machine that sends the work; a worker without that folder fetches `source`.
        digest: Expected digest of the checkpoint.
        out: Folder of the results.
        framework, backend, optimize, tta, top, batch, threads, device, page, channel: See :class:`axialzoo.engine.plan.Plan`.
    """

    source: str
    folder: str
    digest: str
    out: str
    framework: str
    backend: str | None
    optimize: bool
    tta: dict[str, Any]
    top: int | None
    batch: int
    threads: int
    device: str = AUTO
    page: int | None = None
    channel: int | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @cached_property
    def runner(self) -> Runner:
        """Runner of the checkpoint.

        Raises:
            ValueError: where the checkpoint has changed since the run started.
        """
        here = Path(self.folder).is_dir()
        checkpoint = load_checkpoint(self.folder, verify=False) if here else fetch_checkpoint(self.source)  # verified by the sender
        if checkpoint.config.digest != self.digest:
            raise ValueError(f"{checkpoint.folder}: expected digest {self.digest}, found {checkpoint.config.digest}")
        return Runner(checkpoint, self.framework, self.backend, compiled=True, optimize=self.optimize, device=self.device)

    def run_chunk(self, chunk: Chunk) -> dict[str, int]:
        """Predict a chunk and write its results, completely or not at all.

        Returns:
            Its ``number``, and the counts ``pictures`` and ``errors``.
        """
        images = pictures_of(chunk, self.page, self.channel)
        rows = [
            row_of(prediction, self.top) for prediction in predict_opened([self.runner], images, self.batch, tta_from_options(**self.tta))
        ]
        write_rows(part_path(Path(self.out), chunk.number), rows)
        return {"number": chunk.number, "pictures": len(rows), "errors": sum(row["error"] is not None for row in rows)}
