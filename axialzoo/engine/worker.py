"""``python -m axialzoo.engine.worker``: predicts chunks in its own process, until its input ends.

Messages are those of :mod:`axialzoo.runtime.ipc`. The first is ``{"do": "begin", "work"}`` with a :class:`axialzoo.engine.work.Work`; the
worker loads the model and answers with its device. Each ``{"do": "chunk", "chunk"}`` is answered with its counts. Messages never hold
pictures or results.
"""

from __future__ import annotations

from typing import Any

from axialzoo.engine.inputs import Chunk
from axialzoo.engine.work import Work
from axialzoo.runtime.ipc import Received, serve


class Handler:
    """Answers the requests of one run."""

    work: Work

    def __call__(self, message: dict[str, Any], arrays: Received) -> tuple[dict[str, Any], Received]:
        if message["do"] == "begin":
            self.work = Work(**message["work"])
            set_threads(self.work)
            return {"device": self.work.runner.device}, {}  # loads the model
        return self.work.run_chunk(Chunk.from_json(message["chunk"])), {}


def set_threads(work: Work) -> None:
    """Set the number of threads of PyTorch, which ignores the environment once it is imported."""
    if work.framework == "torch":
        import torch

        torch.set_num_threads(work.threads)


if __name__ == "__main__":
    serve(Handler())
