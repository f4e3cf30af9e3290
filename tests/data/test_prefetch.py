"""Steps come in order whoever makes them first, and errors come where they belong."""

from __future__ import annotations

import threading
import time

import pytest

from axialzoo.data.prefetch import prefetched


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_results_come_in_order(threads):
    def make(step: int) -> int:
        time.sleep(0.01 * (step % 3 == 0))
        return step * step

    assert list(prefetched(make, range(20), threads)) == [step * step for step in range(20)]


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_is_raised_at_its_step(threads):
    def make(step: int) -> int:
        if step == 3:
            raise ValueError("step 3: broken")
        return step

    actual = []
    with pytest.raises(ValueError, match="step 3: broken"):
        for item in prefetched(make, range(10), threads):
            actual.append(item)
    assert actual == [0, 1, 2]


def test_no_more_is_made_than_may_wait():
    built = []
    results = prefetched(lambda step: built.append(step), range(100), threads=2, ahead=3)
    next(results)
    time.sleep(0.1)
    assert len(built) <= 4
    results.close()


def test_leaving_early_stops_the_threads():
    before = threading.active_count()
    for _ in prefetched(lambda step: step, range(100), threads=3):
        break
    for _ in range(100):
        if threading.active_count() == before:
            break
        time.sleep(0.01)
    assert threading.active_count() == before


def test_threads_work_at_the_same_time():
    barrier = threading.Barrier(2, timeout=20)
    assert len(list(prefetched(lambda _: barrier.wait(), range(2), threads=2))) == 2


@pytest.mark.parametrize("wrong", [{"threads": -1}, {"ahead": 0}])
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="expected threads from 0 and ahead from 1"):
        prefetched(str, range(3), **wrong)
