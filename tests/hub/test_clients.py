"""A published repository as other clients see it: the command `hf`, and `@huggingface/hub` in JavaScript."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hub.asking import ROOT, ask, environment, files

HF = Path(sys.executable).with_name("hf")
PACKAGES = ("@huggingface/hub@2.17.5", "@huggingface/tasks@0.21.54")  # the JavaScript client, and the tasks that the site knows


@pytest.fixture
def published(hub, tmp_path) -> dict[str, bytes]:
    """A repository that was published, and its files."""
    files(tmp_path / "one", 1)
    (tmp_path / "one" / "pictures").mkdir()
    (tmp_path / "one" / "pictures" / "a.webp").write_bytes(b"picture")
    (answer,) = ask(hub.url, tmp_path / "cache", "push", {"folder": str(tmp_path / "one"), "repo_id": "axial/tiny", "tag": "v1"})
    assert "commit" in answer, answer
    return hub.repos["axial/tiny"]["commits"][hub.repos["axial/tiny"]["refs"]["v1"]]


def test_the_command_hf_downloads_what_was_published(hub, published, tmp_path):
    if not HF.exists():
        pytest.skip("the command hf is not installed")
    done = subprocess.run(
        [HF, "download", "axial/tiny", "--revision", "v1", "--local-dir", tmp_path / "there"],
        env=environment(hub.url, tmp_path / "other"), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    there = {path.relative_to(tmp_path / "there").as_posix(): path for path in (tmp_path / "there").rglob("*") if path.is_file()}
    assert {name: path.read_bytes() for name, path in there.items() if not name.startswith(".cache")} == published


@pytest.mark.full
def test_the_javascript_client_lists_and_downloads_what_was_published(hub, published, tmp_path):
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("node and npm are not installed")
    got = subprocess.run([npm, "install", "--silent", "--prefix", str(tmp_path), *PACKAGES], capture_output=True, text=True, check=False)
    if got.returncode:
        pytest.skip(f"npm cannot fetch {PACKAGES[0]}: {got.stderr[-200:]}")
    command = [node, str(ROOT / "tests" / "hub" / "client.mjs"), str(tmp_path / "node_modules"), hub.url, "axial/tiny"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout)
    assert seen["files"] == {name: hashlib.sha256(data).hexdigest() for name, data in published.items()}
    assert seen["name"] == "axial/tiny" and seen["sha"] == hub.repos["axial/tiny"]["refs"]["main"]
    assert seen["task"] == "image-classification" and seen["known"]


def test_the_card_that_is_published_passes_the_validation_and_a_broken_one_does_not(hub, published, tmp_path):
    assert "POST /api/validate-yaml" in hub.log  # the client asks before it sends
    text = published["README.md"].decode()
    (answer,) = ask(hub.url, tmp_path / "cache", "validate", text)
    assert answer == {"valid": True}
    (answer,) = ask(hub.url, tmp_path / "cache", "validate", text.replace("library_name: axialzoo", "library_name: [1, 2]"))
    assert answer["error"] == "ValueError" and "library_name" in answer["message"]
