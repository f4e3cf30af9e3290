"""The plugin of a back end's process: runs the tests that :mod:`tests.backends` asks for, and reports each."""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import Any

import pytest

import keras  # isort: skip  # before any test, whose warnings are errors: the back ends warn when they are imported


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
        self.items: dict[str, pytest.Item] = {}
        self.errors: dict[str, str] = {}
        self.last: pytest.Item | None = None
        self.config: pytest.Config

    def send(self, message: Any) -> None:
        data = (json.dumps(message, default=str) + "\n").encode()
        while data:
            data = data[os.write(self.reports_fd, data) :]

    def pytest_collection(self, session: pytest.Session) -> bool:
        self.config = session.config
        return True  # files are collected when their first test is asked for

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.errors[report.nodeid] = str(report.longrepr)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for line in self.requests:
            request = json.loads(line)
            self.run(session, **request)
            self.send("done")
        session._setupstate.teardown_exact(None)
        return True

    def run(self, session: pytest.Session, path: str, nodeid: str) -> None:
        if nodeid not in self.items:
            self.items |= {item.nodeid: item for item in session.perform_collect([path])}
        item = self.items.get(nodeid)
        if item is None:
            errors = "\n".join(self.errors.values()) or "found " + ", ".join(self.items)
            report = pytest.TestReport(nodeid, (nodeid, None, nodeid), {}, "failed", f"{nodeid} was not collected: {errors}", "setup")
            return self.pytest_runtest_logreport(report)
        if self.last is not None and self.last.path != item.path:
            session._setupstate.teardown_exact(AnyOther(item))  # pyright: ignore
            forget()
        self.last = item
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=AnyOther(item))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.send(self.config.hook.pytest_report_to_serializable(config=self.config, report=report))


def forget() -> None:
    """Give back what the tests of one file have compiled, and Keras's global state."""
    keras.backend.clear_session()
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    gc.collect()
