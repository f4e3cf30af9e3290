"""`axialzoo compare`: one JSON object, tables, plots, errors that help."""

from __future__ import annotations

import json

import numpy as np
import pytest

from axialzoo.analysis import measure as measuring
from axialzoo.cli import compare
from axialzoo.image import load_image

NAME = "axial_resnet_cifar10_xs"


@pytest.fixture
def measured(monkeypatch):
    """Times and memory as the multiply-adds would have them, without a process; one size is too large."""

    def answer(case, *_):
        if case.kind == "global" and case.size == (64, 64):
            return {"skipped": "took longer than 60 s"}
        return {"times": [1e-9 * case.multiply_adds] * 3, "busy": [1.0], "memory_bytes": case.positions**2, "resident_bytes": 5}

    monkeypatch.setattr(measuring, "_in_a_process", answer)


def test_json_is_one_object_and_the_folder_gets_it_and_the_plots(axialzoo, measured, tmp_path):
    words = ("--kinds", "axial,axial_local,global", "--sizes", "32,64", "--layer", "stages.1.blocks.0", "--out", tmp_path)
    said = axialzoo("compare", NAME, *words, "--json")
    actual = said.json
    assert json.loads((tmp_path / "compare.json").read_text()) == actual
    assert (actual["model"], actual["layer"], actual["mode"], actual["device"]) == (NAME, "stages.1.blocks.0", "inference", "cpu")
    assert (
        actual["threads"] >= 1 and actual["framework"].startswith("torch ") and list(actual["kinds"]) == ["axial", "axial_local", "global"]
    )
    axial = actual["kinds"]["axial"]
    assert [row["size"] for row in axial["sizes"]] == [[32, 32], [64, 64]] and [row["positions"] for row in axial["sizes"]] == [1024, 4096]
    assert axial["exponents"]["memory_bytes"] == pytest.approx(2)
    assert axial["exponents"]["seconds"] == pytest.approx(axial["exponents"]["multiply_adds"])
    last = actual["kinds"]["global"]["sizes"][1]
    assert last["skipped"] == "took longer than 60 s" and last["seconds"] is None and last["multiply_adds"] > 0
    assert actual["kinds"]["global"]["exponents"]["seconds"] is None
    assert {path.name for path in tmp_path.iterdir()} == {"compare.json", "compare.png", "time.png", "memory.png", "multiply_adds.png"}
    pixels = np.asarray(load_image(tmp_path / "compare.png"))
    assert pixels.shape[1] > 2 * pixels.shape[0] and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50


def test_the_tables_name_what_was_left_out(axialzoo, measured):
    said = axialzoo("compare", NAME, "--kinds", "axial,global", "--sizes", "32,64", "--quiet")
    assert said.err == "" and "skipped: took longer than 60 s" in said.out and "1 of 2 measured" in said.out and "thread(s)" in said.out


def test_one_run_for_real(axialzoo):
    actual = axialzoo("compare", NAME, "--kinds", "axial", "--sizes", "16", "--repeats", "1", "--threads", "1", "--train", "--json").json
    (row,) = actual["kinds"]["axial"]["sizes"]
    assert row["skipped"] is None and row["seconds"] > 0 and row["memory_bytes"] > 0 and actual["mode"] == "training"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("axial_resnet50_x",), "unknown model 'axial_resnet50_x'; did you mean"),
        ((NAME, "--kinds", "axail"), "unknown kind 'axail'; did you mean 'axial'?; known: axial"),
        ((NAME, "--layer", "stages.0.blocks.0"), "blocks with attention: stages.1.blocks.0, stages.2.blocks.1"),
        ((NAME, "--sizes", "12;13"), "expected SIDE or HEIGHTxWIDTH"),
        ((NAME, "--device", "tpu"), "PyTorch expected one of auto, cpu"),
    ],
)
def test_errors_name_what_is_wrong(axialzoo, words, message):
    said = axialzoo("compare", *words, "--json")
    assert said.code == 1 and said.out == "" and message in said.err and said.err.count("\n") == 1


def test_without_matplotlib_it_says_what_to_install(axialzoo, monkeypatch, tmp_path):
    from axialzoo.runtime import frameworks

    monkeypatch.setattr(frameworks, "installed", lambda package: package != "matplotlib")
    said = axialzoo("compare", NAME, "--out", tmp_path / "plots")
    assert said.code == 1 and "pip install 'axialzoo[train]'" in said.err and not (tmp_path / "plots").exists()


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.0123, "12.3 ms"), (75.0, "75.0 s")])
def test_times_are_short(value, text):
    assert compare.milliseconds(value) == text
