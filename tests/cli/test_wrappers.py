"""`train`, `evaluate`, `import`, `export` and `convert` hand over what they are told, and say what went wrong."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from axialzoo import train as training
from axialzoo.checkpoint import default_config, load_checkpoint, save_checkpoint
from axialzoo.spec import get_entry, parameters


def test_train_hands_every_setting_over(axialzoo, monkeypatch, tmp_path):
    requests = {}

    def run(recipe, data, out, **settings):
        print("progress")
        assert callable(settings.pop("progress")) and callable(settings.pop("report"))
        requests.update(recipe=recipe, data=str(data), out=str(out), **settings)
        return out / "model"

    monkeypatch.setattr(training, "run", run)
    said = axialzoo(
        "train", "cifar10", "--data", "images", "--out", tmp_path, "--resume", "--epochs", "3", "--seed", "0",
        "--set", "learning_rate=0.05", "--set", "progressive_sizes=[[0.5, 24]]", "--set", "precision=bfloat16", "--json",
    )  # fmt: skip
    assert requests == {
        "recipe": "cifar10", "data": "images", "out": str(tmp_path), "framework": "torch", "resume": True, "save_every": 200,
        "device": "auto", "tensorboard": False, "on_bad_label": "error", "devices": 1, "epochs": 3, "seed": 0, "learning_rate": 0.05,
        "progressive_sizes": ((0.5, 24),), "precision": "bfloat16",
    }  # fmt: skip
    assert said.json == {"recipe": "cifar10", "framework": "torch", "out": str(tmp_path), "model": str(tmp_path / "model")}
    assert "progress" in said.err  # not on stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("cifar11",), "unknown recipe 'cifar11'; did you mean 'cifar10'?"),
        (("cifar10", "--set", "epoch=3"), "has no field 'epoch'; did you mean 'epochs'?"),
        (("cifar10", "--set", "epochs"), "expected FIELD=VALUE"),
        (("cifar10", "--framework", "torch,keras"), "expected torch or keras"),
    ],
)
def test_training_errors_are_one_message(axialzoo, tmp_path, words, message):
    said = axialzoo("train", *words, "--data", tmp_path, "--out", tmp_path / "out")
    assert said.code == 1 and said.out == "" and message in said.err and said.err.count("\n") == 1


def test_evaluate_counts_what_predict_predicts(axialzoo, folder, tmp_path):
    labels = [label.name for label in load_checkpoint(folder).config.labels]
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        for label in labels:
            (tmp_path / split / label).mkdir(parents=True)
            for index in range(2):
                Image.fromarray(random.integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / split / label / f"{index}.png")
    paths = sorted((tmp_path / "test").rglob("*.png"))
    predicted = axialzoo("predict", *paths, "--model", folder, "--framework", "torch", "--json").json["predictions"]
    right = sum(item["label"] == path.parent.name for item, path in zip(predicted, paths))
    in_five = sum(path.parent.name in [row["label"] for row in item["top"]] for item, path in zip(predicted, paths))
    actual = axialzoo("evaluate", folder, "--data", tmp_path, "--framework", "torch", "--json").json
    assert (actual["top1"], actual["top5"], actual["images"]) == (right / 20, in_five / 20, 20)
    assert actual["framework"] == "torch" and actual["seconds"] >= 0
    assert f"{100 * right / 20:.2f} %" in axialzoo("evaluate", folder, "--data", tmp_path, "--framework", "torch").out


def test_an_unknown_code_base_is_refused_naming_those_known(axialzoo, tmp_path):
    for words in (("import", "axial-deplab", "a.pth", "--out", tmp_path), ("convert", tmp_path, "a.pth", "--to", "axial-deplab")):
        said = axialzoo(*words)
        assert said.code == 1 and "unknown code base 'axial-deplab'" in said.err and "axial-deeplab" in said.err


def test_convert_there_and_back_is_bit_exact_and_said(axialzoo, folder, tmp_path):
    there = axialzoo("convert", folder, tmp_path / "model.pth", "--json").json
    assert there["digest"] == load_checkpoint(folder).config.digest and there["model"] == "axial_resnet_cifar10_xs"
    said = axialzoo("convert", tmp_path / "model.pth", tmp_path / "back")
    assert said.code == 0 and said.out == "" and there["digest"] in said.err
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "back" / name).read_bytes() == (folder / name).read_bytes()


def test_convert_refuses_what_it_does_not_know(axialzoo, folder, tmp_path):
    said = axialzoo("convert", folder, tmp_path / "model.onnx", "--json")
    assert said.code == 1 and said.out == "" and ".safetensors" in said.err and said.err.count("\n") == 1


def test_a_checkpoint_goes_to_the_authors_format_and_back_bit_for_bit(axialzoo, tmp_path):
    spec = get_entry("axial_resnet26_s").spec
    tensors = {parameter.name: np.full(parameter.shape, index + 1, np.float32) for index, parameter in enumerate(parameters(spec))}
    config = save_checkpoint(tmp_path / "ours", default_config(spec, "axial_resnet26_s"), tensors)
    exported = axialzoo("convert", tmp_path / "ours", tmp_path / "theirs.pth", "--to", "axial-deeplab", "--json")
    assert exported.code == 0 and exported.json["tensors"] == len(tensors), exported.err
    said = axialzoo("import", "axial-deeplab", tmp_path / "theirs.pth", "--model", "axial_resnet26_s", "--out", tmp_path / "back", "--json")
    assert said.json["model"] == "axial_resnet26_s"
    assert load_checkpoint(tmp_path / "back").config.digest == config.digest


def test_a_model_the_authors_code_cannot_express_is_refused(axialzoo, folder, tmp_path):
    said = axialzoo("convert", folder, tmp_path / "theirs.pth", "--to", "axial-deeplab")
    assert said.code == 1 and said.err.startswith("error: ") and not (tmp_path / "theirs.pth").exists()
