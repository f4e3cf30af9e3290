"""A command that is killed, or fails, at every system call that writes: ``python -m tests.kills.harness CASE ACTION MOST``.

Runs with tests/kills/inject.c preloaded (see `run`). One process imports everything and forks a child for each system call. The child gets
a copy of the same folder and is killed at that call (a write is torn in two), or meets a disk that is full or read-only from there on.
Then the folder has to hold the old files or the new ones, whole, and the command has to end right when it is run again.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

ACTIONS = {"count": 0, "kill": 1, "full": 2, "read_only": 3}
SOURCE = Path(__file__).with_name("inject.c")
DONE, REFUSED, CRASHED = 0, 3, 4  # exit codes of a child


def build(folder: Path) -> Path:
    """Compile the library that counts system calls."""
    library = folder / "inject.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-w", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def run(library: Path, case: str, action: str, most: int = 10_000) -> dict:
    """Run the harness in a process of its own and return ``calls``, ``tried`` and ``bad``, a sentence for each failure."""
    root = Path(__file__).resolve().parents[2]
    settings = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "PYTHONPATH": f"{root}:{os.environ.get('AXIALZOO_TEST_PATH', '')}",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [sys.executable, "-m", "tests.kills.harness", str(library), case, action, str(most)]
    ended = subprocess.run(command, env=settings, capture_output=True, text=True, check=False, cwd=root)
    if ended.returncode:
        raise RuntimeError(ended.stderr[-3000:])
    return json.loads(ended.stdout.splitlines()[-1])


def main(library: str, name: str, action: str, most: int) -> dict:
    """Try every call of a case, or at most `most` that are spread evenly."""
    from tests.kills.cases import CASES, Case

    case: Case = CASES[name]
    inject, warm = ctypes.CDLL(library), Path(tempfile.mkdtemp(prefix="axialzoo-kills-"))
    with contextlib.redirect_stdout(sys.stderr):
        case.prepare(warm / "template")
        shutil.copytree(warm / "template", warm / "new")
        case.act(warm / "new", False)  # what is imported and compiled now is there for all children
    expected = Expected(case, case.view(warm / "template"), case.view(warm / "new"))
    assert expected.old != expected.new, "the command changes nothing"
    work = warm / "work"
    calls = child(case, inject, warm / "template", work, 0, "count", False)[1]
    points = sorted({1 + index * (calls - 1) // max(min(most, calls) - 1, 1) for index in range(min(most, calls))})
    bad = [f"call {point}: {text}" for point in points for text in attempt(expected, inject, warm / "template", work, point, action)]
    shutil.rmtree(warm)
    return {"case": name, "action": action, "calls": calls, "tried": len(points), "bad": bad}


class Expected:
    """Contents that a folder may have: the old files, the new ones, each whole."""

    def __init__(self, case, old: dict[str, object], new: dict[str, object]):
        self.case, self.old, self.new = case, old, new

    def faults(self, folder: Path) -> list[str]:
        """Return what is neither old nor new."""
        if self.case.check is not None:
            return self.case.check(folder)
        try:
            view = self.case.view(folder)
        except Exception as error:
            return [f"cannot be read: {type(error).__name__}: {error}"]
        names = {*self.old, *self.new, *view}
        halves = [name for name in sorted(names) if view.get(name) not in (self.old.get(name), self.new.get(name))]
        if not halves and self.case.together and view not in (self.old, self.new):
            return [f"old and new files mixed: {sorted(view)}"]
        return [f"{name} is neither old nor new" for name in halves]


def attempt(expected: Expected, inject, template: Path, work: Path, point: int, action: str) -> list[str]:
    """Return what is wrong after the command met its fate at a call, and after it ran again."""
    status, _, text = child(expected.case, inject, template, work, point, action, False)
    bad = []
    if action == "kill" and status != -signal.SIGKILL:
        bad.append(f"expected to be killed, ended with {status} {text}")
    if action != "kill" and status not in (DONE, REFUSED):
        bad.append(f"no plain error: {status} {text}")
    bad += expected.faults(work)
    status, _, text = child(expected.case, inject, None, work, 0, "count", True)
    if status == REFUSED and "already" in text and expected.case.view(work) == expected.new:
        return bad  # it says that all is there, and it is
    if status != DONE:
        bad.append(f"run again: {status} {text}")
    elif (view := expected.case.view(work)) != expected.new:
        bad.append(
            f"run again: not as it should be: {sorted(name for name in {*view, *expected.new} if view.get(name) != expected.new.get(name))}"
        )
    return bad


def child(case, inject, template: Path | None, work: Path, point: int, action: str, again: bool) -> tuple[int, int, str]:
    """Run the command in a child: its exit code (or minus its signal), number of calls, and what it said."""
    if template is not None:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(template, work)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code, text = DONE, ""
        try:
            signal.alarm(300)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            warnings.simplefilter("ignore")
            inject.inject(os.fsencode(work), ctypes.c_long(point), ACTIONS[action])
            case.act(work, again)
        except (OSError, ValueError, RuntimeError) as error:
            code, text = REFUSED, f"{type(error).__name__}: {error}"
        except BaseException:
            code, text = CRASHED, traceback.format_exc()[-1500:]
        calls = inject.injected()
        inject.inject(b"", ctypes.c_long(0), 0)
        os.write(writing, json.dumps([calls, text[:2000]]).encode())
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    calls, text = json.loads(said) if said else (0, "")
    return status, calls, text


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))))
