"""Suppression keeps what the plain greedy search keeps, box by box."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.tasks.detection.suppression import suppress, suppress_softly
from tests.tasks.detection import plain


def random_boxes(seed: int, most: int = 40):
    """Whole numbers and few scores, so that overlaps and scores are often equal; some boxes have no area, some are twins."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(most + 1))
    corner, side = rng.integers(0, 12, (n, 2)), rng.integers(0, 9, (n, 2))
    boxes = np.concatenate([corner, corner + side], 1).astype(np.float64)
    boxes[rng.uniform(size=n) < 0.1, 2] = boxes[rng.uniform(size=n) < 0.1, 0].max(initial=0) + 20
    return boxes, rng.integers(1, 8, n) / 8, rng.integers(0, 3, n)


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.6, 1.0])
def test_equal_to_the_plain_search_on_random_boxes_with_ties_and_without_area(overlap):
    sizes = set()
    for seed in range(250):
        boxes, scores, indices = random_boxes(seed + int(1000 * overlap))
        expected = plain.suppress(boxes, scores, indices, overlap)
        assert suppress(boxes, scores, indices, overlap=overlap).tolist() == expected, seed
        assert suppress(boxes, scores, indices, overlap=overlap, limit=3).tolist() == expected[:3], seed
        sizes.add(len(boxes))
    assert 0 in sizes and len(sizes) > 30


@pytest.mark.parametrize("side", [2, 300])
def test_equal_to_the_plain_search_on_ten_thousand_boxes(side):
    rng = np.random.default_rng(side)
    corner = rng.uniform(0, 1000, (10_000, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0, side, (10_000, 2))], 1)
    scores = rng.integers(0, 1000, 10_000) / 1000
    expected = plain.suppress_rows(boxes, scores, 0.6)
    assert suppress(boxes, scores, np.zeros(10_000, int)).tolist() == expected
    assert suppress(boxes, scores, np.zeros(10_000, int), limit=100).tolist() == expected[:100]


def test_ten_thousand_times_the_same_box_is_one_and_ten_thousand_without_area_are_all_kept():
    scores = np.full(10_000, 0.5)
    assert suppress(np.tile([1.0, 2, 3, 4], (10_000, 1)), scores, np.zeros(10_000, int)).tolist() == [0]
    assert suppress(np.tile([1.0, 2, 1, 4], (10_000, 1)), scores, np.zeros(10_000, int)).tolist() == list(range(10_000))


@pytest.mark.parametrize("method", ["gaussian", "linear"])
def test_soft_suppression_equals_the_plain_one(method):
    for seed in range(200):
        boxes, scores, indices = random_boxes(seed, 20)
        scores = np.random.default_rng(seed).permutation(len(boxes)) / 40 + 0.1
        expected = plain.suppress_softly(boxes, scores, indices, method, 0.5, 0.3, 0.05)
        remaining, lowered = suppress_softly(boxes, scores, indices, method=method, threshold=0.05)
        assert np.allclose(sorted(lowered), sorted(score for _, score in expected), rtol=1e-12, atol=0), seed
        assert dict(zip(remaining.tolist(), lowered.tolist())) == pytest.approx(dict(expected), rel=1e-12), seed
        assert (np.diff(lowered) <= 0).all()
        assert suppress_softly(boxes, scores, indices, method=method, threshold=0.05, limit=3)[0].tolist() == remaining[:3].tolist()


def test_planted_class_blind_suppression_is_caught():
    boxes, scores = np.array([[0.0, 0, 9, 9], [0, 0, 9, 9]]), np.array([0.9, 0.8])
    assert suppress(boxes, scores, np.array([0, 1])).tolist() == [0, 1]
    assert suppress(boxes, scores, np.array([0, 0])).tolist() == [0]


@pytest.mark.parametrize(
    ("boxes", "scores", "overlap", "message"),
    [
        ([[0, 0, 1]], [1], 0.5, "expected \\(n, 4\\)"),
        ([[0, 0, 1, 1]], [1, 1], 0.5, "expected \\(n, 4\\)"),
        ([[0, 0, np.nan, 1]], [1], 0.5, "found NaN or infinity"),
        ([[5, 0, 1, 1]], [1], 0.5, "left <= right"),
        ([[0, 0, 1, 1]], [1], 50, "overlap: expected 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused(boxes, scores, overlap, message):
    with pytest.raises(ValueError, match=message):
        suppress(np.array(boxes, float), np.array(scores, float), np.zeros(1, int), overlap=overlap)
    with pytest.raises(ValueError, match="expected 'gaussian' or 'linear', found 'hard'"):
        suppress_softly(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), method="hard")
