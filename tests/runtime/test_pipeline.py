"""One pipeline makes predictions of pictures: every item once, in its order, in batches of inputs of one size."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axialzoo.checkpoint import Config, default_config
from axialzoo.data import FileSplit, Sample
from axialzoo.image import ImageError, preprocess
from axialzoo.runtime import predict
from axialzoo.runtime.predict import ImagePrediction, predict_opened, predict_stream
from axialzoo.spec import Preprocessing, get_entry
from axialzoo.train.evaluation import predict_samples, score

ROOT = Path(__file__).parents[2]
WIDTHS = (20, 20, 30, 20, 20, 20, 20)


class Recorder:
    """A runner whose logits are the mean of a picture, so that each result tells its picture; it keeps its inputs."""

    def __init__(self, resize: str = "none"):
        spec = get_entry("axial_resnet_cifar10_xs").spec
        self.config: Config = replace(default_config(spec), preprocessing=Preprocessing(size=(40, 40), resize=resize))
        self.inputs: list[np.ndarray] = []

    def outputs(self, x: np.ndarray) -> dict:
        self.inputs.append(x)
        return {"logits": x.mean((1, 2, 3))[:, None] * np.arange(10)}


def picture(number: int) -> Image.Image:
    return Image.new("RGB", (WIDTHS[number % len(WIDTHS)], 10), (30 * number, 0, 0))


def in_order(runner: Recorder, outcomes: list) -> bool:
    """Tell whether the result of each item is that of its own picture."""
    expected = []
    for _, number in outcomes:
        x = preprocess(picture(number), runner.config.preprocessing).transpose(1, 2, 0)
        logits = np.exp(x.mean() * np.arange(10))
        expected.append(logits / logits.sum())
    return all(np.allclose(result.probabilities, expected[i], rtol=1e-4) for i, (result, _) in enumerate(outcomes))


def test_items_come_back_once_in_order_in_batches_of_one_size():
    runner = Recorder()
    actual = list(predict_stream([runner], ((number, picture(number)) for number in range(7)), batch_size=5))
    assert [number for number, _ in actual] == list(range(7))
    assert [x.shape for x in runner.inputs] == [(2, 10, 20, 3), (1, 10, 30, 3), (2, 10, 20, 3), (2, 10, 20, 3)]
    assert in_order(runner, [(result, number) for number, (result,) in actual])


def test_results_that_change_places_would_be_seen():
    runner = Recorder()
    actual = [(result, number) for number, (result,) in predict_stream([runner], ((n, picture(n)) for n in range(7)))]
    assert in_order(runner, actual)
    actual[3], actual[4] = (actual[4][0], 3), (actual[3][0], 4)
    assert not in_order(runner, actual)


@pytest.mark.parametrize("planted", ["sizes mixed", "one left out"])
def test_a_batch_of_other_sizes_or_with_one_missing_is_caught(monkeypatch, planted):
    wrong = {"sizes mixed": lambda inputs: [list(range(len(inputs)))], "one left out": lambda inputs: [[0]]}[planted]
    monkeypatch.setattr(predict, "equal_size_batches", wrong)
    with pytest.raises((ValueError, AssertionError)):
        actual = list(predict_stream([Recorder()], ((number, picture(number)) for number in range(7))))
        assert all(len(results) == 1 for _, results in actual)


def test_pictures_are_read_as_they_are_needed():
    opened = []

    def items():
        for number in range(7):
            opened.append(number)
            yield number, picture(number)

    stream = predict_stream([Recorder()], items(), batch_size=2)
    next(stream)
    assert opened == [0, 1]


def test_a_picture_that_cannot_be_prepared_keeps_its_place(monkeypatch):
    honest = predict.to_input
    monkeypatch.setattr(predict, "to_input", lambda image, config: honest(image, config) if image.width < 30 else _refuse())
    opened = [ImagePrediction(Path(f"{number}.png"), picture(number)) for number in range(4)]
    opened.insert(1, ImagePrediction(Path("bad.png"), error="bad.png: no picture"))
    actual = list(predict_opened([Recorder()], opened))
    assert [(len(item.results), item.error) for item in actual] == [
        (1, ""), (0, "bad.png: no picture"), (1, ""), (0, "2.png: planted"), (1, ""),
    ]  # fmt: skip
    with pytest.raises(ImageError, match="planted"):
        predict.predict(Recorder(), [picture(number) for number in range(4)])


def _refuse() -> np.ndarray:
    raise ImageError("planted")


def test_samples_of_a_data_set_are_prepared_as_pictures_are():
    split = FileSplit(range(7), lambda number: Sample(str(number), picture(number), number % 10))
    runner, alone = Recorder("longer"), Recorder("longer")
    scored = list(predict_samples(runner, split, 4, limit=6))
    results = predict.predict(alone, [picture(number) for number in range(6)], 4)
    assert [item.sample.name for item in scored] == list("012345")
    assert all(np.array_equal(item.result.probabilities, other.probabilities) for item, other in zip(scored, results, strict=True))
    assert all(np.array_equal(item, other) for item, other in zip(runner.inputs, alone.inputs, strict=True))
    assert set(score(runner, split)) >= {"top1"}


def test_no_other_loop_calls_a_task_with_outputs():
    sources = {path.relative_to(ROOT / "axialzoo").as_posix(): path.read_text() for path in (ROOT / "axialzoo").rglob("*.py")}
    outside = {name: source for name, source in sources.items() if not name.startswith("tasks/")}
    assert {name for name, source in outside.items() if decodes(source)} == {"runtime/predict.py"}
    assert decodes("def f(task, outputs):\n    return [task.decode(one, spec, view) for one in outputs]")


def decodes(source: str) -> bool:
    """Tell whether a module gives outputs to a task."""
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    names = [(getattr(call, "id", getattr(call, "attr", "")), getattr(getattr(call, "value", None), "id", "")) for call in calls]
    return any(name in ("run_views", "decode_batch") or (name, owner) == ("decode", "task") for name, owner in names)
