"""``python -m axialzoo.engine.worker``: does chunks in a process of its own, until its input ends.

Messages are those of :mod:`axialzoo.runtime.ipc`: first ``{"do": "begin", "work"}`` with a :class:`axialzoo.engine.work.Work`, answered
with its device once the model is loaded, then ``{"do": "chunk", "chunk"}``, each answered with its counts. Pictures and results never
pass through here.
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
        return self.work.do(Chunk.from_json(message["chunk"])), {}


def set_threads(work: Work) -> None:
    """Set as many threads as the work says, where the environment came too late or is not heeded."""
    if work.framework == "torch":
        import torch

        torch.set_num_threads(work.threads)


if __name__ == "__main__":
    serve(Handler())
