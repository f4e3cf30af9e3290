"""The page shows the results of the library in the words of the command line; no browser and no gradio are needed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from axialzoo import load_runner
from axialzoo.app import html
from axialzoo.app.attention_view import AttentionView, Panel, attention_view, blocks
from axialzoo.app.models import Runners, offered
from axialzoo.app.predictions import predict_picture, preview, python_code
from axialzoo.app.samples import samples
from axialzoo.image import ImageError, load_image
from axialzoo.spec import SpecError, list_models

CIFAR = "axial_resnet_cifar10"


@pytest.fixture(scope="module")
def runners():
    built = Runners(most=2)
    yield built
    built.close()


@pytest.fixture(scope="module", params=[item.model for item in samples()[:3]])
def answered(request, runners):
    pytest.importorskip("torch")
    (sample,) = [item for item in samples()[:3] if item.model == request.param]
    return predict_picture(runners, sample.model, sample.path, ["torch"])


def test_samples_are_there_with_a_model_that_has_weights():
    assert len(samples()) == 5 and all(
        item.path.is_file() and item.alt and item.model in list_models(pretrained=True) for item in samples()
    )


def test_all_models_with_weights_are_offered_or_those_that_were_asked_for():
    assert set(list_models(pretrained=True)) <= set(offered())
    assert offered([CIFAR, CIFAR]) == (CIFAR,)
    with pytest.raises(SpecError):
        offered(["axial_resnet50_s"])


def test_an_answer_is_what_the_command_prints(answered, axialzoo, tmp_path):
    path = next(item.path for item in samples() if item.path.name == answered.name)
    printed = axialzoo("predict", path, "--model", answered.config.model, "--framework", "torch", "--json").json
    printed["predictions"][0]["image"] = answered.name
    assert answered.json == printed
    files = answered.write(tmp_path)
    assert json.loads(files[0].read_text()) == printed and load_image(files[1]).size == answered.drawn.size


def test_time_memory_and_digest_are_told(answered):
    (column,) = answered.columns
    shown = html.results(answered)
    assert column.seconds > 0 and (column.memory is None or column.memory > 2**20)
    assert answered.config.digest[:20] in shown and "MiB at most" in shown and column.result.summary()[0][0] in shown


def test_the_lines_of_python_run_and_say_the_same(answered, capsys):
    path = next(item.path for item in samples() if item.path.name == answered.name)
    exec(python_code(answered.config.model, str(path), "torch"), {})
    assert capsys.readouterr().out.strip() == str(load_runner(answered.config.model, "torch").predict(path).to_json())


@pytest.mark.parametrize(("name", "content"), [("notes.jpg", b"hello"), ("empty.png", b""), ("half.png", None)])
def test_a_bad_file_gives_the_command_lines_message(name, content, runners, axialzoo, tmp_path, monkeypatch):
    path = tmp_path / name
    whole = samples()[1].path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(ImageError) as error:
        predict_picture(runners, CIFAR, path, ["torch"])
    monkeypatch.chdir(tmp_path)
    assert axialzoo("predict", name, "--model", CIFAR).err.strip() == f"error: {error.value}"


def test_no_framework_is_refused(runners):
    with pytest.raises(ValueError, match="at least one"):
        predict_picture(runners, CIFAR, samples()[0].path, [])


def test_names_are_escaped():
    assert "<script>" not in html.failed("<script>") and "&lt;script&gt;" in html.failed("<script>")
    panel = Panel("<script>", '"><script>', load_image(samples()[0].path))
    shown = html.attention_html(AttentionView("<script>", (8, 8), "trained", (panel,), panel))
    assert "<script>" not in shown and shown.count("&lt;script&gt;") >= 5


def test_the_two_steps_are_a_row_and_then_all_that_reaches():
    pytest.importorskip("torch")
    picture = load_image(samples()[0].path)
    actual = attention_view(CIFAR, picture, (0.5, 0.5))
    assert [panel.title.partition(":")[0] for panel in actual.steps] == ["Step 1", "Step 2"] and actual.weights == "trained"
    first, second = (np.asarray(panel.picture, int) for panel in actual.steps)
    colour = np.ptp(first, axis=2).max(1) > 60  # rows of the picture with weights on them; the photograph below is grey
    ring = np.zeros_like(colour)
    ring[len(ring) // 2 - 30 : len(ring) // 2 + 30] = True
    assert colour.sum() <= len(colour) * 1.5 / actual.map[0] + ring.sum() and (np.ptp(second, axis=2).max(1) > 60).sum() > 3 * colour.sum()
    assert "trained weights" in actual.other.note and actual.layer == blocks(CIFAR)[len(blocks(CIFAR)) // 2]


def test_another_kind_has_trained_weights_or_words():
    pytest.importorskip("torch")
    picture = load_image(samples()[0].path)
    without, beside = (attention_view(name, picture, (0.5, 0.5), kind="axial_none").other for name in (CIFAR, f"{CIFAR}_xs"))
    assert without.picture is None and without.note == f"skipped: no trained weights of this kind of {CIFAR}"
    assert beside.picture is not None and "trained weights" in beside.note and beside.title.startswith("axial_none")


def test_a_point_elsewhere_is_seen_elsewhere():
    pytest.importorskip("torch")
    picture = load_image(samples()[0].path)
    item, other = (np.asarray(attention_view(CIFAR, picture, (0.5, share)).steps[0].picture, int) for share in (0.1, 0.9))
    rows = [np.flatnonzero(np.ptp(panel, axis=2).max(1) > 60).mean() for panel in (item, other)]
    assert rows[0] < len(item) / 3 and rows[1] > len(item) * 2 / 3


def test_a_point_outside_is_the_nearest_inside_and_an_unknown_layer_is_refused():
    pytest.importorskip("torch")
    picture = load_image(samples()[0].path)
    assert attention_view(CIFAR, picture, (1.0, 1.0)).steps
    with pytest.raises(SpecError, match="no attention in"):
        attention_view(CIFAR, picture, (0.5, 0.5), layer="stages.9")


def test_runners_are_kept_and_the_oldest_ends(runners):
    pytest.importorskip("torch")
    few = Runners(most=1)
    first = few.get(CIFAR, "torch")
    assert few.get(CIFAR, "torch") is first
    few.get("axial_deeplab_nuclei", "torch")
    assert few.get(CIFAR, "torch") is not first
    few.close()


def test_without_gradio_the_command_says_what_to_install(axialzoo, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "gradio" else real(name, *rest))
    said = axialzoo("app", "--quiet")
    assert said.code == 1 and "pip install 'axialzoo[app]'" in said.err


def test_a_tiff_is_shown_as_it_is_read_and_its_code_names_the_page(tmp_path):
    pages = [Image.fromarray(np.full((6, 8), 60 * number, np.uint8)) for number in range(3)]
    pages[0].save(path := tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    shown = preview(path, page=3)
    assert shown is not None and shown.getpixel((0, 0)) == (120, 120, 120) and preview(samples()[0].path) is None
    with pytest.raises(ImageError, match=r"^a\.tif: expected a page from 1 to 3, found 4"):
        preview(path, page=4)
    code = python_code(CIFAR, str(path), "torch", page=3)
    assert f'runner.predict(load_image("{path}", page=3))' in code
    compile(code, "code", "exec")
