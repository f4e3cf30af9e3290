"""Messages to a worker arrive bit for bit, arrays of numbers alone do, and errors and deaths of workers are told."""

from __future__ import annotations

import io
import json
import os
import struct
import threading
import time

import numpy as np
import pytest

from axialzoo.runtime import ipc
from axialzoo.runtime.ipc import WorkerDied, WorkerError, WorkerProcess, receive, send


def test_arrays_and_lists_arrive_as_they_were_sent():
    random = np.random.default_rng(0)
    arrays = {
        "one": random.standard_normal((2, 3, 4)).astype(np.float32),
        "list": [random.standard_normal((5,)), random.integers(0, 9, (2, 2))],
        "empty": np.zeros((0, 3), np.float32),
        "none": [],
        "turned": random.standard_normal((3, 4)).T,
    }
    stream = io.BytesIO()
    send(stream, {"do": "x"}, arrays)
    send(stream, {"do": "y"})
    stream.seek(0)
    said, actual = receive(stream)
    assert said == {"do": "x"} and list(actual) == list(arrays) and len(actual["list"]) == 2 and actual["none"] == []
    for name in ("one", "empty", "turned"):
        assert actual[name].dtype == arrays[name].dtype and np.array_equal(actual[name], arrays[name])
    assert all(np.array_equal(item, other) for item, other in zip(actual["list"], arrays["list"]))
    assert receive(stream) == ({"do": "y"}, {})
    with pytest.raises(EOFError):
        receive(stream)


def test_a_message_that_stops_half_way_is_told():
    stream = io.BytesIO()
    send(stream, {}, {"x": np.zeros(100)})
    with pytest.raises(EOFError, match="gone"):
        receive(io.BytesIO(stream.getvalue()[:-1]))


@pytest.mark.parametrize("dtype", ["object", "O", "|V8"])
def test_arrays_of_objects_are_refused(dtype):
    line = json.dumps({"said": {}, "arrays": [["x", None, [[dtype, [1]]]]]}).encode()
    with pytest.raises(ValueError, match="expected an array of float16"):
        receive(io.BytesIO(struct.pack("<Q", len(line)) + line + bytes(8)))


HANDLER = """
import os, sys, time
from axialzoo.runtime import ipc

def handle(message, arrays):
    if message["do"] == "fail":
        raise KeyError("planted")
    if message["do"] == "die":
        print("out of order", file=sys.stderr, flush=True)
        os._exit(3)
    if message["do"] == "sleep":
        time.sleep(60)
    print("frameworks print what they like")
    return {"said": message["do"]}, arrays

ipc.serve(handle)
"""


@pytest.fixture
def worker(tmp_path):
    """Starts a worker process that runs `source`."""
    started = []

    def start(source: str = HANDLER, **words) -> WorkerProcess:
        (tmp_path / "planted_worker.py").write_text(source)
        words["environment"] = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ipc.ROOT}"}
        started.append(WorkerProcess("planted_worker", title="Planted", **words))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def tells_errors(process: WorkerProcess) -> bool:
    """Tell whether an exception arrives with its kind, and the next request gets an answer."""
    try:
        process.ask({"do": "fail"})
    except WorkerError as error:
        return (str(error), error.kind) == ("Planted: 'planted'", "KeyError") and process.ask({"do": "x"})[0] == {"said": "x"}
    return False


def test_a_worker_answers_tells_its_errors_and_goes_on(worker):
    process, x = worker(), np.arange(6.0).reshape(2, 3)
    answer, arrays = process.ask({"do": "x"}, {"x": x})
    assert answer == {"said": "x"} and np.array_equal(arrays["x"], x)
    assert tells_errors(process)


def test_an_error_that_is_lost_would_be_seen(worker):
    lost = HANDLER.replace('raise KeyError("planted")', "return {}, {}")
    assert lost != HANDLER and not tells_errors(worker(lost))


def test_the_last_words_of_a_worker_that_died_are_told(worker):
    process = worker()
    with pytest.raises(WorkerDied, match=r"^Planted: out of order \(exit code 3\)$"):
        process.ask({"do": "die"})
    with pytest.raises(WorkerDied, match="was closed"):
        process.ask({"do": "x"})


def test_a_worker_that_takes_too_long_is_ended(worker):
    process = worker(timeout=2)
    with pytest.raises(WorkerDied, match=r"^Planted: took longer than 2 s$"):
        process.ask({"do": "sleep"})
    assert process._process.poll() is not None


def test_a_worker_that_is_killed_while_it_is_asked_is_told_to_whom_asked(worker):
    process, errors = worker(), []
    process.ask({"do": "x"})

    def ask() -> None:
        try:
            process.ask({"do": "sleep"})
        except WorkerDied as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.2)
    process.kill()
    thread.join(30)
    assert len(errors) == 1 and not thread.is_alive()


def test_worker_processes_are_started_in_one_module_alone():
    sources = {path.relative_to(ipc.ROOT).as_posix(): path.read_text() for path in (ipc.ROOT / "axialzoo").rglob("*.py")}
    started = {name for name, source in sources.items() if "subprocess.Popen(" in source}
    assert started == {"axialzoo/runtime/ipc.py"}, started
