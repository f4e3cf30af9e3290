"""What is said of timm's own tests: each case that its ResNet passes and one of ours does not, by name."""

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
    found = outcomes_of((f"test_a[1-{PEER}.a1_in1k]", "call", "passed"), ("test_a[1-ours]", "call", "passed"))
    assert found.missing(["ours"]) == [] and found.passed("ours") == found.passed(PEER) == 1


def test_what_ours_fails_or_skips_or_has_not_is_missing():
    passed = [(f"test_{name}[1-{PEER}]", "call", "passed") for name in "abc"]
    found = outcomes_of(*passed, ("test_a[1-ours]", "call", "failed"), ("test_b[1-ours]", "setup", "skipped"))
    assert found.missing(["ours"]) == ["test_a: ours failed", "test_b: ours skipped", "test_c: ours has no such case"]


def test_what_resnet_fails_too_is_not_asked_for():
    assert outcomes_of((f"test_a[1-{PEER}]", "call", "failed"), ("test_a[1-ours]", "call", "failed")).missing(["ours"]) == []


def test_a_case_that_fails_with_one_tag_of_its_weights_fails():
    found = outcomes_of((f"test_a[1-{PEER}.x]", "call", "failed"), (f"test_a[1-{PEER}.y]", "call", "passed"))
    assert found.passed(PEER) == 0
