"""The plugin of a back end's process: runs the tests that :mod:`tests.backends` asks for, and reports each."""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import keras  # isort: skip  # before any test, whose warnings are errors: the back ends warn when they are imported


MOST_BYTES = 4 << 30  # that a process holds before it gives back what earlier tests of the same file have compiled
WARNINGS = (  # of other packages, about one another
    r"ignore:[\s\S]*You are using a softmax over axis -1 of a tensor of shape:UserWarning",  # Keras, of an axis of one position
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
    r"ignore:\s*Warning. tf\.lite\.Interpreter is deprecated:UserWarning",
    "ignore:The `native_serialization` parameter is deprecated:DeprecationWarning",  # Keras hands it to JAX where it exports
)


class AnyOther:
    """Stands for the next test of a module: what belongs to a test is torn down, what belongs to its module stays."""

    def __init__(self, item: pytest.Item) -> None:
        self.collectors = item.listchain()[:-1]

    def listchain(self) -> list:
        return self.collectors


class RequestedTests:
    """Runs tests as they are asked for."""

    def __init__(self, requests: int, reports: int) -> None:
        self.requests = os.fdopen(requests, "r")
        self.reports_fd = reports
        self.errors: dict[str, str] = {}
        self.last: pytest.Item | None = None
        self.config: pytest.Config

    def send(self, message: Any) -> None:
        data = (json.dumps(message, default=str) + "\n").encode()
        while data:
            data = data[os.write(self.reports_fd, data) :]

    def pytest_configure(self, config: pytest.Config) -> None:
        self.config = config
        for warning in WARNINGS:
            config.addinivalue_line("filterwarnings", warning)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors[report.nodeid] = str(report.longrepr)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        for line in self.requests:
            nodeid = line.rstrip("\n")
            if nodeid in items:
                self.run(session, items[nodeid])
            else:
                errors = "\n".join(self.errors.values()) or "found " + ", ".join(items)
                message = f"{nodeid} was not collected: {errors}"
                self.pytest_runtest_logreport(pytest.TestReport(nodeid, (nodeid, None, nodeid), {}, "failed", message, "setup"))
            self.send("done")
        session._setupstate.teardown_exact(None)
        return True

    def run(self, session: pytest.Session, item: pytest.Item) -> None:
        if self.last is not None and self.last.path != item.path:
            session._setupstate.teardown_exact(AnyOther(item))  # pyright: ignore
            forget()
        elif resident_bytes() > MOST_BYTES:
            forget()
        self.last = item
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=AnyOther(item))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.send(self.config.hook.pytest_report_to_serializable(config=self.config, report=report))


def resident_bytes() -> int:
    """Return the memory that this process holds; 0 where the system does not say."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def forget() -> None:
    """Give back what earlier tests have compiled, and Keras's global state."""
    keras.backend.clear_session()
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    gc.collect()
