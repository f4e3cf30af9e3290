"""Runs tests of Keras in long-lived processes, one per back end: a process has one back end, fixed when Keras is first imported.

``@pytest.mark.backends("tensorflow", "jax", "torch")`` sends a test, by its node id, to a process of each back end, where pytest runs it
with its fixtures, parameters, time limit and warnings; the reports come back and are shown as any other. ``full=("jax",)`` names back ends
that `make test-full` adds, and ``every={"jax": 8}`` runs every eighth case of a test on JAX, which compiles each; `make test-full` runs
all. A process starts with its first test, serves until the end, and is started again where a test has killed it.
A test module is imported in either process, so it imports Keras inside functions, or from a helper module inside functions.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from select import select

import pytest
from _pytest.runner import CallInfo

ROOT = Path(__file__).resolve().parent.parent
COMPILED = ROOT / "build" / "jax"
PIPES = "AXIALZOO_TEST_PIPES"  # environment variable: the file descriptors that a process reads requests from and writes reports to
PATIENCE = 60  # seconds that a process has on top of the time limit of its test, which it keeps by itself


def environment(backend: str) -> dict[str, str]:
    """Return the environment of a back end's process; JAX has two devices, and keeps what it compiles, by its program, in a folder."""
    return {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": str(ROOT),
        "JAX_ENABLE_X64": "1",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(COMPILED),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "XLA_FLAGS": (
            "--xla_backend_optimization_level=0 --xla_cpu_multi_thread_eigen=false --xla_force_host_platform_device_count=2"
        ),  # compiling is most of the work
        "OMP_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }


class BackendProcess:
    """Runs tests, by node id, on one back end of Keras; `paths` are the files that they are in."""

    def __init__(self, backend: str, config: pytest.Config, paths: Iterable[Path]) -> None:
        self.backend = backend
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        requests, self.requests = os.pipe()
        self.reports, reports = os.pipe()
        command = [sys.executable, "-m", "pytest", "--override-ini=addopts=", "--import-mode=importlib", "--quiet"]
        command += ["-p", "no:cacheprovider", "-p", "no:xdist", f"--rootdir={config.rootpath}", f"--tb={config.option.tbstyle}"]
        command += ["-v"] * config.option.verbose + ["--continue-on-collection-errors"]
        command += [f"--timeout={limit}"] if (limit := config.getoption("timeout", None)) else []
        command += sorted(map(str, paths))
        variables = {**environment(backend), PIPES: f"{requests} {reports}"}
        self.process = subprocess.Popen(
            command, cwd=config.rootpath, env=variables, stdout=self.log, stderr=self.log, pass_fds=(requests, reports)
        )
        os.close(requests)
        os.close(reports)
        self.unread = b""

    def run(self, item: pytest.Item, limit: float) -> Iterator[dict]:
        """Yield the serialised reports of a test.

        Raises:
            EOFError: The process has died, or has not answered in `limit` seconds.
        """
        os.write(self.requests, f"{item.nodeid}\n".encode())
        while (message := self.read(limit)) != "done":
            yield message

    def read(self, limit: float):
        while b"\n" not in self.unread:
            if not select([self.reports], [], [], limit)[0]:
                raise EOFError(f"has not answered in {limit:.0f} s")
            if not (part := os.read(self.reports, 1 << 16)):
                raise EOFError(f"died with exit status {self.process.wait()}")
            self.unread += part
        line, _, self.unread = self.unread.partition(b"\n")
        return json.loads(line)

    def ask_for_no_more(self) -> None:
        if self.requests is not None:
            os.close(self.requests)
            self.requests = None

    def final_output(self) -> str:
        self.log.seek(0)
        return self.log.read()[-4000:]

    def end(self, seconds: float = 0) -> None:
        """End the process, after `seconds` at most in which it tears its fixtures down."""
        self.ask_for_no_more()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if not self.log.closed:
            os.close(self.reports)
            self.log.close()


class BackendTests:
    """The plugin of the process of the tests: hands tests marked `backends` to the processes of the back ends."""

    def __init__(self) -> None:
        self.processes: dict[str, BackendProcess] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        leave_to_full(items)
        if part := os.environ.get("AXIALZOO_TEST_PART"):  # a back end, or "shared" for what runs on none
            items[:] = [item for item in items if (backend_of(item) or "shared") == part]
        for item in items:
            if (backend := backend_of(item)) is not None:
                item.add_marker(pytest.mark.timeout(0), append=False)  # the limit is kept where the test runs
                if importlib.util.find_spec(backend) is None or importlib.util.find_spec("keras") is None:
                    item.add_marker(pytest.mark.skip(f"keras with {backend} is not installed"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        backend = backend_of(item)
        if backend is None or item.get_closest_marker("skip"):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self.reports(backend, item):
            item.ihook.pytest_runtest_logreport(report=report)
        left = CallInfo.from_call(lambda: item.session._setupstate.teardown_exact(nextitem), when="teardown")  # fixtures of this process
        if left.excinfo is not None:
            item.ihook.pytest_runtest_logreport(report=pytest.TestReport.from_item_and_call(item, left))
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def reports(self, backend: str, item: pytest.Item) -> Iterator[pytest.TestReport]:
        limits = [mark.args[0] for mark in item.iter_markers("timeout") if mark.args and mark.args[0]]
        limit = (limits[0] if limits else item.config.getoption("timeout", None) or 900) + PATIENCE
        if backend not in self.processes:
            paths = {other.path for other in item.session.items if backend_of(other) == backend}
            self.processes[backend] = BackendProcess(backend, item.config, paths)
        process = self.processes[backend]
        try:
            for data in process.run(item, limit):
                report = item.config.hook.pytest_report_from_serializable(config=item.config, data=data)
                report.longrepr = tuple(report.longrepr) if isinstance(report.longrepr, list) else report.longrepr  # of a skipped test
                yield report
        except (EOFError, BrokenPipeError) as error:
            message = f"the process of {backend} {error} in this test; the next test starts another. Last words:\n{process.final_output()}"
            self.processes.pop(backend).end()
            yield pytest.TestReport(item.nodeid, item.location, dict.fromkeys(item.keywords, 1), "failed", message, "call")

    def pytest_sessionfinish(self) -> None:
        for process in self.processes.values():
            process.ask_for_no_more()
        for process in self.processes.values():
            process.end(seconds=30)
        self.processes.clear()


def backend_of(item: pytest.Item) -> str | None:
    """Return the back end on which a test marked `backends` runs; None of any other test."""
    return item.callspec.params["backend"] if item.get_closest_marker("backends") else None  # pyright: ignore


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Give a test marked `backends` its parameter `backend`, whether it takes it or not."""
    if (marker := metafunc.definition.get_closest_marker("backends")) is None:
        return
    full = marker.kwargs.get("full", ())
    if "backend" not in metafunc.fixturenames:
        metafunc.fixturenames.append("backend")
    chosen = [*marker.args, *(pytest.param(backend, marks=pytest.mark.full) for backend in full)]
    metafunc.parametrize("backend", chosen, scope="module")


def leave_to_full(items: Iterable[pytest.Item]) -> None:
    """Mark as `full` the cases that ``every`` of their marker `backends` leaves out."""
    cases = Counter()
    for item in items:
        if (marker := item.get_closest_marker("backends")) is None:
            continue
        backend = backend_of(item)
        key = (item.nodeid.partition("[")[0], backend)
        if cases[key] % marker.kwargs.get("every", {}).get(backend, 1):
            item.add_marker(pytest.mark.full)
        cases[key] += 1


def scope_of(nodeid: str) -> str:
    """Return what pytest-xdist gives to one worker as a whole: a file, or a file on one back end."""
    backend = re.search(r"[\[-](tensorflow|jax|torch)[\]-]", nodeid)
    return nodeid.partition("::")[0] + (f"@{backend[1]}" if backend else "")
