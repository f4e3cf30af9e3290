"""No command destroys what it was not asked to write: not its inputs, nor what is there already."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from axialzoo.checkpoint import load_checkpoint
from axialzoo.image import load_image
from tests.cli.conftest import PHOTO

TORCH = ("--framework", "torch")


@pytest.fixture
def photo(tmp_path) -> Path:
    return Path(shutil.copy(PHOTO, tmp_path / "photo.jpg"))


@pytest.fixture
def other(tmp_path, folder) -> Path:
    """Another model's checkpoint, that nothing may replace."""
    path = tmp_path / "other"
    path.mkdir()
    for name in ("config.json", "model.safetensors"):
        (path / name).write_bytes(b"another model's " + name.encode())
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_predict_never_overwrites_the_photograph(axialzoo, folder, photo, force):
    before = photo.read_bytes()
    said = axialzoo("predict", photo, "--model", folder, *TORCH, "--out", photo, *force)
    assert said.code == 1 and "photo.jpg: is read as input" in said.err and said.err.count("\n") == 1
    assert photo.read_bytes() == before and len(list(photo.parent.iterdir())) == 1


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_predict_never_overwrites_one_of_several(axialzoo, folder, photo, force):
    pixels = photo.with_name("a.png")
    Image.new("RGB", (9, 9)).save(pixels)
    before = contents(photo.parent)
    said = axialzoo("predict", photo, pixels, "--model", folder, *TORCH, "--out", photo.parent, *force)
    assert said.code == 1 and "a.png: is read as input" in said.err and contents(photo.parent) == before


def test_predict_replaces_a_picture_with_force_alone(axialzoo, folder, photo):
    out = photo.with_name("result.png")
    out.write_bytes(b"mine")
    words = ("predict", photo, "--model", folder, *TORCH, "--out", out)
    said = axialzoo(*words)
    assert said.code == 1 and "result.png: exists already" in said.err and "--force" in said.err and out.read_bytes() == b"mine"
    assert axialzoo(*words, "--force").code == 0 and load_image(out).width > 500


def test_a_folder_of_out_that_is_missing_is_made(axialzoo, folder, photo):
    said = axialzoo("predict", photo, "--model", folder, *TORCH, "--out", photo.parent / "new" / "deep" / "result.png")
    assert said.code == 0, said.err
    assert (photo.parent / "new" / "deep" / "result.png").is_file()


def test_two_pictures_and_the_name_of_one_are_refused(axialzoo, folder, photo):
    out = photo.with_name("o1.png")
    said = axialzoo("predict", photo, PHOTO, "--model", folder, *TORCH, "--out", out)
    assert said.code == 1 and "o1.png: expected a folder for the results of 2 pictures" in said.err and not out.exists()


def test_one_bad_picture_is_named_and_the_others_are_done(axialzoo, folder, photo, tmp_path):
    bad = photo.with_name("bad.jpg")
    bad.write_bytes(photo.read_bytes()[:2000])
    words = ("predict", photo, bad, "nowhere.png", photo, "--model", folder, *TORCH, "--out", tmp_path / "out")
    said = axialzoo(*words, "--json")
    assert said.code == 1 and [item["image"] for item in said.json["predictions"]] == [str(photo), str(photo)]
    assert [item["image"] for item in said.json["skipped"]] == [str(bad), "nowhere.png"]
    assert "skipped:" in said.err and "bad.jpg: damaged picture" in said.err and "nowhere.png: no such file" in said.err
    assert [Path(path).is_file() for path in said.json["pictures"]] == [True, True]
    text = axialzoo(*words, "--force")
    assert text.code == 1 and text.out.count("%") == 10


def test_pictures_that_are_all_bad_are_an_error(axialzoo, folder, tmp_path):
    said = axialzoo("predict", "nowhere.png", "neither.png", "--model", folder, *TORCH, "--json")
    assert said.code == 1 and said.out == "" and "none of 2 pictures can be read" in said.err


