"""Several threads and processes that do one thing at once: right results, whole files, and no child that waits for ever."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from axialzoo import load_runner
from axialzoo.checkpoint import load_checkpoint
from axialzoo.ops.kernels.build import compiler
from axialzoo.runtime.convert import convert
from tests.conversion import small

ROOT = Path(__file__).resolve().parents[2]
MODEL = "axial_resnet_cifar10_xs"
THREADS = 100


def noise(seed: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1 + seed % 3, size, size + 8 * (seed % 2), 3), np.float32)


def test_a_hundred_threads_share_a_runner():
    runner = load_runner(MODEL, framework="torch")
    expected = [runner.outputs(noise(seed))["logits"] for seed in range(THREADS)]
    ready = threading.Barrier(THREADS)

    def work(seed: int) -> np.ndarray:
        ready.wait()
        return runner.outputs(noise(seed))["logits"]

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(work, range(THREADS)))
    assert all(np.array_equal(item, other) for item, other in zip(expected, results))
    assert not np.array_equal(expected[0], expected[3])  # results that were mixed up would be seen


def side_by_side(program: str, count: int = 2, **environment: str) -> list[str]:
    """Run a program in several processes that start their work together, and return what they print."""
    lines = "import sys; sys.stdin.readline()\n" + program
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", lines], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=settings
        )
        for _ in range(count)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=600) for process in processes]
    assert [process.returncode for process in processes] == [0] * count, "\n".join(said[1][-2000:] for said in ends)
    return [said[0].strip() for said in ends]


def test_processes_that_convert_to_one_file_leave_a_whole_one(tmp_path):
    small.write_folder(tmp_path / "a", 1)
    program = (
        "from axialzoo.runtime.convert import convert\n"
        f"for _ in range(5): print(convert({str(tmp_path / 'a')!r}, {str(tmp_path / 'b')!r}, overwrite=True)['digest'])\n"
    )
    said = side_by_side(program, 3)
    assert {line for text in said for line in text.split()} == {load_checkpoint(tmp_path / "a").config.digest}
    assert load_checkpoint(tmp_path / "b").config.digest == load_checkpoint(tmp_path / "a").config.digest
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["config.json", "model.safetensors"]
    assert convert(tmp_path / "b", tmp_path / "c.safetensors")["digest"] in said[0]


@pytest.mark.full
def test_processes_that_pull_one_name_leave_one_whole_checkpoint(tmp_path):
    from tests.kills.cases import foreign

    foreign(tmp_path / "from")
    program = (
        "import warnings; from pathlib import Path; from tests.kills.cases import pull_file\n"
        f"pull_file(Path({str(tmp_path / 'from')!r}), False)\n"
    )
    side_by_side(program, 2)
    folder = tmp_path / "from" / "home" / "pulled" / "axial_resnet26_s.test"
    assert load_checkpoint(folder).config.digest and [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.full
@pytest.mark.skipif(compiler() is None, reason="no compiler")
def test_processes_that_compile_the_kernel_get_one_that_loads(tmp_path):
    program = "from axialzoo.ops.kernels import kernel; assert kernel() is not None; print('ready')"
    assert side_by_side(program, 2, XDG_CACHE_HOME=str(tmp_path)) == ["ready", "ready"]
    libraries = [path for path in tmp_path.rglob("*.so")]
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in libraries}) == len(libraries) >= 1
    shutil.rmtree(tmp_path)


FORK = """
import os, sys, numpy as np
from axialzoo import load_runner
runner = load_runner("axial_resnet_cifar10_xs", framework="torch")
x = np.random.default_rng(0).standard_normal((2, 32, 32, 3), np.float32)
before = runner.outputs(x)["logits"] if sys.argv[1] == "used" else None
pid = os.fork()
if pid == 0:
    import signal
    signal.alarm(60)
    logits = runner.outputs(x)["logits"]
    os._exit(0 if before is None or np.array_equal(before, logits) else 9)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
assert before is None or np.array_equal(before, runner.outputs(x)["logits"])
print(status)
"""


@pytest.mark.parametrize("state", ["fresh", pytest.param("used", marks=pytest.mark.full)])
def test_a_process_that_forks_predicts_in_both(state):
    command = [sys.executable, "-c", FORK, state]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "2"}, check=False)
    assert ended.stdout.strip() == "0", ended.stderr[-2000:]
