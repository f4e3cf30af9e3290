"""``python -m axialzoo.engine.worker``: does chunks in a process of its own, until its input ends.

Asked and answered in JSON, an object a line, over standard input and output; whatever else is printed goes to standard error. First
comes the work (:class:`axialzoo.engine.work.Work`), answered with ``{"ready": true}`` once the model is loaded; then chunks, each answered
with what it had, or with ``{"error": ...}``. Pictures and results never pass through here.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from axialzoo.engine.inputs import Chunk
from axialzoo.engine.work import Work


def serve() -> None:
    """Answers until the other side closes, or dies."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what frameworks print is no answer

    def answer(said: dict[str, Any]) -> None:
        print(json.dumps(said), file=answers, flush=True)

    try:
        work = Work(**json.loads(sys.stdin.readline()))
        set_threads(work)
        work.runner  # noqa: B018 (loads the model)
        answer({"ready": True})
        for line in sys.stdin:
            answer(work.do(Chunk.from_json(json.loads(line))))
    except BrokenPipeError:  # the other side is gone
        return
    except Exception as error:  # told to the other side, which stops
        answer({"error": str(error).strip() or type(error).__name__})


def set_threads(work: Work) -> None:
    """As many threads as the work says, where the environment came too late or is not heeded."""
    if work.framework == "torch":
        import torch

        torch.set_num_threads(work.threads)


if __name__ == "__main__":
    serve()
