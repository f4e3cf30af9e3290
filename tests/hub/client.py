"""Does what its first argument asks in a process of its own: the Hub's client reads its settings when it is imported."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

from axialzoo.hub import fetch_checkpoint, push_to_hub


def main(action: str, arguments: list) -> list:
    warnings.simplefilter("ignore")
    answers = []
    for argument in arguments:
        try:
            if action == "push":
                answers.append({"commit": push_to_hub(**{**argument, "folder": Path(argument["folder"])})})
            else:
                checkpoint = fetch_checkpoint(argument)
                answers.append({"digest": checkpoint.config.digest, "folder": str(checkpoint.folder)})
        except ValueError as error:
            answers.append({"error": type(error).__name__, "message": str(error)})
    return answers


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], json.loads(sys.argv[2]))))
