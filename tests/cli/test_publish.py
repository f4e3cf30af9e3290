"""`axialzoo publish`: what goes to the Hub is shown before it goes."""

from __future__ import annotations

import json

import pytest

from axialzoo.checkpoint import load_checkpoint
from axialzoo.runtime import verify


@pytest.fixture(autouse=True)
def no_framework(monkeypatch):
    monkeypatch.setattr(verify, "targets", lambda: [])


def test_a_dry_run_is_written_and_shown(axialzoo, folder, tmp_path):
    said = axialzoo("publish", folder, "axial/tiny", "--dry-run", "--out", tmp_path / "out")
    assert said.code == 0 and "nothing was sent" in said.err and 'pretrained="axial/tiny"' in said.out and "model.safetensors" in said.out
    assert load_checkpoint(tmp_path / "out").config == load_checkpoint(folder).config
    again = axialzoo("publish", folder, "axial/tiny", "--dry-run", "--out", tmp_path / "out")
    assert again.code == 1 and "exists already" in again.err
    assert axialzoo("publish", folder, "axial/tiny", "--dry-run", "--out", tmp_path / "out", "--force", "--json").json["commit"] is None


def test_figures_are_taken_from_what_evaluate_printed(axialzoo, folder, tmp_path):
    digest = load_checkpoint(folder).config.digest
    (tmp_path / "torch.json").write_text(json.dumps({"top1": 0.25, "digest": digest, "framework": "torch", "images": 4, "split": "test"}))
    words = ("publish", folder, "axial/tiny", "--dry-run", "--out", tmp_path / "out", "--metrics", tmp_path / "torch.json")
    assert "| top1 | 0.2500 |" in axialzoo(*words).out
    (tmp_path / "torch.json").write_text(json.dumps({"top1": 0.25, "digest": "sha256:0"}))
    other = axialzoo(*words, "--force")
    assert other.code == 1 and "figures of other weights" in other.err
    (tmp_path / "torch.json").write_text("[]")
    assert "expected the object that `axialzoo evaluate --json` prints" in axialzoo(*words, "--force").err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("axial/tiny", "--out", "x"), "expected --dry-run beside it"),
        (("tiny", "--dry-run"), "expected the name of a repository"),
        (("axial/tiny@v1", "--dry-run"), "expected the name of a repository"),
    ],
)
def test_what_makes_no_sense_is_refused(axialzoo, folder, words, message):
    said = axialzoo("publish", folder, *words)
    assert said.code == 1 and message in said.err
