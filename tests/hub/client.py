"""Does what its first argument asks in a process of its own: the Hub's client reads its settings when it is imported."""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

from axialzoo.checkpoint import CheckpointError
from axialzoo.hub import fetch_checkpoint, push_to_hub

sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.01))  # the client waits seconds before it tries again


def push(folder: str, repo_id: str, **options) -> dict:
    return {"commit": push_to_hub(Path(folder), repo_id, **options)}


def publish(source: str, repo_id: str, everywhere: bool = False, **options) -> dict:
    from axialzoo.runtime import publish, verify

    if not everywhere:
        verify.targets = lambda: [verify.Target("torch")]  # the quickest to start
    return publish(source, repo_id, **options)


def verified(source: str, everywhere: bool = False) -> dict:
    from axialzoo.runtime import verify

    if not everywhere:
        verify.targets = lambda: [verify.Target("torch")]
    return verify.verify(source)


def predicted(source: str, picture: str, framework: str, backend: str | None) -> dict:
    from axialzoo import load_runner

    with load_runner(source, framework, backend) as runner:
        return {"said": repr(runner.predict(picture).to_json())}


def load(source: str) -> dict:
    checkpoint = fetch_checkpoint(source)
    return {"digest": checkpoint.config.digest, "folder": str(checkpoint.folder)}


def live(source: str, repo_id: str, classes: int) -> dict:
    """A model from the Hub, with another number of classes, and back to it."""
    from axialzoo.torch import AxialModel

    model = AxialModel.from_pretrained(source)
    model.reset_classifier(classes)
    return {"commit": model.push_to_hub(repo_id), "training": model.training, "name": model.name}


def seen(repo_id: str, revision: str) -> dict:
    """A repository as the Hub's client sees it: what it lists, reads off the card and downloads."""
    from huggingface_hub import HfApi, snapshot_download

    api = HfApi()
    about = api.model_info(repo_id, revision=revision)
    return {
        "sizes": {file.path: file.size for file in api.list_repo_tree(repo_id, revision=revision, recursive=True)},
        "names": [item.rfilename for item in about.siblings],
        "task": about.pipeline_tag,
        "library": about.library_name,
        "figures": {item.metric_name: item.metric_value for item in about.card_data.eval_results},
        "folder": snapshot_download(repo_id, revision=revision),
    }


def validate(text: str) -> dict:
    from huggingface_hub import ModelCard

    ModelCard(text).validate()
    return {"valid": True}


def live_keras(source: str, repo_id: str) -> dict:
    """Load the model in Keras, and compute its outputs."""
    import numpy as np

    from axialzoo.keras import AxialModel

    model = AxialModel.from_pretrained(source)
    logits = np.asarray(model(np.full((1, 32, 32, 3), 0.5, "float32")))
    return {"commit": model.push_to_hub(repo_id), "labels": len(model.labels), "name": model.name, "logits": logits.tolist()}


ACTIONS = {
    "live_keras": live_keras,
    "push": push,
    "publish": publish,
    "verify": verified,
    "predict": predicted,
    "load": load,
    "seen": seen,
    "live": live,
    "validate": validate,
}


def main(action: str, arguments: list) -> list:
    warnings.simplefilter("ignore")
    answers = []
    for argument in arguments:
        try:
            answers.append(ACTIONS[action](**argument) if isinstance(argument, dict) else ACTIONS[action](argument))
        except ValueError as error:
            kind = "CheckpointError" if isinstance(error, CheckpointError) else type(error).__name__
            answers.append({"error": kind, "message": str(error)})
    return answers


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], json.loads(sys.argv[2]))))