def test_a_folder_of_pictures_is_an_argument(axialzoo, folder, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name, side in (("b.png", 8), ("a.jpg", 5)):
        Image.fromarray(np.full((side, 7, 3), 9, np.uint8)).save(pictures / name)
    (pictures / "notes.txt").write_text("not a picture")
    words = ("--model", folder, *TORCH, "--json", "--out")
    said = axialzoo("predict", pictures, *words, tmp_path / "out")
    assert said.code == 0 and [Path(item["image"]).name for item in said.json["predictions"]] == ["a.jpg", "b.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png"]
    (tmp_path / "empty").mkdir()
    said = axialzoo("predict", tmp_path / "empty", *words, tmp_path / "none")
    assert said.code == 1 and "empty: expected a picture or a folder of pictures, found none" in said.err


def test_each_picture_is_read_once(axialzoo, folder, photo, monkeypatch):
    import axialzoo.image.read as reading
    from axialzoo.runtime import predict

    read = []
    monkeypatch.setattr(predict, "load_image", lambda path, *chosen: read.append(path) or reading.load_image(path, *chosen))
    monkeypatch.setattr("axialzoo.image.load_image", lambda path: pytest.fail("read again"))
    assert axialzoo("predict", photo, "--model", folder, *TORCH, "--out", photo.with_name("result.png")).code == 0
    assert read == [photo]


def test_convert_replaces_a_checkpoint_with_force_alone(axialzoo, folder, other):
    before = contents(other)
    said = axialzoo("convert", folder, other)
    assert said.code == 1 and "config.json: exists already" in said.err and contents(other) == before
    (other.parent / "model.pth").write_bytes(b"mine")
    said = axialzoo("convert", folder, other.parent / "model.pth")
    assert said.code == 1 and "model.pth: exists already" in said.err and (other.parent / "model.pth").read_bytes() == b"mine"
    assert axialzoo("convert", folder, other, "--force").code == 0 and load_checkpoint(other)


def test_convert_to_nothing_is_refused(axialzoo, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = axialzoo("convert", folder, "", "--force")
    assert said.code == 1 and "expected a path to write, found an empty one" in said.err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", ["", "model.safetensors"])
def test_convert_never_writes_over_its_source(axialzoo, folder, tmp_path, target):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    before = contents(copy)
    pairs = [(copy, copy / target), (copy / "model.safetensors", copy)]
    for source, goal in pairs:
        said = axialzoo("convert", source, goal, "--force")
        assert said.code == 1 and "is read as input" in said.err, said.err
    assert contents(copy) == before


def test_import_and_export_replace_with_force_alone(axialzoo, other, tmp_path, monkeypatch):
    from axialzoo.checkpoint import default_config, save_checkpoint
    from axialzoo.spec import get_entry, parameters

    spec = get_entry("axial_resnet26_s").spec
    tensors = {parameter.name: np.full(parameter.shape, index + 1, np.float32) for index, parameter in enumerate(parameters(spec))}
    save_checkpoint(tmp_path / "ours", default_config(spec, "axial_resnet26_s"), tensors)
    theirs = tmp_path / "theirs.pth"
    theirs.write_bytes(b"mine")
    said = axialzoo("convert", tmp_path / "ours", theirs, "--to", "axial-deeplab")
    assert said.code == 1 and "theirs.pth: exists already" in said.err and theirs.read_bytes() == b"mine"
    assert axialzoo("convert", tmp_path / "ours", theirs, "--to", "axial-deeplab", "--force").code == 0
    before = contents(other)
    said = axialzoo("import", "axial-deeplab", theirs, "--out", other)
    assert said.code == 1 and "exists already" in said.err and contents(other) == before
    assert axialzoo("import", "axial-deeplab", theirs, "--out", other, "--force").code == 0 and load_checkpoint(other)
    for force in ((), ("--force",)):
        said = axialzoo("convert", tmp_path / "ours", tmp_path / "ours" / "model.safetensors", "--to", "axial-deeplab", *force)
        assert said.code == 1 and load_checkpoint(tmp_path / "ours")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own, on TensorFlow
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_save_model_replaces_when_told_so_alone(framework, folder, other):
    import importlib

    zoo = importlib.import_module(f"axialzoo.{framework}")
    model, before = zoo.create_model("custom", folder), contents(other)
    with pytest.raises(FileExistsError, match=r"config\.json: exists already"):
        zoo.save_model(model, other)
    assert contents(other) == before
    zoo.save_model(model, other, overwrite=True)
    assert load_checkpoint(other).config.digest == load_checkpoint(folder).config.digest


def test_explain_never_overwrites_the_photograph_and_replaces_with_force_alone(axialzoo, folder, photo):
    before, out = photo.read_bytes(), photo.with_name("picture.png")
    words = ("explain", folder, photo, "--point", "180,110", "--kinds", "axial", "--samples", "1", "--out")
    said = axialzoo(*words, photo, "--force")
    assert said.code == 1 and "photo.jpg: is read as input" in said.err and photo.read_bytes() == before
    out.write_bytes(b"mine")
    said = axialzoo(*words, out)
    assert said.code == 1 and "picture.png: exists already" in said.err and out.read_bytes() == b"mine"
    assert axialzoo(*words, out, "--force").code == 0 and load_image(out).width > 500


def test_compare_replaces_with_force_alone_and_says_so_before_it_measures(axialzoo, tmp_path, monkeypatch):
    from axialzoo.analysis import measure

    monkeypatch.setattr(measure, "_in_a_process", lambda *_: pytest.fail("measured"))
    (tmp_path / "compare.json").write_text("mine")
    said = axialzoo("compare", "axial_resnet_cifar10_xs", "--sizes", "16", "--kinds", "axial", "--out", tmp_path)
    assert said.code == 1 and "compare.json: exists already" in said.err and (tmp_path / "compare.json").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that not even root writes to: /proc")
@pytest.mark.parametrize("name", ["x.png", "model.pth", "model.weights.h5", "model.safetensors", "folder"])
def test_what_cannot_be_written_is_named_by_its_own_name(axialzoo, folder, photo, name):
    out = f"/proc/self/{name}"
    said = axialzoo(*(("predict", photo, "--model", folder, *TORCH, "--out", out) if name == "x.png" else ("convert", folder, out)))
    assert said.code == 1 and out in said.err and said.err.count("\n") == 1, said.err
    assert not [word for word in ("Errno", ".part", "inline_container", "/.") if word in said.err], said.err


def test_errors_of_frameworks_lose_the_line_of_their_source():
    from axialzoo.cli.shared import as_text

    error = RuntimeError("[enforce fail at inline_container.cc:145] . PytorchStreamReader failed reading zip archive")
    assert as_text(error) == "PytorchStreamReader failed reading zip archive"
    assert as_text(FileNotFoundError(2, "No such file or directory", "a/b.png")) == "a/b.png: No such file or directory"
    assert as_text(MemoryError()) == "MemoryError"


def test_warnings_carry_no_path_of_source(axialzoo_process, folder):
    said = axialzoo_process("info", folder)
    assert said.code == 0 and said.err == ""
    import subprocess
    import sys

    code = (
        "import warnings, typer\nfrom axialzoo.cli.shared import command\napp = typer.Typer()\n"
        "command(app, 'warn')(lambda: warnings.warn('num_classes=3: these start new'))\ncommand(app, 'other')(lambda: None)\n"
        "app(['warn'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "warning: num_classes=3: these start new\n"


def test_a_back_end_that_there_is_not_lists_those_there_are(axialzoo_process, folder):
    said = axialzoo_process("predict", PHOTO, "--model", folder, "--framework", "keras", KERAS_BACKEND="tensorflo")
    assert said.code == 1 and said.err.count("\n") == 1
    assert "KERAS_BACKEND: expected one of tensorflow, jax, torch, found 'tensorflo'; did you mean 'tensorflow'?" in said.err


def test_list_takes_several_patterns(axialzoo):
    import axialzoo as package

    patterns = ("max_deeplab_?_backbone", "axial_resnet26*", "axial_resnet26_s")
    names = [item["name"] for item in axialzoo("list", *patterns, "--json").json["models"]]
    assert names == package.list_models("max_deeplab_?_backbone", "axial_resnet26*")
    assert set(names) == {"axial_resnet26_s", "max_deeplab_s_backbone", "max_deeplab_l_backbone"}
    said = axialzoo("list", "axial*", "nonsense*")
    assert said.code == 1 and "no model matches 'nonsense*'" in said.err
