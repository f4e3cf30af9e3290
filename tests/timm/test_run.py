"""The report on timm's own tests names each case that its ResNet passes and one of ours does not."""

from __future__ import annotations

from types import SimpleNamespace

from tests.timm.run import PEER, Outcomes


def outcomes_of(*reports: tuple[str, str, str]) -> Outcomes:
    outcomes = Outcomes()
    for node, when, outcome in reports:
        report = SimpleNamespace(nodeid=f"tests/test_models.py::{node}", when=when, outcome=outcome, passed=outcome == "passed")
        outcomes.pytest_runtest_logreport(report)  # type: ignore[arg-type]
    return outcomes


def test_what_both_pass_is_not_missing():
    actual = outcomes_of((f"test_a[1-{PEER}.a1_in1k]", "call", "passed"), ("test_a[1-ours]", "call", "passed"))
    assert actual.missing(["ours"]) == [] and actual.passed("ours") == actual.passed(PEER) == 1


def test_what_ours_fails_or_skips_or_has_not_is_missing():
    passed = [(f"test_{name}[1-{PEER}]", "call", "passed") for name in "abc"]
    actual = outcomes_of(*passed, ("test_a[1-ours]", "call", "failed"), ("test_b[1-ours]", "setup", "skipped"))
    assert actual.missing(["ours"]) == ["test_a: ours failed", "test_b: ours skipped", "test_c: ours has no such case"]


def test_what_resnet_fails_too_is_not_asked_for():
    assert outcomes_of((f"test_a[1-{PEER}]", "call", "failed"), ("test_a[1-ours]", "call", "failed")).missing(["ours"]) == []


def test_a_case_that_fails_with_one_tag_of_its_weights_fails():
    actual = outcomes_of((f"test_a[1-{PEER}.x]", "call", "failed"), (f"test_a[1-{PEER}.y]", "call", "passed"))
    assert actual.passed(PEER) == 0
