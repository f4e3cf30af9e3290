"""`--tile`, `--overlap`, `--hflip` and `--scales`: what is asked for reaches the network, is told in the JSON, or is refused by name."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axialzoo import load_runner
from axialzoo.checkpoint import Config, default_config, save_checkpoint
from axialzoo.image import load_image
from axialzoo.spec import Label, SpecError, get_entry
from tests.cli.conftest import PHOTO, random_tensors
from tests.tasks.segmentation.plain import same_segments

ROOT = Path(__file__).resolve().parents[2]
LABELS = (Label("background", False), Label("nucleus"))


@pytest.fixture(scope="session")
def cells(tmp_path_factory):
    """A checkpoint of the smallest model that cuts pictures into segments, and a data set of a picture with its map."""
    path, data = tmp_path_factory.mktemp("cells"), tmp_path_factory.mktemp("data") / "nucleus"  # which objects are called after
    spec = get_entry("axial_deeplab_nuclei_xs").spec
    base = default_config(spec, "axial_deeplab_nuclei_xs")
    save_checkpoint(path, Config(base.model, spec, LABELS, base.preprocessing), random_tensors(spec))
    for name in ("images", "labels"):
        (data / "val" / name).mkdir(parents=True)
    (data / "labels.json").write_text('{"maps": "instances", "labels": ["background", "nucleus"]}')
    picture = load_image(PHOTO).crop((0, 0, 150, 99))
    picture.save(data / "val" / "images" / "cat.png")
    Image.fromarray((np.asarray(picture.convert("L")) > 128).astype(np.uint8)).save(data / "val" / "labels" / "cat.png")
    return path, data


@pytest.fixture
def shapes(monkeypatch):
    """Height and width of all that a network is given."""
    from axialzoo.runtime.local import InProcessModel

    actual, honest = [], InProcessModel.outputs

    def outputs(self, x):
        actual.append((x.shape[1], x.shape[2]))
        return honest(self, x)

    monkeypatch.setattr(InProcessModel, "outputs", outputs)
    return actual


def test_the_network_sees_tiles_mirrored_too_and_the_json_says_so(axialzoo, cells, shapes, tmp_path):
    picture = cells[1] / "val" / "images" / "cat.png"
    words = ("predict", picture, "--model", cells[0], "--framework", "torch", "--json")
    said = axialzoo(*words, "--tile", "64x96", "--overlap", "16", "--hflip", "--out", tmp_path / "out.png").json
    assert {name: said[name] for name in ("tile", "overlap", "hflip")} == {"tile": "64x96", "overlap": "16x16", "hflip": True}
    # 99 rows are tiles of 64 and 51 from row 48 on, 150 columns of 96 and 86 from column 64 on: the network's largest stride is 16
    assert sorted(set(shapes)) == [(51, 86), (51, 96), (64, 86), (64, 96)] and len(shapes) == 8
    assert load_image(tmp_path / "out.png").width > 150
    once = axialzoo(*words).json
    assert not {"tile", "overlap", "hflip", "scales"} & set(once) and shapes[-1] == (99, 150)


def test_a_tile_as_large_as_the_picture_gives_what_one_look_gives():
    picture = ROOT / "docs" / "photos" / "nuclei.png"
    with load_runner("axial_deeplab_nuclei", "torch") as runner:
        once, tiled = runner.predict(picture), runner.predict([picture], tile=(256, 256))[0]
        smaller = runner.predict(picture, scales=(0.5,))
    assert len(once) > 20 and same_segments(once, tiled) and not same_segments(once, smaller)


def test_figures_with_flips_are_told_as_such(axialzoo, cells, shapes):
    words = ("evaluate", cells[0], "--data", cells[1], "--split", "val", "--framework", "torch", "--json")
    actual = axialzoo(*words, "--hflip", "--scales", "0.5,1").json
    assert actual["hflip"] is True and actual["scales"] == [0.5, 1.0] and "tile" not in actual and actual["images"] == 1
    assert shapes == [(50, 75), (50, 75), (99, 150), (99, 150)]
    assert not {"tile", "hflip", "scales"} & set(axialzoo(*words).json) and shapes[4:] == [(99, 150)]


def test_recorded_figures_with_flips_are_told_as_such_in_the_card(axialzoo, cells, tmp_path):
    folder = shutil.copytree(cells[0], tmp_path / "model")
    axialzoo(
        "evaluate", folder, "--data", cells[1], "--split", "val", "--framework", "torch", "--update-card", "--tile", "96", "--hflip", "-q"
    )
    card = (folder / "README.md").read_text()
    assert "| hflip | True |" in card and "| tile | 96x96 |" in card


def test_examples_go_into_the_card_of_a_folder_alone(axialzoo, cells, tmp_path):
    folder = shutil.copytree(cells[0], tmp_path / "model")
    words = ("--data", cells[1], "--split", "val", "--framework", "torch", "--card-examples", "6", "-q")
    assert axialzoo("evaluate", folder, *words).code == 0
    assert "](pictures/1.webp)" in (folder / "README.md").read_text() and (folder / "pictures" / "1.webp").is_file()
    said = axialzoo("evaluate", "axial_deeplab_nuclei", *words)
    assert said.code == 1 and "examples: expected the folder of a checkpoint" in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--tile", "24x24"), "tile: models of classification do not support tiles of a picture; leave tile out (supported: hflip)"),
        (("--scales", "0.5,1"), "scales: models of classification do not support pictures at several sizes; leave scales out"),
        (("--scales", "half"), "--scales: expected numbers with commas between them, such as 0.75,1,1.25, found 'half'"),
        (("--overlap", "8"), "overlap: expected with tile alone"),
        (("--tile", "24x24", "--overlap", "24"), "overlap: expected from 0 to less than the tile's 24x24, found 24x24"),
        (("--tile", "small"), "expected SIDE or HEIGHTxWIDTH such as 320x480, found 'small'"),
    ],
)
def test_what_a_model_does_not_understand_is_refused_by_name(axialzoo, folder, words, message):
    said = axialzoo("predict", PHOTO, "--model", folder, "--framework", "torch", *words)
    assert said.code == 1 and message in said.err and not said.out


def test_the_class_of_a_photograph_is_that_of_both_sides(folder):
    with load_runner(folder, "torch") as runner:
        picture = load_image(PHOTO)
        logits = [np.log(runner.predict(item).probabilities) for item in (picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))]
        shares = np.exp(np.mean(logits, 0))
        assert runner.predict(picture, hflip=True).probabilities == pytest.approx(shares / shares.sum(), rel=1e-5)
        with pytest.raises(SpecError, match="tta: expected some of tile, overlap, hflip, scales, found flip"):
            runner.predict(picture, flip=True)
