"""Whatever is killed while it predicts, every picture is in the result once, and the bytes are those of an undisturbed run."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from axialzoo.engine import predict_batch
from axialzoo.runtime.ipc import WorkerError
from tests.engine.made import COUNT, contents, jpeg, names, once_each

ROOT = Path(__file__).parents[2]
CHUNK = 4
PARTS = COUNT // CHUNK


@pytest.fixture(scope="module")
def undisturbed(folder, pictures, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "results.jsonl"
    predict_batch([pictures], folder, out, workers=1, chunk=CHUNK)
    return out


def workers() -> list[psutil.Process]:
    known = ((item, item.as_dict(["cmdline"])["cmdline"]) for item in psutil.Process().children())  # of one that has just ended None
    return [item for item, words in known if "axialzoo.engine.worker" in " ".join(words or ())]


@pytest.mark.parametrize("moments", [2, pytest.param(10, marks=pytest.mark.full)])
def test_killed_workers_are_replaced_and_their_chunks_done_again(undisturbed, folder, pictures, tmp_path, moments):
    rng, killed = random.Random(moments), []
    left = sorted(rng.sample(range(1, PARTS), moments))

    def kill(done: int, total: int) -> None:
        while left and done // CHUNK >= left[0] and (there := workers()):  # else at the next chunk
            left.pop(0)
            time.sleep(rng.uniform(0, 0.03))  # into the next chunk
            victim = rng.choice(there)
            victim.kill()
            killed.append(victim.pid)

    out = tmp_path / "out.jsonl"
    assert predict_batch([pictures], folder, out, workers=2, chunk=CHUNK, progress=kill)["done"] == COUNT
    assert len(set(killed)) >= min(moments, 2) and len(killed) == moments
    assert once_each(out, names(pictures)) and contents(out) == contents(undisturbed)


def test_a_worker_that_is_killed_within_a_chunk_has_it_done_again(folder, tmp_path):
    inside, out, killed = tmp_path / "pictures", tmp_path / "out.jsonl", []
    inside.mkdir()
    for index in range(1, 2 * CHUNK):
        (inside / f"{index:03}.jpg").write_bytes(jpeg(index))
    os.mkfifo(inside / "000.jpg")  # whoever reads it waits until somebody writes

    def meet_reader() -> None:
        with open(inside / "000.jpg", "wb"):  # waits for a worker that reads: it has begun its chunk
            (inside / "no picture").write_bytes(b"")
            os.replace(inside / "no picture", inside / "000.jpg")  # what the next worker reads, however often, without waiting
            (victim,) = workers()
            victim.kill()
            victim.wait()
            killed.append(victim.pid)

    met = threading.Thread(target=meet_reader)
    met.start()
    actual = predict_batch([inside], folder, out, workers=1, chunk=CHUNK)
    met.join(60)
    assert killed and not met.is_alive()
    assert once_each(out, names(inside)) and actual["errors"] == 1  # the file that is no picture


@pytest.mark.parametrize("moments", [1, pytest.param(4, marks=pytest.mark.full)])
def test_a_killed_driver_is_resumed_and_does_only_what_is_missing(undisturbed, folder, pictures, tmp_path, moments):
    rng, out = random.Random(moments), tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "axialzoo", "predict", str(pictures), "--model", str(folder), "--out", str(out)]
    command += ["--workers", "2", "--chunk", str(CHUNK), "--resume"]
    for moment in sorted(rng.sample(range(1, PARTS - 2), moments)):
        driver = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 300
        while len(list(out.glob("part-*"))) < moment and time.monotonic() < until and driver.poll() is None:
            time.sleep(0.005)
        children = psutil.Process(driver.pid).children()
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        psutil.wait_procs(children, timeout=60)  # they end by themselves, once their chunk is done
        assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    there = {path: path.stat().st_mtime_ns for path in out.glob("part-*")}
    assert 0 < len(there) < PARTS
    (out / ".0123456789ab.part-000003.jsonl").write_text("half")  # of a worker that was killed as it wrote
    done = predict_batch([pictures], folder, out, workers=2, chunk=CHUNK, resume=True)
    assert done["done"] == COUNT - CHUNK * len(there) and all(path.stat().st_mtime_ns == when for path, when in there.items())
    assert once_each(out, names(pictures)) and contents(out) == contents(undisturbed)


@pytest.mark.parametrize("planted", ["lost", "twice", "half"])
def test_a_picture_that_is_lost_or_there_twice_would_be_seen(undisturbed, pictures, tmp_path, planted):
    out = tmp_path / "results.jsonl"
    shutil.copytree(undisturbed, out)
    assert once_each(out, names(pictures))
    last = out / f"part-{PARTS - 1:06}.jsonl"
    if planted == "lost":
        last.unlink()
    elif planted == "twice":
        shutil.copy(last, out / f"part-{PARTS:06}.jsonl")
    else:
        (out / ".a.part-000001.jsonl").touch()
    assert not once_each(out, names(pictures))


def test_workers_that_die_again_and_again_are_told(folder, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr("axialzoo.runtime.ipc.sys.executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text("#!/bin/sh\necho out of order >&2\nexit 3\n")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(WorkerError, match=r"5 workers died .* before it began: out of order \(exit code 3\); what is done is kept"):
        predict_batch([pictures], folder, tmp_path / "out.jsonl", workers=2, chunk=CHUNK)
