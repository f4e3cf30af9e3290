"""A connection that fails, a server in trouble, files that arrive damaged: errors of ours that say what to do, and no bad file kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from axialzoo.checkpoint import load_checkpoint
from axialzoo.hub.cache import drop
from tests.hub.asking import ROOT, ask, files

WEIGHTS = "GET .*/model.safetensors"


@pytest.fixture
def tiny(hub, tmp_path):
    """A repository of two commits, and the digest of the later one."""
    hub.commit("axial/tiny", files(tmp_path / "one", 1))
    hub.commit("axial/tiny", files(tmp_path / "two", 2))
    return load_checkpoint(tmp_path / "two").config.digest


def test_what_fails_once_or_twice_is_tried_again(hub, tiny, tmp_path):
    plans = [("cut_body", WEIGHTS, 3), ("500", "HEAD .*config", 1), ("429", WEIGHTS, 2), ("flip", WEIGHTS, 1), ("slow", WEIGHTS, 1)]
    plans += [("flip", "GET .*/config.json", 1), ("cut", "GET .*/model", 1)]
    for number, plan in enumerate(plans):
        hub.faults.plan(*plan)
        (answer,) = ask(hub.url, tmp_path / f"cache{number}", "load", "axial/tiny")
        assert answer.get("digest") == tiny, (plan, answer)
        assert hub.faults.planned == [], plan


def test_a_download_that_is_cut_goes_on_where_it_stopped(hub, tiny, tmp_path):
    hub.faults.plan("cut_body", WEIGHTS, 2)
    (answer,) = ask(hub.url, tmp_path / "cache", "load", "axial/tiny")
    assert answer["digest"] == tiny and len(hub.faults.log) == 2


def test_what_is_damaged_twice_is_refused_and_not_kept(hub, tiny, tmp_path):
    for kind, cache in (("flip", "a"), ("stale", "b")):
        hub.faults.plan(kind, WEIGHTS, 2)
        (answer,) = ask(hub.url, tmp_path / cache, "load", "axial/tiny")
        assert answer["error"] == "CheckpointError" and "model.safetensors arrived twice with another SHA" in answer["message"], answer
        assert not list((tmp_path / cache).rglob("model.safetensors")) and not hub.faults.planned
        (answer,) = ask(hub.url, tmp_path / cache, "load", "axial/tiny")
        assert answer["digest"] == tiny  # the bad copy stands in nobody's way


def test_an_older_checkpoint_that_is_whole_does_not_pass_for_the_new_one(hub, tiny, tmp_path):
    hub.faults.plan("stale", "GET .*/config.json")
    hub.faults.plan("stale", WEIGHTS)
    (answer,) = ask(hub.url, tmp_path / "cache", "load", "axial/tiny")
    assert answer.get("digest") == tiny and [kind for kind, _ in hub.faults.log] == ["stale", "stale"], answer


def test_what_lies_damaged_on_the_hub_is_refused_and_not_kept(hub, tmp_path):
    whole = files(tmp_path / "one", 1)
    weights = bytearray(whole["model.safetensors"])
    weights[-3] ^= 1
    hub.commit("axial/bad", {**whole, "model.safetensors": bytes(weights)})
    (answer,) = ask(hub.url, tmp_path / "cache", "load", "axial/bad")
    assert answer["error"] == "CheckpointError" and "was fetched twice and refused twice" in answer["message"], answer
    assert not list((tmp_path / "cache").rglob("model.safetensors"))


def test_a_copy_that_rots_in_the_cache_is_fetched_anew_or_refused_offline(hub, tiny, tmp_path):
    (answer,) = ask(hub.url, tmp_path / "cache", "load", "axial/tiny")
    (weights,) = Path(answer["folder"]).glob("*.safetensors")

    def rot() -> None:
        data = bytearray(weights.read_bytes())
        data[-3] ^= 1
        weights.resolve().write_bytes(data)

    rot()
    (answer,) = ask(hub.url, tmp_path / "cache", "load", "axial/tiny")
    assert answer["digest"] == tiny
    rot()
    (answer,) = ask(hub.url, tmp_path / "cache", "load", "axial/tiny", offline=True)
    assert answer["error"] == "CheckpointError" and "is not in the cache" in answer["message"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [("cut", "try again"), ("500", "answered 500"), ("429", "answered 429"), ("short", "try again"), ("long", "try again")],
)
def test_what_goes_on_failing_is_said_in_our_words(hub, tiny, tmp_path, kind, words):
    hub.faults.plan(kind, "(GET|HEAD) .*/model.safetensors", 60)
    hub.faults.plan(kind, "PUT ", 60)
    (answer,) = ask(hub.url, tmp_path / "cache", "load", "axial/tiny")
    assert answer["error"] == "CheckpointError" and "axial/tiny" in answer["message"] and words in answer["message"], answer
    if kind in ("cut", "500", "429"):
        (answer,) = ask(hub.url, tmp_path / "cache", "push", {"folder": str(tmp_path / "one"), "repo_id": "axial/pushed"})
        assert answer["error"] == "CheckpointError" and "run it again" in answer["message"], answer
        assert "config.json" not in hub.repos["axial/pushed"]["commits"][hub.repos["axial/pushed"]["refs"]["main"]]


def test_a_commit_whose_answer_is_lost_is_not_made_twice(hub, tmp_path):
    files(tmp_path / "one", 1)
    hub.faults.plan("cut_after", "POST .*/commit/", 1)
    push = {"folder": str(tmp_path / "one"), "repo_id": "axial/tiny", "tag": "v1"}
    (first,) = ask(hub.url, tmp_path / "cache", "push", push)
    (second,) = ask(hub.url, tmp_path / "cache", "push", push)
    assert "commit" in second and len(hub.repos["axial/tiny"]["commits"]) == 2, (first, second)
    assert hub.repos["axial/tiny"]["refs"]["v1"] == hub.repos["axial/tiny"]["refs"]["main"]


def test_a_tag_that_has_moved_is_noticed_and_a_branch_may_move(hub, tmp_path):
    entry = hub.repos
    old = hub.commit("axial/tiny", files(tmp_path / "one", 1))
    new = hub.commit("axial/tiny", files(tmp_path / "two", 2), "next")
    item, two = (load_checkpoint(tmp_path / name).config.digest for name in ("one", "two"))
    entry["axial/tiny"]["refs"] |= {"v1": old, "work": old}
    entry["axial/tiny"]["tags"] |= {"v1"}
    sources = ("axial/tiny@v1", "axial/tiny@work")
    assert [answer["digest"] for answer in ask(hub.url, tmp_path / "cache", "load", *sources)] == [item, item]
    entry["axial/tiny"]["refs"] |= {"v1": new, "work": new}
    said = f"axial/tiny@v1#{two[:19]}"
    moved, branch, wrong, chosen, after = ask(
        hub.url, tmp_path / "cache", "load", *sources, f"axial/tiny@v1#{item[:19]}", said, "axial/tiny@v1"
    )
    assert "the tag has moved" in moved["message"] and item in moved["message"] and f"'{said}'" in moved["message"]
    assert branch["digest"] == two and "as the address says" in wrong["message"]
    assert chosen["digest"] == after["digest"] == two


def test_a_private_repository_asks_for_the_token_and_a_public_one_is_no_private_one(hub, tmp_path):
    files(tmp_path / "one", 1)
    push = {"folder": str(tmp_path / "one"), "repo_id": "axial/secret", "private": True}
    (answer,) = ask(hub.url, tmp_path / "cache", "push", push)
    assert "commit" in answer
    (without,) = ask(hub.url, tmp_path / "cache", "load", "axial/secret", token="")
    assert without["error"] == "CheckpointError" and "set HF_TOKEN" in without["message"]
    (answer,) = ask(hub.url, tmp_path / "cache", "load", "axial/secret")
    assert "digest" in answer
    hub.commit("axial/open", {"README.md": b"open"})
    (answer,) = ask(hub.url, tmp_path / "cache", "push", {**push, "repo_id": "axial/open"})
    assert "exists already and is public" in answer["message"] and len(hub.repos["axial/open"]["commits"]) == 1


def test_weights_of_a_newer_version_are_refused_by_name_and_kept(hub, tmp_path):
    whole = files(tmp_path / "one", 1)
    newer = whole["config.json"].replace(b'"version": 3', b'"version": 99')
    hub.commit("axial/newer", {**whole, "config.json": newer})
    (answer,) = ask(hub.url, tmp_path / "cache", "load", "axial/newer")
    assert "found 99; a newer axialzoo may read it" in answer["message"]
    assert sum("config.json" in line and line.startswith("GET") for line in hub.log) == 1  # another copy would be the same


def test_dropping_removes_the_name_the_blob_and_what_was_begun(tmp_path):
    blob, name = tmp_path / "blobs" / "abc", tmp_path / "snapshots" / "1" / "model.safetensors"
    for path in (blob, name):
        path.parent.mkdir(parents=True)
    blob.write_bytes(b"bad")
    (tmp_path / "blobs" / "abc.incomplete").write_bytes(b"ba")
    (tmp_path / "blobs" / "other").write_bytes(b"good")
    name.symlink_to("../../blobs/abc")
    drop(name.parent, ["model.safetensors", "absent"])
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == ["other"] and not list(name.parent.iterdir())


def fuzz(runs: int, seed: int, place: Path) -> dict[str, int]:
    command = [sys.executable, "-m", "tests.hub.fuzz", str(runs), str(seed), str(place)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    done = subprocess.run(command, cwd=ROOT, env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_random_faults_in_publishing_and_loading(tmp_path):
    counts = fuzz(6, 1, tmp_path)
    assert sum(count for name, count in counts.items() if name.startswith("load at")) == 6


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_200_runs_with_random_faults(tmp_path):
    counts = fuzz(200, 1000, tmp_path)
    assert sum(count for name, count in counts.items() if name.startswith("load at")) == 200
    assert counts["load refused"] > 20 and counts["publish refused"] > 5  # something did happen
    assert min(counts[kind] for kind in ("cut", "429", "500", "slow", "cut_body", "short", "long", "flip", "stale", "cut_after")) > 5
    print(counts)
