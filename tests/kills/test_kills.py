"""No command leaves half a file, wherever it is killed and whatever the disk says; run again, it ends right. `make test-kill` tries all."""

from __future__ import annotations

import shutil
import sys

import pytest

from tests.kills import harness
from tests.kills.cases import CASES

pytestmark = pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="preloads a C library, on Linux")
QUICK = [("checkpoint", "kill"), ("folder", "kill"), ("checkpoint", "full")]
MOST = {"import": 20, "pull": 20, "train": 40, "predict": 20, "shards": 60}  # calls of the slow ones


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return harness.build(tmp_path_factory.mktemp("inject"))


@pytest.mark.parametrize(("case", "action"), QUICK)
def test_checkpoints_are_old_or_new(library, case, action):
    tried = harness.run(library, case, action)
    assert tried["bad"] == [] and tried["tried"] == tried["calls"] >= 10


@pytest.mark.full
@pytest.mark.parametrize("action", ["kill", "full", "read_only"])
@pytest.mark.parametrize("case", CASES)
def test_every_command_leaves_whole_files(library, case, action):
    tried = harness.run(library, case, action, MOST.get(case, 10_000))
    assert tried["bad"] == [] and tried["tried"] >= 5


@pytest.mark.full
def test_a_writer_in_place_would_be_seen(library, tmp_path, monkeypatch):
    """The harness finds halves where there are some: with files that are written under their final name."""
    (tmp_path / "sitecustomize.py").write_text(
        "import contextlib, pathlib, axialzoo.files as files\n"
        "@contextlib.contextmanager\n"
        "def in_place(path):\n"
        "    yield pathlib.Path(path)\n"
        "files.atomic_write = in_place\n"
    )
    monkeypatch.setenv("AXIALZOO_TEST_PATH", str(tmp_path))
    assert harness.run(library, "file", "kill")["bad"]
