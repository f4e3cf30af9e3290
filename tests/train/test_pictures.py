"""Pictures of results beside the ground truth, worst first, and the six of a card; drawn boxes leave doubtful ones out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from axialzoo.checkpoint import default_config, load_checkpoint, save_checkpoint
from axialzoo.data import Sample
from axialzoo.hub import examples_of, write_card
from axialzoo.hub.card import model_card
from axialzoo.image import load_image
from axialzoo.spec import Label, get_entry, parameters
from axialzoo.tasks import Detections, task_of
from axialzoo.train.evaluation import Prediction
from axialzoo.train.examples import put_examples
from axialzoo.train.pictures import plain_name, write_pictures

SPEC = get_entry("axial_fcos_blood_cells_xs").spec
TASK = task_of(SPEC.head)
LABELS = (Label("red"), Label("white"))


def boxes(*scores: float, index: int = 0) -> Detections:
    """One box a score, one beside the other."""
    places = [[4.0 + 20 * at, 6.0, 20.0 + 20 * at, 30.0] for at in range(len(scores))]
    return Detections(np.array(places).reshape(-1, 4), np.array(scores), np.full(len(scores), index), LABELS)


def scored(*figures: float) -> list[tuple[float, Prediction]]:
    """A sample a figure, whose picture has the figure's brightness and whose name says it."""
    actual = []
    for figure in figures:
        picture = Image.new("RGB", (80, 40), (round(255 * figure),) * 3)
        actual.append((figure, Prediction(Sample(f"archive.zip:folder/{figure:.2f}.png", picture, boxes(1.0)), boxes(0.9, index=1))))
    return actual


