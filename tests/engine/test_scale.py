"""The tables of docs/scale.md follow from the rates at its end."""

from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks.scale import tables

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


def rates() -> dict[str, float]:
    actual = re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert actual
    return json.loads(actual[1])


def test_the_tables_are_those_of_the_rates():
    assert tables(rates()) in PAGE.read_text()


def test_another_rate_would_be_seen():
    assert tables({**rates(), "axial_resnet50_s train": 4.0}) not in PAGE.read_text()
