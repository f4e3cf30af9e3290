"""Training on two nodes with a process of each, from shards: killed and started anew, it ends at the weights of an undisturbed run."""

from __future__ import annotations

import importlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from axialzoo.data import open_data
from axialzoo.data.pack import write_shards
from axialzoo.train.run import elastic
from axialzoo.train.state import FILE
from tests.train.test_processes import SETTINGS, distance

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-9  # of a tensor's size, float64
EPOCHS = 12  # of three steps; a save every other step; with 14 float32 ends 3e-4 from float64, in plain operations too
PRECISIONS = {"float64": TOLERANCE, "float32": 1e-4}


def words(shards: Path, out: Path, precision: str) -> list[str]:
    settings = [f"precision={precision}" if setting.startswith("precision") else setting for setting in SETTINGS] + ["eval_every=99"]
    command = ["-m", "axialzoo", "train", "cifar10", "--data", str(shards), "--out", str(out), "--epochs", str(EPOCHS)]
    command += ["--batch-size", "4", "--save-every", "2"]
    return command + [part for setting in settings for part in ("--set", setting)]


def start(command: list[str]) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo"}
    environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    return subprocess.Popen(
        [sys.executable, *command], env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@contextmanager
def nodes(command: list[str]) -> Iterator[list[subprocess.Popen]]:
    """Two agents of torchrun that meet on the loopback interface, each a node with one process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "8", "--rdzv-id", str(port)]
    launcher += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--local-addr", "127.0.0.1"]
    agents = [start([*launcher, *command]) for _ in range(2)]
    try:
        yield agents
    finally:
        for agent in agents:
            for child in processes(agent):
                child.kill()
            agent.kill()
            if agent.stdout and not agent.stdout.closed:
                agent.communicate()


def processes(agent: subprocess.Popen) -> list[psutil.Process]:
    try:
        return psutil.Process(agent.pid).children()
    except psutil.NoSuchProcess:
        return []


def wait_for_saves(state: Path, count: int, agents: list[subprocess.Popen]) -> None:
    """Until the state has been saved so many times more."""
    seen, last, until = 0, state.stat().st_mtime_ns if state.exists() else 0, time.monotonic() + 300
    while seen < count:
        assert time.monotonic() < until and all(agent.poll() is None for agent in agents), "".join(agent.stdout.read() for agent in agents)
        when = state.stat().st_mtime_ns if state.exists() else 0
        seen, last = seen + (when != last), when
        time.sleep(0.002)


@pytest.fixture(scope="module")
def shards(image_folder, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write_shards(open_data(image_folder), folder, per_shard=5)
    return folder


@pytest.fixture(scope="module", params=PRECISIONS)
def undisturbed(request, shards, tmp_path_factory) -> tuple[str, Path]:
    """A run of one process, and its precision."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    done = start(words(shards, out, request.param))
    said, _ = done.communicate(timeout=600)
    assert done.returncode == 0, said[-3000:]
    return request.param, out


@pytest.fixture(scope="module")
def undisturbed_nodes(undisturbed, shards, tmp_path_factory) -> Path:
    """A run of two nodes of the same precision."""
    out = tmp_path_factory.mktemp("nodes") / "run"
    with nodes(words(shards, out, undisturbed[0])) as agents:
        ends = [agent.communicate(timeout=600)[0] for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], ends[0][-2000:] + ends[1][-2000:]
    return out


@pytest.mark.full
def test_a_run_that_is_killed_three_times_ends_where_an_undisturbed_one_ends(undisturbed, undisturbed_nodes, shards, tmp_path):
    (precision, item), rng, killed = undisturbed, random.Random(0), []
    with nodes(words(shards, tmp_path / "run", precision)) as agents:
        for moment in range(3):
            wait_for_saves(tmp_path / "run" / FILE, 3, agents)
            time.sleep(rng.uniform(0, 0.05))
            (victim,) = processes(agents[moment % 2])
            victim.kill()
            killed.append(victim.pid)
        ends = [agent.communicate(timeout=600)[0] for agent in agents]
        assert [agent.returncode for agent in agents] == [0, 0], ends[0][-2000:] + ends[1][-2000:]
    actual, alone = distance(undisturbed_nodes, tmp_path / "run"), distance(item, tmp_path / "run")
    print(f"{precision}: killed three times, the largest difference is {actual:.1e}, of a run of one process {alone:.1e}")
    assert len(set(killed)) == 3 and actual <= TOLERANCE and alone <= PRECISIONS[precision]


@pytest.mark.full
def test_what_two_processes_began_one_ends(undisturbed, shards, tmp_path):
    (precision, item), command = undisturbed, words(shards, tmp_path / "run", undisturbed[0])
    with nodes(command) as agents:
        wait_for_saves(tmp_path / "run" / FILE, 4, agents)
        for agent in agents:
            agent.send_signal(signal.SIGTERM)
    assert not (tmp_path / "run" / "model").exists()
    alone = start([*command, "--resume"])
    said, _ = alone.communicate(timeout=600)
    assert alone.returncode == 0, said[-3000:]
    actual = distance(item, tmp_path / "run")
    print(f"{precision}: begun by two and ended by one, the largest difference is {actual:.1e}")
    assert actual <= PRECISIONS[precision]


@pytest.mark.full
def test_a_run_that_lost_its_place_would_be_seen(undisturbed, shards, tmp_path):
    """Planted: other images at the steps after the save, as of a worker that began the order anew."""
    precision, item = undisturbed
    done = start([*words(shards, tmp_path / "run", precision), "--seed", "1"])
    done.communicate(timeout=600)
    assert distance(item, tmp_path / "run") > 100 * PRECISIONS[precision]


def test_only_torchruns_restarts_go_on_unasked(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_MAX_RESTARTS", raising=False)
    assert not elastic()
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "0")  # as torchrun says where it was not asked for
    assert not elastic()
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    assert elastic()


def test_restarts_that_would_wait_for_ever_are_refused(monkeypatch):
    from axialzoo.train.run import launched

    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launched() == 2
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    with pytest.raises(RuntimeError, match="expected TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 in its environment"):
        launched()


@pytest.mark.parametrize("restarts", ["0", "3"])
def test_a_run_that_is_there_is_gone_on_with_where_workers_are_restarted(shards, tmp_path, monkeypatch, restarts):
    from axialzoo.train import run

    module = importlib.import_module("axialzoo.train.run")
    settings = {
        "model": "axial_resnet_cifar10_xs",
        "holdout": 0,
        "progressive_sizes": (),
        "augment": "resized_crop",
        "batch_size": 4,
        "epochs": 1,
    }
    looked = []
    monkeypatch.setattr(module, "check", lambda data, progress: looked.append(data) or {})
    run("cifar10", shards, tmp_path / "run", **settings)
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", restarts)
    if restarts == "0":
        with pytest.raises(FileExistsError, match="holds a run already"):
            run("cifar10", shards, tmp_path / "run", **settings)
        return
    run("cifar10", shards, tmp_path / "run", **settings)
    assert len(looked) == 1
    with pytest.raises(FileExistsError, match="holds a run by other settings: seed: from 0 to 1 "):
        run("cifar10", shards, tmp_path / "run", **settings, seed=1)
