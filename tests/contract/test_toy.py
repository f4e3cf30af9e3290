"""A head and a task that live in the tests alone train, predict and are measured: a task needs no file outside its four rooms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def halves(tmp_path_factory) -> Path:
    """Eight pictures, dark on the right and bright on the left, in other proportions each, with maps of both."""
    folder, rng = tmp_path_factory.mktemp("halves"), np.random.default_rng(0)
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for index in range(8):
        bright = np.zeros((32, 32), np.uint8)
        bright[:, : 4 * index + 2] = 1
        pixels = (rng.integers(0, 60, (32, 32, 3)) + bright[..., None] * 180).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
        Image.fromarray(bright).save(folder / "labels" / f"{index}.png")
    (folder / "labels.json").write_text(json.dumps(["dark", "bright"]))
    return folder


def test_a_task_of_the_tests_own_is_trained_and_measured(worker, place, halves):
    found = worker(place, halves)
    before, after = (found["figures"][when]["closeness"] for when in ("before", "after"))
    assert 0 < before < after <= 1
    assert found["losses"][-1] < 0.5 * found["losses"][0]
    assert [one["label"] for one in found["said"]["cover"]] == ["dark", "bright"]
    assert found["pictures"] == 2
