"""Memory does not grow with the number of pictures."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.engine import compare_memory, compare_workers, peak_memory


@pytest.mark.full
def test_ten_times_the_pictures_take_no_more_memory(folder):
    actual = compare_memory(str(folder), [200, 2000], side=32, chunk=20)
    assert actual["largest over smallest"] <= 1.1, actual


@pytest.mark.full
def test_the_benchmark_of_two_workers_against_one_sees_equal_bytes(folder):
    actual = compare_workers(str(folder), 40, side=32, runs=1, chunk=10)
    assert actual["bytes are equal"] and actual["a second"][1] > 0


def test_memory_that_grows_would_be_seen():
    def peak(size: int) -> int:
        code = f"import time; kept = bytearray({size}); kept[::4096] = bytes(len(kept[::4096])); time.sleep(0.5)"
        return sum(peak_memory(subprocess.Popen([sys.executable, "-c", code])).values())

    assert peak(100 << 20) > peak(1 << 20) + (90 << 20)
