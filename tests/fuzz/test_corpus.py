"""Every reader reads its seeds and refuses what fuzzing has found; `make fuzz` looks for more."""

from __future__ import annotations

import random

import pytest

from axialzoo.checkpoint import CheckpointError
from tests.fuzz.execute import Finding, Target, execute
from tests.fuzz.run import changed
from tests.fuzz.targets import CORPUS, TARGETS

LIGHT = [name for name, target in TARGETS.items() if not target.heavy]
HEAVY = [name for name, target in TARGETS.items() if target.heavy]


def replay(name: str, folder, changes: int) -> int:
    """Read the seeds, the corpus and some changed seeds, and return how many inputs were accepted."""
    target, draw = TARGETS[name], random.Random(0)
    seeds = list(target.seeds())
    actual = [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
    return sum(execute(target, data, folder) for data in [*seeds, *actual, *(changed(draw, draw.choice(seeds)) for _ in range(changes))])


@pytest.mark.parametrize("name", LIGHT)
def test_readers_read_their_seeds_and_refuse_what_was_found(name, tmp_path):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    assert replay(name, tmp_path, 5) >= 1


@pytest.mark.full
@pytest.mark.backends("tensorflow")
@pytest.mark.parametrize("name", HEAVY)
def test_readers_of_keras_and_tensorflow_do_too(name, tmp_path):
    assert replay(name, tmp_path, 20) >= 1


def test_every_corpus_is_of_a_target():
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)


def large(data, folder):
    bytearray(64 << 20)


def wrong(data, folder):
    raise KeyError("a")


def silent(data, folder):
    raise CheckpointError(" ")


@pytest.mark.parametrize(("read", "text"), [(large, "bytes of memory"), (wrong, "KeyError"), (silent, "without a message")])
def test_planted_findings_are_caught(read, text, tmp_path):
    with pytest.raises(Finding, match=text):
        execute(Target(read, lambda: iter([b""])), b"1", tmp_path)
