"""Checkpoints from the Hub and to it, against a server on this machine that speaks its protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from axialzoo.checkpoint import CheckpointError, load_checkpoint
from axialzoo.hub import fetch_checkpoint, resolve
from axialzoo.hub.address import HUB_ID
from tests.conversion import small
from tests.hub.asking import ask, files


def test_a_checkpoint_is_fetched_once_by_branch_tag_or_commit_and_then_offline(hub, tmp_path):
    first = hub.commit("axial/tiny", files(tmp_path / "one", 1))
    hub.repos["axial/tiny"]["refs"]["v1.0"] = first
    hub.commit("axial/tiny", files(tmp_path / "two", 2))
    item, two = (load_checkpoint(tmp_path / name).config.digest for name in ("one", "two"))
    sources = ("axial/tiny", "axial/tiny@main", "axial/tiny@v1.0", f"axial/tiny@{first}")
    answers = ask(hub.url, tmp_path / "cache", "load", *sources)
    assert [answer.get("digest", answer) for answer in answers] == [two, two, item, item]
    fetched = [line for line in hub.log if line.startswith("GET") and line.endswith("model.safetensors")]
    assert len(fetched) == 2  # once each version
    hub.log.clear()
    answers = ask(hub.url, tmp_path / "cache", "load", *sources, "axial/other", "axial/tiny@v2", offline=True)
    assert [answer.get("digest") for answer in answers] == [two, two, item, item, None, None]
    assert hub.log == []
    for answer in answers[4:]:
        assert answer["error"] == "CheckpointError" and "is not in the cache, and the Hub cannot be reached" in answer["message"]


def test_what_the_hub_does_not_have_is_said_clearly(hub, tmp_path):
    whole = files(tmp_path / "one", 1)
    hub.commit("axial/tiny", whole)
    hub.commit("axial/empty", {"README.md": b"nothing"})
    hub.commit("axial/half", {"config.json": whole["config.json"]})
    hub.commit("axial/damaged", {**whole, "model.safetensors": whole["model.safetensors"][:-1]})
    hub.commit("axial/wrong", {**whole, "config.json": files(tmp_path / "two", 2)["config.json"]})
    expected = {
        "axial/absent": "the Hub has no such repository",
        "axial/tiny@v9": "the repository has no revision 'v9'",
        "axial/empty": "the repository has no config.json",
        "axial/half": "the repository has no model.safetensors",
        "axial/damaged": "damaged, or not a safetensors file",
        "axial/wrong": "differ in digest",
        "axial/-dots..": "not a repository on the Hub",
    }
    answers = ask(hub.url, tmp_path / "cache", "load", *expected)
    for (source, text), answer in zip(expected.items(), answers, strict=True):
        assert answer.get("error") == "CheckpointError" and text in answer["message"], (source, answer)


def test_a_hub_that_does_not_answer_is_said_clearly(hub, tmp_path):
    url = hub.url
    hub.__exit__()
    (answer,) = ask(url, tmp_path / "cache", "load", "axial/tiny")
    assert answer["error"] == "CheckpointError" and "axial/tiny" in answer["message"] and "folder" in answer["message"]


def test_a_checkpoint_is_published_with_its_card_and_loads_again(hub, tmp_path):
    small.write_folder(tmp_path / "one", 1)
    pushes = (
        {"folder": str(tmp_path / "one"), "repo_id": "axial/tiny", "private": True, "tag": "v1"},
        {"folder": str(tmp_path / "one"), "repo_id": "axial/tiny", "revision": "next"},
        {"folder": str(tmp_path / "nothing"), "repo_id": "axial/none"},
    )
    (tmp_path / "one" / "secret.txt").write_text("stays here")
    answers = ask(hub.url, tmp_path / "cache", "push", *pushes)
    assert "commit" in answers[0] and "commit" in answers[1], answers
    assert answers[2]["error"] == "CheckpointError" and "axial/none" not in hub.repos  # nothing is created for what is not whole
    entry = hub.repos["axial/tiny"]
    assert entry["private"] and set(entry["refs"]) == {"main", "v1", "next"}
    published = entry["commits"][entry["refs"]["v1"]]
    assert set(published) == {".gitattributes", "config.json", "model.safetensors", "README.md", "labels.txt", "SHA256SUMS"}
    assert published["labels.txt"].decode().splitlines() == ["cat", "dog", "Föhre", "鳥"]
    card = published["README.md"].decode()
    assert 'create_model("custom", pretrained="axial/tiny")' in card and "| top1 | 0.33" in card and "ORG/REPO" not in card
    loaded = ask(hub.url, tmp_path / "cache", "load", "axial/tiny@v1", "axial/tiny@next")
    assert {answer["digest"] for answer in loaded} == {load_checkpoint(tmp_path / "one").config.digest}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("org/repo", ("org/repo", None)),
        ("org/repo@main", ("org/repo", "main")),
        ("o-r.g/re_po.2@refs/pr/1", ("o-r.g/re_po.2", "refs/pr/1")),
        ("org/repo@" + "a" * 40, ("org/repo", "a" * 40)),
        ("a/b/c", None),
        ("org/repo@", None),
        ("org/repo@a b", None),
        ("name.tag", None),
    ],
)
def test_an_address_on_the_hub_is_told_from_a_path_and_a_name(source, expected):
    actual = HUB_ID.fullmatch(source)
    assert (actual and (actual["repo"], actual["revision"])) == expected


def test_a_folder_that_exists_is_preferred_to_an_address_on_the_hub(tmp_path, monkeypatch):
    small.write_folder(tmp_path / "org" / "repo")
    monkeypatch.chdir(tmp_path)
    assert resolve("org/repo") == Path("org/repo")
    with pytest.raises(CheckpointError, match="found nothing"):
        fetch_checkpoint("./org/other")
