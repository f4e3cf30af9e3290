"""More than one look at a picture: what is asked for is understood or refused by name, and what a task makes of it."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.image import ResizeTransform
from axialzoo.spec import SpecError, get_entry
from axialzoo.tasks import TASKS, TTA, check_tta, run_views, task_of, tta_from_options
from axialzoo.tasks.tta import MEANING

WHOLE = ResizeTransform((8, 8), (8, 8), 0, 0, (8, 8))


def test_what_a_user_says_is_told_back_as_json():
    assert tta_from_options() == TTA() and tta_from_options().options == {}
    assert tta_from_options(tile=512).options == {"tile": "512x512", "overlap": "128x128"}
    assert tta_from_options(tile="96x160", overlap=0, hflip=True).options == {"tile": "96x160", "overlap": "0x0", "hflip": True}
    assert tta_from_options(tile=(96, 160), overlap=(8, 16), scales=[0.5, 1]).options == {
        "tile": "96x160",
        "overlap": "8x16",
        "scales": [0.5, 1.0],
    }
    assert list(tta_from_options(hflip=True, scales=(1, 0.5)).ways((5, 9))) == [
        ((5, 9), False),
        ((5, 9), True),
        ((2, 4), False),
        ((2, 4), True),
    ]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"tile": "wide"}, "expected SIDE or HEIGHTxWIDTH"),
        ({"tile": 32, "overlap": 32}, "overlap: expected from 0 to less than the tile's 32x32, found 32x32"),
        ({"tile": 32, "overlap": -1}, "overlap: expected from 0"),
        ({"overlap": 8}, "overlap: expected with tile alone"),
        ({"tile": 32, "overlap": (1, 2, 3)}, "overlap: expected whole pixels"),
        ({"scales": ()}, "scales: expected one or more numbers from 0.1 to 10, found"),
        ({"scales": (1, float("nan"))}, "scales: expected one or more numbers"),
        ({"scales": (1, 1.0)}, "scales: expected each once"),
        ({"flip": True}, "tta: expected some of tile, overlap, hflip, scales, found flip"),
    ],
)
def test_what_does_not_fit_is_refused(asked, message):
    with pytest.raises(SpecError, match=message):
        tta_from_options(**asked)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_task_refuses_by_name_what_it_does_not_understand_and_takes_the_rest(task):
    assert set(task.supported_tta) <= set(MEANING)
    for requests in ({"tile": 64}, {"hflip": True}, {"scales": (0.5,)}):
        (name,) = requests
        if name in task.supported_tta:
            check_tta(task.name, task.supported_tta, tta_from_options(**requests))
            continue
        with pytest.raises(SpecError, match=rf"^{name}: models of {task.name} .* leave {name} out"):
            check_tta(task.name, task.supported_tta, tta_from_options(**requests))


def test_a_task_that_understands_nothing_looks_once_and_is_never_asked_for_more():
    class Plain(type(TASKS["classification"])):
        supported_tta = ()

    spec = get_entry("axial_resnet_cifar10_xs").spec
    compute = lambda x: {"logits": np.arange(10.0)[None]}  # noqa: E731
    (actual,) = run_views(Plain(), compute, np.zeros((1, 8, 8, 3)), spec, [WHOLE], TTA())
    assert actual.ranked[0]["label_id"] == 9
    with pytest.raises(SpecError, match=r"hflip: .*there is no test-time augmentation for them"):
        run_views(Plain(), compute, np.zeros((1, 8, 8, 3)), spec, [WHOLE], tta_from_options(hflip=True))


def test_the_class_of_a_picture_and_its_mirror_image_follows_from_the_mean_of_their_logits():
    spec = get_entry("axial_resnet_cifar10_xs").spec
    x = np.random.default_rng(0).standard_normal((3, 8, 8, 3)).astype(np.float32)

    def compute(x: np.ndarray):
        return {"logits": x[:, 0, :5, :2].reshape(len(x), 10)}  # the left half alone

    actual = run_views(task_of(spec.head), compute, x, spec, [WHOLE] * 3, tta_from_options(hflip=True))
    logits = (x[:, 0, :5, :2] + x[:, 0, ::-1][:, :5, :2]).reshape(3, 10) / 2
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.allclose([item.probabilities for item in actual], shares, atol=1e-6)
    once = run_views(task_of(spec.head), compute, x, spec, [WHOLE] * 3, TTA())
    assert not np.allclose([item.probabilities for item in once], shares, atol=1e-2)


def test_an_earlier_argument_is_refused_with_the_new_one():
    with pytest.raises(SpecError, match="found flips, pictures; 'flips' is hflip now; 'pictures' is save_vis now"):
        tta_from_options(flips=True, pictures="worst")  # pyright: ignore[reportCallIssue]
