"""`axialzoo predict`: the same class in both frameworks, one JSON object, a picture, and never random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axialzoo.checkpoint import default_config, load_checkpoint
from axialzoo.image import ImageError, load_image, preprocess, resize_transform
from axialzoo.runtime import Runner, frameworks, predict
from axialzoo.spec import get_entry
from axialzoo.tasks import decode_batch, task_of

PHOTO = Path(__file__).parents[2] / "docs" / "photos" / "chelsea.jpg"


def test_json_is_one_object_with_plain_names(axialzoo, folder):
    actual = axialzoo("predict", PHOTO, "--model", folder, "--framework", "torch", "--top", "3", "--json").json
    assert actual["model"] == "axial_resnet_cifar10_xs" and actual["digest"].startswith("sha256:")
    (item,) = actual["predictions"]
    assert item["image"] == str(PHOTO) and item["framework"] == "torch" and item["backend"] is None
    assert len(item["top"]) == 3 and {"label", "label_id", "probability"} == set(item["top"][0])
    assert {key: item[key] for key in ("label", "label_id", "probability")} == item["top"][0]
    shares = [row["probability"] for row in item["top"]]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1


def test_the_prediction_is_the_softmax_of_the_models_logits(axialzoo, folder):
    import torch

    from axialzoo.torch import create_model

    model = create_model("custom", folder).eval()
    x = preprocess(load_image(PHOTO), load_checkpoint(folder).config.preprocessing)
    with torch.no_grad():
        shares = model(torch.from_numpy(x)[None]).double().softmax(1)[0]
    (item,) = axialzoo("predict", PHOTO, "--model", folder, "--framework", "torch", "--top", "10", "--json").json["predictions"]
    actual = {row["label_id"]: row["probability"] for row in item["top"]}
    assert [actual[index] for index in range(10)] == pytest.approx(shares.tolist(), rel=1e-6)
    flipped = x[:, :, ::-1].copy()
    with torch.no_grad():  # a mirrored picture would be seen
        other = model(torch.from_numpy(flipped)[None]).double().softmax(1)[0]
    assert [actual[index] for index in range(10)] != pytest.approx(other.tolist(), rel=1e-6)


def test_both_frameworks_give_the_same_class_and_nothing_but_json_on_stdout(axialzoo_process, folder, tmp_path):
    picture = tmp_path / "both.png"
    said = axialzoo_process("predict", PHOTO, "--model", folder, "--framework", "torch,keras", "--json", "--out", picture)
    assert said.code == 0, said.err
    first, second = said.json["predictions"]
    assert (first["framework"], second["framework"]) == ("torch", "keras")
    assert second["backend"] in frameworks.BACKENDS
    assert [row["label"] for row in first["top"]] == [row["label"] for row in second["top"]]
    assert [row["probability"] for row in first["top"]] == pytest.approx([row["probability"] for row in second["top"]], abs=1e-5)
    assert said.json["pictures"] == [str(picture)] and load_image(picture).width > 1000


def test_several_pictures_of_all_kinds_and_a_folder_of_results(axialzoo, folder, tmp_path):
    grey, clear = tmp_path / "grey.png", tmp_path / "clear.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(grey)
    Image.new("RGBA", (5, 9), (10, 20, 30, 0)).save(clear)
    said = axialzoo("predict", PHOTO, grey, clear, grey, "--model", folder, "--framework", "torch", "--json", "--out", tmp_path / "out")
    assert [item["image"] for item in said.json["predictions"]] == [str(path) for path in (PHOTO, grey, clear, grey)]
    assert "clear.png: transparency laid over white" in said.err
    assert len(set(said.json["pictures"])) == 4 == len(list((tmp_path / "out").iterdir()))


def test_quiet_says_nothing_besides(axialzoo, folder, tmp_path):
    clear = tmp_path / "clear.png"
    Image.new("RGBA", (5, 9), (10, 20, 30, 0)).save(clear)
    said = axialzoo("predict", clear, "--model", folder, "--framework", "torch", "-q", "--out", tmp_path / "a.png")
    assert said.err == "" and "%" in said.out


def test_the_table_shows_labels_and_shares(axialzoo, folder):
    said = axialzoo("predict", PHOTO, "--model", folder, "--framework", "torch", "--top", "10")
    assert "PyTorch" in said.out and "cat" in said.out and said.out.count("%") == 10


def test_batches_keep_the_order_and_join_only_equal_sizes():
    inputs = [np.zeros((side, 4, 3)) for side in [2] * 40 + [3, 2, 2]]
    batches = list(predict.equal_size_batches([*inputs[:40], None, ImageError("planted"), *inputs[40:]]))
    assert [len(batch) for batch in batches] == [40, 1, 2]
    assert [index for batch in batches for index in batch] == [*range(40), *range(42, 45)]


def test_logits_that_are_not_finite_are_refused():
    config = default_config(get_entry("axial_resnet_cifar10_xs").spec)
    with pytest.raises(ValueError, match="not finite"):
        logits, view = np.array([[0.0, np.nan]]), resize_transform(32, 32, config.preprocessing)
        decode_batch(task_of(config.spec.head), {"logits": logits}, config.spec, [view])


def test_a_model_without_weights_is_refused_naming_models_with_weights(axialzoo, monkeypatch):
    from axialzoo.spec.registry import ModelEntry, _entries

    spec = get_entry("axial_resnet_cifar10_xs").spec
    monkeypatch.setitem(_entries, "planted", ModelEntry("planted", spec, "", "", weights={"first": "package:planted"}))
    said = axialzoo("predict", PHOTO, "--model", "axial_resnet50_m", "--framework", "torch")
    assert said.code == 1 and said.out == ""
    assert "axial_resnet50_m" in said.err and "has no weights" in said.err and "planted" in said.err


def test_no_model_is_ever_built_without_weights(axialzoo, monkeypatch):
    monkeypatch.setattr(Runner, "__init__", lambda *_: pytest.fail("built"))
    assert axialzoo("predict", PHOTO, "--model", "axial_resnet50_m", "--framework", "torch").code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("absent.jpg", "--framework", "torch"), "absent.jpg: no such file"),
        ((__file__, "--framework", "torch"), "test_predict.py: not a picture that can be read; expected JPEG"),
        ((PHOTO, "--framework", "pytorch"), "expected torch, keras or torch,keras, found 'pytorch'; did you mean 'torch'?"),
        ((PHOTO, "--framework", "torch", "--out", "result.pdf"), "expected a picture's suffix"),
    ],
)
def test_errors_name_what_is_wrong(axialzoo, folder, words, message):
    said = axialzoo("predict", *words, "--model", folder, "--json")
    assert said.code == 1 and said.out == "" and message in said.err and said.err.count("\n") == 1


def test_a_damaged_checkpoint_is_refused(axialzoo, folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    data = bytearray((tmp_path / "model.safetensors").read_bytes())
    data[-5] ^= 4
    (tmp_path / "model.safetensors").write_bytes(data)
    said = axialzoo("predict", PHOTO, "--model", tmp_path, "--framework", "torch")
    assert said.code == 1 and "digest" in said.err


def test_the_default_framework_is_the_first_installed(monkeypatch):
    there = {"torch", "keras", "jax"}
    monkeypatch.setattr(frameworks, "installed", lambda package: package in there)
    assert frameworks.choose(None) == ["torch"]
    there.discard("torch")
    assert frameworks.choose(None) == ["keras"]
    with pytest.raises(ModuleNotFoundError, match=r"PyTorch is not installed; pip install 'axialzoo\[torch\]'"):
        frameworks.choose("torch")
    there.discard("jax")  # Keras without a back end computes nothing
    with pytest.raises(ModuleNotFoundError, match="neither PyTorch nor Keras"):
        frameworks.choose(None)
