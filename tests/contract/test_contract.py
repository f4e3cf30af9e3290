"""Every registered head keeps the contract in both frameworks and on all back ends, and one that does not is told which part."""

from __future__ import annotations

from axialzoo.spec.heads import HEADS


def test_every_registered_head_keeps_the_contract(worker, place):
    found = worker(place)["cases"]
    assert set(HEADS) | {"toy"} <= set(found)
    assert {name: broken for name, broken in found.items() if broken} == {}


def test_a_head_that_forgets_a_part_is_told_which(worker, place):
    found = worker(place)["planted"]
    if place in ("torch", "keras-torch"):  # the others plant nothing: it takes minutes, and the back end is not in what is planted
        assert len(found) >= 16
    for what, message in found.items():
        part = what.partition(":")[0]
        assert f"part {part!r}" in message and "'toy'" in message, (what, message)


def test_a_kind_without_a_model_is_refused_by_name(monkeypatch):
    import pytest

    from tests.contract import cases, contract

    monkeypatch.setitem(HEADS, "orphan", type("Orphan", (), {"kind": "orphan"}))
    with pytest.raises(contract.Broken, match=r"head 'orphan'.*spec/zoo"):
        cases.cases()
