"""Workers that are processes of this machine. One that dies is replaced, and its chunk done again."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from axialzoo.engine.inputs import Chunk
from axialzoo.engine.work import Work
from axialzoo.runtime.process import WorkerError

ROOT = Path(__file__).resolve().parents[2]  # where the package lies, whatever the current folder is
DEATHS = 5  # of workers, one after the other without a chunk done between them, before it is the work's fault


def run_on_processes(work: Work, chunks: Sequence[Chunk], workers: int) -> Iterator[dict[str, int]]:
    """Does all chunks, in any order; yields what each had as it is done.

    A worker has at most one chunk, reads its pictures and writes its results itself: memory does not grow with the number of pictures.

    Raises:
        WorkerError: where a chunk cannot be written, or the workers die again and again; what is done by then stays.
    """
    waiting, news = deque(chunks), queue.SimpleQueue()
    working: dict[int, _Process] = {}
    deaths, left = 0, len(chunks)
    try:
        for place in range(min(workers, len(chunks))):
            working[place] = _Process(work, place, workers, news)
        while left:
            process, said = news.get()
            if said is None:
                deaths += 1
                if process.chunk is not None:
                    waiting.appendleft(process.chunk)
                if deaths == DEATHS:
                    raise WorkerError(_blamed(process, deaths))
                process.close()
                working[process.place] = _Process(work, process.place, workers, news)
                continue
            if "error" in said:
                raise WorkerError(said["error"])
            if process.chunk is not None:
                process.chunk, deaths, left = None, 0, left - 1
                yield said
            if waiting:
                process.give(waiting.popleft())
    finally:
        for process in working.values():
            process.close()


class _Process:
    """A worker, and the chunk that it has; what it says, and None when it has died, goes to `news` with itself."""

    def __init__(self, work: Work, place: int, workers: int, news: queue.SimpleQueue):
        self.place = place
        self.chunk: Chunk | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (it is open as long as the process runs)
        threads = {name: str(work.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        settings = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **threads}
        settings["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        if work.backend:
            settings["KERAS_BACKEND"] = work.backend
        self.process = subprocess.Popen(
            [sys.executable, "-m", "axialzoo.engine.worker"],
            env=settings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            start_new_session=True,  # an interrupt from the terminal is for the one that asked
        )  # fmt: skip
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        if work.backend and len(cores) >= workers * work.threads:  # TensorFlow and JAX heed nothing else
            os.sched_setaffinity(self.process.pid, cores[place * work.threads : (place + 1) * work.threads])
        self._say(work.to_json())
        threading.Thread(target=self._listen, args=(news,), daemon=True).start()

    def give(self, chunk: Chunk) -> None:
        """The next chunk; a worker that has died meanwhile says so by itself."""
        self.chunk = chunk
        self._say(chunk.to_json())

    def last_words(self) -> str:
        code = self.process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"{lines[-1]} (exit code {code})" if lines else f"exit code {code}"

    def close(self) -> None:
        """Ends the process, at once; what it was writing is not there then."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        self._errors.close()

    def _say(self, said: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # it has died: see _listen
            self.process.stdin.write(json.dumps(said) + "\n")
            self.process.stdin.flush()

    def _listen(self, news: queue.SimpleQueue) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError, OSError):  # closed meanwhile, or cut in a line
            for line in self.process.stdout:
                news.put((self, json.loads(line)))
        news.put((self, None))


def _blamed(process: _Process, deaths: int) -> str:
    doing, chunk = "before it began", process.chunk
    if chunk is not None and chunk.shard:
        doing = f"with pictures {chunk.start} to {chunk.stop - 1} of {chunk.shard}"
    elif chunk is not None:
        doing = f"with {chunk.paths[0]} and what follows"
    return f"{deaths} workers died one after the other, the last {doing}: {process.last_words()}; what is done is kept (--resume goes on)"
