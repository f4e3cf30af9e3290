"""Recipes that follow the data: what they choose, what they hold out, what they print and write; frozen backbones."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axialzoo.data import open_data
from axialzoo.data.hash_split import sample_keys, split_by_name
from axialzoo.spec import SpecError, get_entry
from axialzoo.train import evaluate, run, settle_recipe
from axialzoo.train.automatic import DataSummary, task_recipes
from tests.data.user_formats import FORMATS, write
from tests.train.small import CLASSES, pictures

BY_TITLE = {item.title: item for item in FORMATS}
XS = "axial_resnet_cifar10_xs"


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A folder a class, without splits: 18 pictures of 48 x 32."""
    folder = tmp_path_factory.mktemp("photos")
    pixels, labels = pictures(18, 0)
    for index, (image, label) in enumerate(zip(pixels, labels)):
        path = folder / CLASSES[label] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).resize((48, 32)).save(path)
    return folder


def test_settings_follow_pictures_and_model(photos):
    name, recipe = settle_recipe(None, photos, model=XS)
    assert (name, recipe.model, recipe.init_from, recipe.holdout_share) == ("classify", XS, f"{XS}.cifar10", 0.2)
    assert recipe.preprocessing.size == (28, 40) and recipe.preprocessing.mean[0] == pytest.approx(0.4914)  # 2 to 3; of the weights
    assert (recipe.batch_size, recipe.epochs) == (14, 100)
    _, changed = settle_recipe(None, photos, model=XS, init_from="", epochs=2, preprocessing={"size": (16, 24)}, learning_rate=0.5)
    assert (changed.init_from, changed.epochs, changed.preprocessing.size, changed.learning_rate) == ("", 2, (16, 24), 0.5)
    assert changed.preprocessing.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("title", "recipe"),
    [("A folder a class", "classify"), ("COCO", "detect"), ("Label images (StarDist)", "segment"), ("Maps of classes", "semantic")],
)
def test_without_a_model_the_data_choose_the_recipe(tmp_path, title, recipe):
    name, settings = settle_recipe(None, write(BY_TITLE[title].files, tmp_path))
    assert name == recipe and bool(settings.holdout_share) == ("val" not in BY_TITLE[title].splits and len(BY_TITLE[title].splits) > 2)


def test_what_does_not_go_together_is_refused(photos):
    with pytest.raises(ValueError, match="boxes cannot be had"):
        settle_recipe(None, photos, model="axial_fcos_blood_cells")
    with pytest.raises(SpecError, match="did you mean 'learning_rate'"):
        settle_recipe("classify", photos, learning_rat=1.0)


def test_the_same_names_are_held_out_wherever_and_however_many(photos, tmp_path):
    whole = open_data(photos).split("train")
    training, held_out = split_by_name(whole, 0.3)
    names = sample_keys(held_out)
    assert len(names) == 6 and not set(names) & set(sample_keys(training))
    assert Counter(name.partition("/")[0] for name in names) == dict.fromkeys(CLASSES, 2)
    _, reversed_order = split_by_name(whole.subset(np.arange(18)[::-1]), 0.3)
    assert sample_keys(reversed_order) == names[::-1]


@pytest.mark.filterwarnings("ignore:num_classes=3")  # the head starts new
@pytest.mark.parametrize("framework", ["torch", pytest.param("keras", marks=pytest.mark.full)])
def test_a_run_says_and_writes_how_it_goes_and_evaluate_takes_what_it_held_out(photos, tmp_path, framework):
    lines: list[str] = []
    options = {"epochs": 2, "batch_size": 4, "freeze": "backbone", "learning_rate": 0.05}
    model = run(None, photos, tmp_path / "run", framework=framework, model=XS, report=lines.append, **options)
    assert "3 classes (blue, green, red); 15 pictures to train on, 3 held out (the data have no splits: 20% by a hash" in lines[0]
    assert "from axial_resnet_cifar10_xs.cifar10, its backbone frozen" in lines[0] and "6 steps, about" in lines[1]
    assert [line.partition(":")[0] for line in lines[2:]] == ["epoch 1 of 2", "epoch 2 of 2", "written", "last"] and "top1" in lines[3]
    with open(tmp_path / "run" / "confusion_matrix.csv", newline="") as stream:
        rows = list(csv.reader(stream))
    counts = np.array([row[1:] for row in rows[1:]], int)
    assert rows[0][1:] == list(CLASSES) and counts.sum() == 3 and counts.sum(1).tolist() == [1, 1, 1]
    measured = evaluate(model, photos, framework=framework)
    assert (measured["images"], measured["split"]) == (3, "val") and measured["top1"] == pytest.approx(np.trace(counts) / 3)
    assert evaluate(model, photos, framework=framework, split="train")["images"] == 18
    assert (tmp_path / "run" / "confusion_matrix.png").stat().st_size > 1000
    from axialzoo.checkpoint import load_checkpoint
    from axialzoo.hub import fetch_checkpoint

    before, after = fetch_checkpoint(XS).tensors, load_checkpoint(model).tensors
    changed = {name for name in after if after[name].shape != before[name].shape or not np.array_equal(after[name], before[name])}
    assert changed == {"head.fc.weight", "head.fc.bias"}
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["recipe"] == "classify"


@pytest.mark.full
def test_presets_take_class_folders_too(photos, tmp_path):
    model = run("cifar10", photos, tmp_path / "run", model=XS, epochs=1, batch_size=6, holdout=3, precision="float32", progressive_sizes=())
    assert evaluate(model, photos, framework="torch")["images"] == 18


@pytest.mark.parametrize("recipe", sorted(task_recipes()))
def test_settings_keep_what_the_weights_expect_of_a_picture(recipe):
    entry = get_entry(task_recipes()[recipe].RECIPE.model)
    weights = replace(entry.preprocessing, channel_order="bgr", interpolation="bilinear", mean=(0.1, 0.2, 0.3))
    settings = task_recipes()[recipe].fields_for(DataSummary(40, (300, 400), True, entry.spec, weights, True))["preprocessing"]
    assert (settings.channel_order, settings.interpolation, settings.mean) == ("bgr", "bilinear", (0.1, 0.2, 0.3)) and settings.per_image
