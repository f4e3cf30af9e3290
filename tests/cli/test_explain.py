"""`axialzoo explain`: one JSON object, a picture, errors that help."""

from __future__ import annotations

import numpy as np
import pytest

from axialzoo.analysis.picture import Panel, Row, draw_grid, heat_over
from axialzoo.hub import fetch_checkpoint
from axialzoo.image import load_image
from tests.cli.conftest import PHOTO

MEASURES = {"reached", "coverage", "effective_positions", "mean_distance", "above_peak_share"}


def test_json_and_picture_of_a_checkpoint(axialzoo, folder, tmp_path):
    picture = tmp_path / "picture.png"
    said = axialzoo("explain", folder, PHOTO, "--point", "180,110", "--kinds", "axial,axial_local,window", "--out", picture, "--json")
    actual = said.json
    assert (actual["model"], actual["weights"], actual["layer"]) == ("axial_resnet_cifar10_xs", "trained", "stages.2.blocks.1")
    assert actual["digest"].startswith("sha256:") and actual["map"] == [8, 8] and actual["input_size"] == [32, 32]
    assert set(actual["attention"]) == {"height", "width"} and set(actual["attention"]["height"]) == MEASURES
    assert actual["attention"]["height"]["reached"] == 1 / 8
    kinds = actual["kinds"]
    assert [kinds[kind]["weights"] for kind in ("axial", "axial_local")] == ["trained", "trained"]
    assert kinds["window"] == {"skipped": "no trained weights of this kind of axial_resnet_cifar10_xs"}
    assert set(kinds["axial"]["reach"]) == set(kinds["axial"]["field"]) == MEASURES and kinds["axial"]["reach"]["reached"] == 1
    drawn = np.asarray(load_image(picture))
    assert drawn.shape[0] > 1200 and drawn.shape[1] > 1500 and len(np.unique(drawn[::4, ::4].reshape(-1, 3), axis=0)) > 1000


def test_the_point_is_where_it_is_on_the_map(axialzoo, folder):
    """chelsea.jpg is 451 x 300 and the model sees the middle 300 x 300, so that x begins at 75."""
    actual = axialzoo("explain", folder, PHOTO, "--point", "365,20", "--kinds", "axial", "--json", "-q").json
    assert actual["position"] == [0, 7]


@pytest.mark.parametrize("tag", ["cifar10", "cifar10_axial_none"])
def test_kinds_are_compared_by_the_weights_trained_for_each(axialzoo, tag):
    name = "axial_resnet_cifar10_xs"
    actual = axialzoo("explain", f"{name}.{tag}", PHOTO, "--point", "180,110", "--kinds", "axial,axial_local,axial_none", "--json").json
    tags = {"axial": "cifar10", "axial_local": "cifar10_axial_local", "axial_none": "cifar10_axial_none"}
    assert {kind: item["weights"] for kind, item in actual["kinds"].items()} == dict.fromkeys(tags, "trained")
    digests = {kind: fetch_checkpoint(f"{name}.{item}").config.digest for kind, item in tags.items()}
    assert {kind: item["digest"] for kind, item in actual["kinds"].items()} == digests and len(set(digests.values())) == 3
    assert actual["digest"] == fetch_checkpoint(f"{name}.{tag}").config.digest


def test_a_model_without_weights_is_random_and_says_so(axialzoo):
    words = ("--point", "180,110", "--kinds", "axial,window", "--size", "24x36")
    said = axialzoo("explain", "axial_resnet_cifar10_xs", PHOTO, *words, "--random", "--layer", "stages.1.blocks.0.width")
    assert "random weights (seed 0)" in said.err and "trained" not in said.out and "map of 12 x 18" in said.out
    actual = axialzoo("explain", "axial_resnet26_s", PHOTO, *words, "--json", "-q").json
    assert actual["digest"] is None and [item["weights"] for item in actual["kinds"].values()] == ["random", "random"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--point", "451,20"), "--point 451,20: expected x from 0 to 450 and y from 0 to 299"),
        (("--point", "20,20"), "the model sees x from 75 to"),
        (("--point", "twenty"), "expected X,Y in pixels such as 120,80, found 'twenty'"),
        (("--point", "180,110", "--kinds", "axial,widow"), "unknown kind 'widow'; did you mean 'window'?"),
        (("--point", "180,110", "--layer", "stages.2.blocks.0"), "blocks with attention: stages.1.blocks.0, stages.2.blocks.1"),
        (("--point", "180,110", "--kinds", "axial", "--out", "picture.pdf"), "expected a picture's suffix"),
    ],
)
def test_errors_name_what_is_wrong(axialzoo, folder, words, message):
    said = axialzoo("explain", folder, PHOTO, *words, "--json", "-q")
    assert said.code == 1 and said.out == "" and message in said.err and said.err.count("\n") == 1


def test_heat_is_brightest_where_the_weight_is_and_leaves_the_rest_alone():
    from PIL import Image

    photo, weights = Image.new("RGB", (40, 40), (90, 90, 90)), np.zeros((4, 4))
    weights[1, 2] = 2.0
    drawn = np.asarray(heat_over(photo, weights)).astype(int).sum(2)
    inside = np.zeros((40, 40), bool)
    inside[10:20, 20:30] = True
    assert drawn[inside].min() > drawn[~inside].max() and len(np.unique(drawn[~inside])) == 1
    assert (np.asarray(heat_over(photo, weights.T)) != np.asarray(heat_over(photo, weights))).any()


def test_a_grid_has_a_place_for_what_is_missing():
    photo = load_image(PHOTO)
    drawn = draw_grid(
        photo, (0.5, 0.5), [Row("heading", [Panel("a"), Panel("b", missing="needs about 90 GiB, which is too much")], ["text"])], "c"
    )
    assert drawn.mode == "RGB" and drawn.width > 1700 and drawn.height > 500


@pytest.mark.parametrize(
    ("model", "kinds"), [("max_deeplab_nuclei_xs", ["attention", "attention", "mask"]), ("kmax_deeplab_nuclei_xs", ["mask"] * 7)]
)
def test_a_slot_is_shown_stage_by_stage(axialzoo, model, kinds, tmp_path):
    words = ("--slot", "3", "--size", "64", "--json", "-q")
    actual = axialzoo("explain", model, PHOTO, *words, "--out", tmp_path / "picture.png").json
    assert [stage["kind"] for stage in actual["stages"]] == kinds and actual["weights"] == "random"
    assert all(0 <= stage["share"] <= 1 for stage in actual["stages"]) and actual["stages"][-1]["map"] == [16, 16]
    assert len(np.unique(np.asarray(load_image(tmp_path / "picture.png"))[::4, ::4].reshape(-1, 3), axis=0)) > 100


def test_a_slot_that_is_not_there_is_refused(axialzoo):
    said = axialzoo("explain", "max_deeplab_nuclei_xs", PHOTO, "--slot", "16", "--size", "64", "-q")
    assert said.code == 1 and "from 0 to 15" in said.err
    said = axialzoo("explain", "axial_resnet_cifar10_xs", PHOTO, "--slot", "1", "-q")
    assert said.code == 1 and "with slots" in said.err
