"""Loading through olah, a caching proxy before the Hub: what it hands on is what was published, and what it keeps damaged is refused."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from axialzoo.checkpoint import load_checkpoint
from tests.hub.asking import ask, files

OLAH = Path(sys.prefix, "olah", "bin", "olah-cli")  # an environment of its own
SECONDS = 60  # it has to start

pytestmark = pytest.mark.skipif(not OLAH.exists(), reason="olah is not installed: make test-ecosystem puts it beside")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture
def proxy(hub, tmp_path):
    """The address of olah in front of the test's Hub."""
    port = free_port()
    upstream = hub.url.removeprefix("http://")
    command = [OLAH, "--host", "127.0.0.1", "--port", port, "--hf-scheme", "http", "--hf-netloc", upstream, "--hf-lfs-netloc", upstream]
    with open(tmp_path / "olah.log", "w") as log, subprocess.Popen(
        [*map(str, command), "--repos-path", "kept", "--log-path", "logs"], cwd=tmp_path, stdout=log, stderr=log
    ) as process:  # fmt: skip
        try:
            for _ in range(10 * SECONDS):
                assert process.poll() is None, (tmp_path / "olah.log").read_text()[-3000:]
                with socket.socket() as connection:
                    if connection.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture
def digests(hub, tmp_path) -> list[str]:
    """A repository of two versions, the first of which is tagged v1, and their digests."""
    for number, name in enumerate(("one", "two"), 1):
        files(tmp_path / name, number)
        options = {"folder": str(tmp_path / name), "repo_id": "axial/tiny", "tag": f"v{number}"}
        (answer,) = ask(hub.url, tmp_path / "cache", "push", options)
        assert "commit" in answer, answer
    hub.log.clear()
    return [load_checkpoint(tmp_path / name).config.digest for name in ("one", "two")]


def fetched(hub) -> int:
    return sum(bool(re.fullmatch("GET .*/model.safetensors", line)) for line in hub.log)


def test_tags_branches_and_private_repositories_come_through_and_are_kept_there(hub, proxy, digests, tmp_path):
    item, two = digests
    for client in ("first", "second"):  # each with a cache of its own
        answers = ask(proxy, tmp_path / client, "load", "axial/tiny@v1", "axial/tiny@v2", "axial/tiny", "axial/tiny@v9")
        assert [answer.get("digest") for answer in answers] == [item, two, two, None], answers
        assert "no revision 'v9'" in answers[-1]["message"]
    assert fetched(hub) == 2  # once a version: the second client had the proxy's
    hub.repos["axial/tiny"]["private"] = True
    (without,) = ask(proxy, tmp_path / "third", "load", "axial/tiny@v1", token="")
    assert without["error"] == "CheckpointError" and "set HF_TOKEN" in without["message"]


def test_what_the_proxy_keeps_damaged_is_refused_and_not_kept_here(hub, proxy, digests, tmp_path):
    hub.faults.plan("flip", "GET .*/model.safetensors", 1)
    (answer,) = ask(proxy, tmp_path / "client", "load", "axial/tiny@v1")
    assert answer["error"] == "CheckpointError" and "something on the way damages it" in answer["message"], answer
    assert not list((tmp_path / "client").rglob("model.safetensors")) and fetched(hub) == 1
    (answer,) = ask(hub.url, tmp_path / "client", "load", "axial/tiny@v1")  # past the proxy
    assert answer["digest"] == digests[0]


def test_a_connection_that_is_cut_behind_the_proxy_is_gone_over_again(hub, proxy, digests, tmp_path):
    hub.faults.plan("cut_body", "GET .*/model.safetensors", 1)
    (answer,) = ask(proxy, tmp_path / "client", "load", "axial/tiny")
    assert answer.get("digest") == digests[1] and len(hub.faults.log) == 1, answer
