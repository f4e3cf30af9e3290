"""A Hub of one test's own."""

from __future__ import annotations

import pytest

from tests.cli.conftest import axialzoo  # noqa: F401 (a fixture)
from tests.hub.server import Hub


@pytest.fixture
def hub():
    with Hub() as hub:
        yield hub
