"""Measuring: each case in its own process, the limits kept, errors told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from axialzoo.analysis import measure as measuring
from axialzoo.analysis.cases import cases
from axialzoo.analysis.measure import measure
from axialzoo.analysis.networks import prepare
from axialzoo.spec import get_entry

SPEC = get_entry("axial_resnet_cifar10_xs").spec
BLOCK = "stages.1.blocks.0"


def test_cases_are_measured_in_turn_and_within_their_estimate():
    lines: list[str] = []
    built = cases(SPEC, ["axial", "local"], [(24, 24)], BLOCK)
    actual = measure(built, threads=1, rounds=1, log=lines.append)
    for case, result in zip(built, actual):
        assert result["skipped"] is None and result["calls"] >= 1 and result["cpu_seconds"] > 0
        assert 0 < result["fastest"] <= result["seconds"] <= result["slowest"]
        assert 0 < result["memory_bytes"] < 2 * case.estimated_bytes and result["resident_bytes"] >= 0
    assert [line.partition(":")[0] for line in lines] == ["axial 24x24", "local 24x24"]


def test_what_needs_too_much_is_not_started(monkeypatch):
    monkeypatch.setattr(measuring, "_in_a_process", lambda *_: pytest.fail("started"))
    (case,) = cases(SPEC, ["global"], [(2000, 2000)], BLOCK, train=True)
    (actual,) = measure([case], threads=1, memory=2**30)
    assert "GiB, more than the 1.0 GiB to use" in actual["skipped"] and actual["seconds"] is None and actual["calls"] == 0


def test_what_takes_too_long_or_too_much_is_killed_and_errors_are_told():
    (case,) = cases(SPEC, ["axial"], [(24, 24)], BLOCK)
    (actual,) = measure([case], threads=1, rounds=1, seconds=0.001)
    assert actual["skipped"] == "took longer than 0.001 s"
    (actual,) = measure([replace(case, estimated_bytes=0)], threads=1, rounds=1, memory=2**20)  # the estimate is wrong
    assert actual["skipped"] == "took more than the 0.0 GiB to use"
    broken = replace(case, size=(0, 0))
    with pytest.raises(RuntimeError, match="axial 0x0: Traceback"):
        measure([broken], threads=1, rounds=1)


def test_what_earlier_rounds_found_stays(monkeypatch):
    answers = iter([{"times": [1.0, 3.0], "busy": [1.0, 1.0], "memory_bytes": 5, "resident_bytes": None}, {"skipped": "took longer"}])
    monkeypatch.setattr(measuring, "_in_a_process", lambda *_: next(answers))
    (actual,) = measure(cases(SPEC, ["axial"], [(8, 8)], BLOCK), threads=1, rounds=3)
    assert actual["skipped"] is None and actual["seconds"] == 2.0 and actual["calls"] == 2 and actual["memory_bytes"] == 5


@pytest.mark.parametrize("kind", ["axial", "window"])
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("layer", [None, BLOCK])
def test_a_case_runs(kind, train, layer):
    (case,) = cases(SPEC, [kind], [(16, 24)], layer, train=train, batch=2)
    prepare(case)()
