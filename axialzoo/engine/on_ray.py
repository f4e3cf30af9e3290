"""Workers that are actors of Ray Data, on this machine or a cluster: `pip install 'axialzoo[ray]'`.

On a cluster every node needs axialzoo, and the pictures and the folder of results at the same path (a shared file system).
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

from axialzoo.engine.inputs import Chunk
from axialzoo.engine.work import Work
from axialzoo.engine.worker import set_threads


class Actor:
    """A worker of Ray's pool; Ray replaces an actor that dies."""

    def __init__(self, work: dict[str, Any]):
        self.work = Work(**work)
        set_threads(self.work)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return self.work.run_chunk(Chunk.from_json(json.loads(row["chunk"])))


def run_on_ray(work: Work, chunks: Sequence[Chunk], workers: int, address: str | None = None) -> Iterator[dict[str, int]]:
    """Predict all chunks, in any order; yield the counts of each finished chunk.

    Ray Data limits the chunks in flight, and repeats the chunk of a worker that dies.

    Args:
        address: Address of a cluster, such as ``"ray://head:10001"`` or ``"auto"``; None runs Ray on this machine for this call.

    Raises:
        ModuleNotFoundError: where Ray is not installed; the message says how to install it.
    """
    ray = start_ray(address, workers * work.threads)
    try:
        rows = [{"chunk": json.dumps(chunk.to_json())} for chunk in chunks]
        results = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            Actor,
            fn_constructor_args=(work.to_json(),),
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(rows))),
            num_cpus=work.threads,
        )
        for row in results.iter_rows():
            yield {name: int(row[name]) for name in ("number", "pictures", "errors")}
    finally:
        ray.shutdown()


def start_ray(address: str | None, cores: int) -> Any:
    """Connect to a cluster, or start Ray here with `cores` cores, without dashboard and usage statistics."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("engine='ray' needs Ray; pip install 'axialzoo[ray]'", name=error.name) from None
    here: dict[str, Any] = {"num_cpus": cores, "include_dashboard": False} if address is None else {"address": address}
    ray.init(**here, log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = False
    return ray