def brightness(path: Path) -> float:
    """Colour of a spot of the first panel where nothing is drawn."""
    drawn = np.asarray(load_image(path).convert("L"))
    return float(drawn[drawn.shape[0] // 2, drawn.shape[1] * 2 // 5]) / 255


def test_pictures_are_numbered_from_the_worst_on(tmp_path):
    built = write_pictures(tmp_path / "new", scored(0.7, 0.2, 1.0), TASK, "small")
    assert [path.name for path in built] == ["0000_0.200_0.20.png", "0001_0.700_0.70.png", "0002_1.000_1.00.png"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [path.name for path in built]
    assert [brightness(path) for path in built] == pytest.approx([0.2, 0.7, 1.0], abs=0.01)


def test_truth_and_prediction_the_other_way_round_would_be_seen(tmp_path):
    @dataclass
    class Swapped:
        """A task that draws what is true as what was said."""

        def draw(self, picture, results, *, model=""):
            return TASK.draw(picture, {"ground truth": results["prediction"], "prediction": results["ground truth"]}, model=model)

    (right,) = write_pictures(tmp_path / "right", scored(0.5), TASK, "small")
    (wrong,) = write_pictures(tmp_path / "wrong", scored(0.5), Swapped(), "small")
    expected = TASK.draw(scored(0.5)[0][1].sample.picture, {"ground truth": boxes(1.0), "prediction": boxes(0.9, index=1)}, model="small")
    assert not differing(load_image(right), expected) and differing(load_image(wrong), expected)


def test_pictures_that_are_there_already_stay(tmp_path):
    (path,) = write_pictures(tmp_path, scored(0.5), TASK, "small")
    path.write_text("mine")
    with pytest.raises(FileExistsError, match=r"0000_0\.500_0\.50\.png"):
        write_pictures(tmp_path, scored(0.5), TASK, "small")
    assert path.read_text() == "mine"


def differing(one: Image.Image, other: Image.Image) -> bool:
    return one.size != other.size or ImageChops.difference(one.convert("RGB"), other).getbbox() is not None


def test_boxes_are_drawn_from_a_score_of_a_half_on(monkeypatch):
    picture = Image.new("RGB", (80, 40), (90, 90, 90))

    def drawn(*scores: float) -> Image.Image:
        return TASK.draw(picture, {"one": boxes(*scores)})

    assert not differing(drawn(0.9, 0.49), drawn(0.9)) and differing(drawn(0.9, 0.5), drawn(0.9))
    assert not differing(drawn(0.49), drawn())
    from axialzoo.tasks.detection import task

    monkeypatch.setattr(task.likely, "__defaults__", (0.4,))  # another threshold would be seen
    assert differing(drawn(0.9, 0.49), drawn(0.9))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A checkpoint with a learning curve and a card."""
    path, rng = tmp_path / "model", np.random.default_rng(0)
    config = default_config(SPEC, "axial_fcos_blood_cells_xs")
    save_checkpoint(path, config, {item.name: rng.random(item.shape, np.float32) for item in parameters(SPEC)})
    Image.new("RGB", (8, 8)).save(path / "learning_curve.png")
    write_card(path, load_checkpoint(path).config)
    return path


def test_examples_of_each_kind_are_its_worst_and_its_best(folder):
    rows = [
        (figure, replace(item, kind=kind))
        for kind in ("near", "far")
        for figure, item in scored(*((0.1, 0.4, 0.2) if kind == "far" else (0.9, 0.7, 0.8)))
    ]
    card = put_examples(folder, rows, TASK, split="val", count=2).read_text()
    shown = re.findall(r"!\[(The (?:worst|best)) of 3 images of `val` of kind (\w+), (0\.\d)\d*: ", card)
    assert shown == [("The worst", "far", "0.1"), ("The best", "far", "0.4"), ("The worst", "near", "0.7"), ("The best", "near", "0.9")]


def test_a_card_has_a_row_for_each_kind(folder):
    config = load_checkpoint(folder).config
    kinds = {"near": {"images": 2, "ap": 0.5}, "far": {"images": 1, "ap": 0.25, "ap50": 0.5}}
    card = model_card(replace(config, provenance={"metrics": {"ap": 0.4, "per_kind": kinds}}))
    assert "| kind | images | ap |\n|---|---|---|\n| near | 2 | 0.5000 |\n| far | 1 | 0.2500 |\n" in card
    assert "per_kind" not in card and "Figures of each kind" not in model_card(replace(config, provenance={"metrics": {"ap": 0.4}}))


def test_a_card_shows_examples_from_the_worst_to_the_best(folder):
    before = {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}
    figures = np.random.default_rng(0).permutation(np.linspace(0, 1, 11)).tolist()
    card = put_examples(folder, scored(*figures), TASK, split="val").read_text()
    files = re.findall(r"!\[.*?\]\((.*?)\)", card)
    assert files == [*(f"pictures/{number}.webp" for number in range(1, 7)), "learning_curve.png"]
    assert all((folder / name).is_file() for name in files)
    shown = [brightness(folder / name) for name in files[:6]]
    assert shown == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1], abs=0.03)  # evenly spread; WebP is not exact
    texts = [item["text"] for item in examples_of(folder)]
    assert texts[0] == "The worst of 11 images of `val`, 0.00: box_ap50 0.000" and texts[-1].startswith(
        "The best of 11 images of `val`, 1.00"
    )
    assert texts[1] == "Number 3 from the worst of 11 images of `val`, 0.20: box_ap50 0.200" and all(text in card for text in texts)
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert max(load_image(folder / name).width for name in files[:6]) <= 1600


def test_examples_are_made_again_and_files_of_others_stay(folder):
    put_examples(folder, scored(*np.linspace(0, 1, 6).tolist()), TASK, split="val")
    card = put_examples(folder, scored(0.3, 0.6), TASK, split="test").read_text()
    assert re.findall(r"pictures/\d.webp", card) == ["pictures/1.webp", "pictures/2.webp"] and "of `val`" not in card
    assert sorted(path.name for path in (folder / "pictures").iterdir()) == ["1.webp", "2.webp", "examples.json"]
    (folder / "pictures" / "3.webp").write_text("mine")
    with pytest.raises(FileExistsError, match=r"3\.webp"):
        put_examples(folder, scored(0.1, 0.2, 0.3), TASK, split="val")
    assert (folder / "pictures" / "3.webp").read_text() == "mine" and len(examples_of(folder)) == 2


@pytest.mark.parametrize("done", range(4))
def test_examples_whose_making_was_stopped_are_made_again(folder, monkeypatch, done):
    put_examples(folder, scored(0.9), TASK, split="val")
    drawn, honest = [], type(TASK).draw

    def draw(*args, **options):
        drawn.append(1)
        if len(drawn) > done:
            raise KeyboardInterrupt
        return honest(*args, **options)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(TASK), "draw", draw)
        put_examples(folder, scored(*np.linspace(0, 1, 6).tolist()), TASK, split="val")
    card = put_examples(folder, scored(0.1, 0.2, 0.3), TASK, split="val").read_text()
    assert (
        re.findall(r"\((pictures/\d.webp)\)", card) == [f"pictures/{number}.webp" for number in (1, 2, 3)]
        and not (folder / "pictures" / "4.webp").exists()
    )


@pytest.mark.parametrize(
    "wrong", [{"file": "pictures/1.webp"}, [{"file": "../model.safetensors", "text": "a"}], ["1.webp"], [{"text": "a"}]]
)
def test_a_list_of_examples_that_names_other_files_is_refused(folder, wrong):
    (folder / "pictures").mkdir()
    (folder / "pictures" / "examples.json").write_text(json.dumps(wrong))
    with pytest.raises(ValueError, match=r"examples\.json: expected a list of objects with file"):
        put_examples(folder, scored(0.5), TASK, split="val")
    assert (folder / "model.safetensors").is_file()


def test_names_of_samples_lose_their_place_and_suffix():
    assert [plain_name(name) for name in ("a/b.png", "data.zip:BloodImage_00001", "d.zip:x/y.z.jpg")] == ["b", "BloodImage_00001", "y.z"]
