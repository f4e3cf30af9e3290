"""Workers that are processes of this machine. A worker that dies is replaced, and its chunk is predicted again."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from axialzoo.engine.inputs import Chunk
from axialzoo.engine.work import Work
from axialzoo.runtime.ipc import WorkerDied, WorkerError, WorkerProcess

DEATHS = 5  # of workers without a finished chunk between them, before the run stops


def run_on_processes(work: Work, chunks: Sequence[Chunk], workers: int) -> Iterator[dict[str, int]]:
    """Predict all chunks, in any order; yield the counts of each finished chunk.

    A worker has at most one chunk, reads its pictures and writes its results: memory does not grow with the number of pictures.

    Raises:
        WorkerError: where a chunk cannot be written, or workers die repeatedly; the finished files stay.
    """
    waiting, answers = deque(chunks), queue.SimpleQueue()
    working: dict[int, _Worker] = {}
    deaths, left = 0, len(chunks)
    try:
        for place in range(min(workers, len(chunks))):
            working[place] = _Worker(work, place, workers, answers)
        while left:
            worker, answer = answers.get()
            if isinstance(answer, WorkerDied):
                deaths += 1
                if worker.chunk is not None:
                    waiting.appendleft(worker.chunk)
                if deaths == DEATHS:
                    raise WorkerError(_failure_message(worker.chunk, deaths, answer)) from answer
                working[worker.place] = _Worker(work, worker.place, workers, answers)
                continue
            if isinstance(answer, Exception):
                raise answer
            if worker.chunk is not None:
                worker.chunk, deaths, left = None, 0, left - 1
                yield answer
            if waiting:
                worker.give(waiting.popleft())
    finally:
        for worker in working.values():
            worker.process.kill()


class _Worker:
    """A worker process and its chunk. It puts itself into `answers` with each answer or error."""

    def __init__(self, work: Work, place: int, workers: int, answers: queue.SimpleQueue):
        self.place, self._answers = place, answers
        self.chunk: Chunk | None = None
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        needed = work.backend and len(cores) >= workers * work.threads  # TensorFlow and JAX respect no other setting
        self.process = WorkerProcess(
            "axialzoo.engine.worker",
            threads=work.threads,
            cores=cores[place * work.threads : (place + 1) * work.threads] if needed else None,
            environment={"KERAS_BACKEND": work.backend} if work.backend else {},
        )
        self._ask({"do": "begin", "work": work.to_json()})

    def give(self, chunk: Chunk) -> None:
        """Request the results of a chunk."""
        self.chunk = chunk
        self._ask({"do": "chunk", "chunk": chunk.to_json()})

    def _ask(self, message: dict[str, Any]) -> None:
        def wait() -> None:
            try:
                answer: Any = self.process.ask(message)[0]
            except Exception as error:  # raised by run_on_processes, in its own thread
                answer = error
            self._answers.put((self, answer))

        threading.Thread(target=wait, daemon=True).start()


def _failure_message(chunk: Chunk | None, deaths: int, last: WorkerDied) -> str:
    doing = "before it began"
    if chunk is not None and chunk.shard:
        doing = f"with pictures {chunk.start} to {chunk.stop - 1} of {chunk.shard}"
    elif chunk is not None:
        doing = f"with {chunk.paths[0]} and what follows"
    return f"{deaths} workers died one after the other, the last {doing}: {last}; what is done is kept (--resume goes on)"
