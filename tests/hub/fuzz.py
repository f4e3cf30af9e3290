"""Publishing and loading with random faults, many times over, in one process: ``python -m tests.hub.fuzz RUNS SEED FOLDER``.

The server runs in a thread beside the real client. Every failure has to be one of our errors, nothing is ever published by halves, no
wrong weight loaded, no bad file left in the cache under its final name, and every run completes once the faults stop.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from tests.hub.faults import Faults
from tests.hub.server import Hub

RATES, ATTEMPTS = (0.2, 0.5, 0.9), 4  # shares of requests with a fault; attempts before the faults stop
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.002))  # the client waits seconds before it tries again


def main(runs: int, seed: int, place: Path) -> dict:
    with Hub() as hub:
        os.environ.update(
            HF_ENDPOINT=hub.url, HF_HOME=str(place / "home"), HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", HF_TOKEN="hf_test",
            HF_HUB_DISABLE_PROGRESS_BARS="1", NO_PROXY="127.0.0.1", HF_HUB_VERBOSITY="critical",
        )  # fmt: skip
        counts = Counter(runs=runs)
        for index in range(runs):
            counts.update(one(hub, random.Random(seed + index), index, place))
        return dict(counts)


def one(hub: Hub, draw: random.Random, index: int, place: Path) -> Counter:
    """A repository: published with faults, then loaded with faults."""
    from huggingface_hub import constants

    from axialzoo.checkpoint import load_checkpoint
    from axialzoo.hub import fetch_checkpoint, push_to_hub
    from tests.conversion import small

    warnings.simplefilter("ignore")
    counts, repo, folders = Counter(), f"axial/run{index}", [place / f"run{index}" / name for name in ("older", "newer")]
    for number, folder in enumerate(folders):
        small.write_folder(folder, 2 * index + number)
    for folder in folders:
        attempts(
            hub, draw, counts, "publish", lambda folder=folder: push_to_hub(folder, repo), lambda folder=folder: whole(hub, repo, folders)
        )
        files = hub.repos[repo]["commits"][hub.repos[repo]["refs"]["main"]]
        assert all(files[name] == (folder / name).read_bytes() for name in ("config.json", "model.safetensors"))
    cache = place / f"cache{index}"
    constants.HF_HUB_CACHE = str(cache)
    actual = attempts(hub, draw, counts, "load", lambda: fetch_checkpoint(repo), lambda: sound(hub, repo, cache))
    expected = load_checkpoint(folders[1])
    assert actual.config == expected.config and all((actual.tensors[name] == array).all() for name, array in expected.tensors.items())
    return counts


def attempts(hub: Hub, draw: random.Random, counts: Counter, what: str, act, check):
    """Result of `act`, after one or more attempts; `check` has to pass after each."""
    from axialzoo.checkpoint import CheckpointError

    for attempt in range(ATTEMPTS + 1):
        faulty = attempt < ATTEMPTS
        hub.faults = Faults(rate=draw.choice(RATES) if faulty else 0.0, seed=draw.randrange(1 << 30))
        try:
            done = act()
        except CheckpointError as error:
            assert faulty, error  # without faults nothing fails
            assert "; " in str(error), error  # what to do comes after it
            counts[f"{what} refused"] += 1
        else:
            counts[f"{what} at attempt {attempt + 1}"] += 1
            return done
        finally:
            counts.update(kind for kind, _ in hub.faults.log)
            hub.faults.stop()
            check()
    raise AssertionError("not reached: the last attempt either gives or raises")


def whole(hub: Hub, repo: str, folders: list[Path]) -> None:
    """The repository has nothing, or all of one publication."""
    entry = hub.repos.get(repo, {"commits": {}})
    for files in entry["commits"].values():
        published = set(files) - {".gitattributes"}
        assert not published or published == {"README.md", "config.json", "model.safetensors", "labels.txt", "SHA256SUMS"}, published
        pairs = [{name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")} for folder in folders]
        assert not published or {name: files[name] for name in ("config.json", "model.safetensors")} in pairs


def sound(hub: Hub, repo: str, cache: Path) -> None:
    """Files with their final name in the cache are the published ones."""
    commits = hub.repos[repo]["commits"]
    for path in cache.glob("models--*/snapshots/*/*"):
        if path.exists():
            assert path.read_bytes() == commits[path.parent.name][path.name], path


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))
