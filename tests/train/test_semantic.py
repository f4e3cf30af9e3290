"""Models of classes alone are watched, measured and drawn by the figure that their metric tells."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from axialzoo.data import open_data
from axialzoo.data.pack import write_shards
from axialzoo.train import evaluate, load_recipe, run
from axialzoo.train.log import Log

SPLITS = {"train": 8, "val": 3, "test": 2}
SMALL = {"batch_size": 4, "epochs": 2, "eval_every": 1, "progressive_sizes": ((1.0, 48),), "loss": {}, "precision": "float32"}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    """Bright sky above dark ground, the horizon elsewhere in each, and pixels of neither."""
    folder, rng = tmp_path_factory.mktemp("scenes"), np.random.default_rng(0)
    for split, count in SPLITS.items():
        for name in ("images", "labels"):
            (folder / split / name).mkdir(parents=True)
        for index in range(count):
            ground = np.arange(48)[:, None] >= rng.integers(12, 36)
            labels = np.broadcast_to(ground, (48, 64)).astype(np.uint8).copy()
            labels[:, :3] = 255
            pixels = (rng.integers(0, 60, (48, 64, 3)) + 180 * (labels[..., None] == 0)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / split / "images" / f"{index}.png")
            Image.fromarray(labels).save(folder / split / "labels" / f"{index}.png")
    (folder / "labels.json").write_text(json.dumps(["sky", "ground"]))
    return folder


@pytest.fixture(scope="module")
def trained(scenes, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("semantic") / "run"
    run("camvid", scenes, folder, **SMALL)
    return folder


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_validation_images_are_watched_where_none_are_held_out(scenes, trained):
    scores = {record["step"]: record["miou"] for record in records(trained) if "miou" in record}
    assert list(scores) == [2, 4]
    actual = evaluate(trained / "model", scenes, split="val")
    assert actual["images"] == SPLITS["val"] and actual["miou"] == pytest.approx(scores[4], abs=1e-6)


def test_a_run_on_shards_is_the_run_on_the_folder(scenes, trained, tmp_path):
    write_shards(open_data(scenes), tmp_path / "shards", per_shard=3)
    run("camvid", tmp_path / "shards", tmp_path / "run", **SMALL)
    weights, other = (load_file(folder / "model" / "model.safetensors") for folder in (trained, tmp_path / "run"))
    assert weights.keys() == other.keys() and all(np.array_equal(weights[name], other[name]) for name in weights)
    assert records(tmp_path / "run")[-1]["miou"] == records(trained)[-1]["miou"]


def test_images_held_out_are_watched_instead(scenes, trained, tmp_path):
    run("camvid", scenes, tmp_path / "run", **{**SMALL, "epochs": 1, "holdout": 4})
    assert [record["step"] for record in records(tmp_path / "run") if "miou" in record] == [1]  # of 4 images a batch is left


def test_the_learning_curve_shows_the_figure(trained, tmp_path):
    def drawn(figure: str) -> bytes:
        (tmp_path / figure).mkdir()
        (tmp_path / figure / "metrics.jsonl").write_bytes((trained / "metrics.jsonl").read_bytes())
        return Log(tmp_path / figure, records(trained)[-1]["step"], figure).draw().read_bytes()

    assert (trained / "learning_curve.png").read_bytes() == drawn("miou") != drawn("pq")


def test_pictures_are_ordered_by_their_own_figure(scenes, trained, tmp_path):
    actual = []
    result = evaluate(trained / "model", scenes, save_vis=tmp_path / "worst", on_result=actual.append)
    names = sorted(path.name for path in (tmp_path / "worst").iterdir())
    figures = [float(name.split("_")[1]) for name in names]
    assert len(figures) == result["images"] == SPLITS["test"] and figures == sorted(figures)
    own = sorted(overlap(item.result.class_map, item.sample.annotation.class_map) for item in actual)
    assert figures == pytest.approx(own, abs=1e-3)


def overlap(found: np.ndarray, true: np.ndarray) -> float:
    """The mean IoU of one picture, counted plainly; pixels without truth do not count."""
    counted = true >= 0
    pairs = [((found == item) & (true == item), ((found == item) | (true == item)) & counted) for item in (0, 1)]
    return float(np.mean([both.sum() / either.sum() for both, either in pairs if either.any()]))


def test_the_recipe_gives_each_class_a_weight():
    recipe = load_recipe("camvid")
    assert len(recipe.loss["class_weights"]) == 11  # pyright: ignore[reportArgumentType]
