"""Commands that write: what lies there before, what they do, and what the folder holds for whoever reads it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from axialzoo.checkpoint import load_checkpoint, save_checkpoint
from axialzoo.data import open_data, write_shards
from axialzoo.files import atomic_write_folder, write_text
from axialzoo.hub.card import write_card
from axialzoo.runtime.convert import convert, read_any
from tests.conversion import small

View = dict[str, object]
NAMES = ("config.json", "model.safetensors")  # of a checkpoint, which are one thing
XS = "axial_resnet_cifar10_xs"


def view(folder: Path) -> View:
    """Return the content of every file but hidden ones; a checkpoint is its digest and what it says of itself."""
    files: View = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in path.relative_to(folder).parts) or path.is_dir():
            continue
        if path.name in NAMES:
            checkpoint = load_checkpoint(path.parent)  # which reads every value
            files[name.rpartition("/")[0] + "/checkpoint"] = (checkpoint.config.digest, str(checkpoint.config.provenance.get("source")))
        elif path.suffix == ".pth":  # whose bytes name the temporary file
            files[name] = str(read_any(path)[0].digest) if path.name != "foreign.pth" else ""
        else:
            files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return files


@dataclass(frozen=True)
class Case:
    """A command.

    Attributes:
        prepare: Makes a folder and what lies in it before.
        act: Runs the command in the folder; with True once more, after it has failed.
        view: What the folder holds.
        check: Returns what is wrong after a failure; None: every file has to be as it was or as it is to be.
        together: Whether all files are old or all are new.
    """

    prepare: Callable[[Path], object]
    act: Callable[[Path, bool], object]
    view: Callable[[Path], View] = view
    check: Callable[[Path], list[str]] | None = None
    together: bool = False


def cli(*words: object) -> None:
    """Run a command line in this process.

    Raises:
        OSError: where it ends with an error.
    """
    from axialzoo.cli import main

    with mock.patch.object(sys, "argv", ["axialzoo", *map(str, words)]):
        try:
            main()
        except SystemExit as ended:
            if ended.code:
                raise OSError(f"the command ended with {ended.code}") from None


def text_file(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.txt").write_text("old " * 1000)


def tree(folder: Path) -> None:
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "old").write_text("old")


def write_tree(folder: Path, again: bool) -> None:
    with atomic_write_folder(folder / "a") as beside:
        beside.mkdir()
        for name in ("new", "newer"):
            (beside / name).write_text(name)


def old_checkpoint(folder: Path) -> None:
    small.write_folder(folder / "a", 1)


def two_checkpoints(folder: Path) -> None:
    small.write_folder(folder / "a", 1)
    small.write_folder(folder / "b", 2)


def data_set(folder: Path) -> None:
    for split, count in (("train", 6), ("test", 3)):
        for index in range(count):
            path = folder / "data" / split / ("cat", "dog", "owl")[index % 3] / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.random.default_rng(index).integers(0, 256, (32, 32, 3), np.uint8)).save(path)


def train(folder: Path, again: bool) -> None:
    from axialzoo.train import run

    settings = dict(model=XS, batch_size=2, epochs=2, holdout=2, precision="float32", save_every=1, augment="resized_crop", drop_path=0.0)
    resume = (folder / "run" / "recipe.json").exists()
    run("cifar10", folder / "data", folder / "run", resume=resume, **settings)


def course(folder: Path) -> View:
    """Return what a run has come to."""
    from axialzoo.train.state import FILE, _read

    place = folder / "run"
    files: View = {}
    if (place / FILE).exists():
        files["state"] = _read(place / FILE)[1].digest
    if (place / "metrics.jsonl").exists():
        files["metrics"] = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    if any((place / "model" / name).exists() for name in NAMES):
        files["model"] = load_checkpoint(place / "model").config.digest
    for name in ("learning_curve.png", "recipe.json"):
        if (place / name).exists():
            Image.open(place / name).load() if name.endswith("png") else json.loads((place / name).read_text())
    return files


def check_course(folder: Path) -> list[str]:
    """Return what of a run cannot be read; its last record may be torn, since records are appended."""
    log = folder / "run" / "metrics.jsonl"
    if log.exists() and (lines := log.read_text().splitlines()):
        try:
            json.loads(lines[-1])
        except ValueError:
            log.write_text("".join(line + "\n" for line in lines[:-1]))
    try:
        course(folder)
    except Exception as error:
        return [f"cannot be read: {type(error).__name__}: {error}"]
    return []


def foreign(folder: Path) -> None:
    """Make a file of the authors of Axial-DeepLab, with random weights."""
    from axialzoo.runtime.foreign import export_foreign
    from axialzoo.torch import create_model
    from axialzoo.torch.weights import save_model

    save_model(create_model("axial_resnet26_s"), folder / "from")
    export_foreign("axial-deeplab", str(folder / "from"), folder / "foreign.pth")


def import_file(folder: Path, again: bool) -> None:
    from axialzoo.runtime.foreign import import_foreign

    import_foreign("axial-deeplab", folder / "foreign.pth", folder / "imported", "axial_resnet26_s")


def pull_file(folder: Path, again: bool) -> None:
    from axialzoo.hub.catalogue import OfficialWeights
    from axialzoo.runtime import pulling

    weights = OfficialWeights(**{**vars_of_official(), "name": "axial_resnet26_s.test", "model": "axial_resnet26_s"})
    with mock.patch.dict(os.environ, AXIALZOO_HOME=str(folder / "home")), mock.patch.object(pulling, "official", lambda name: weights):
        pulling.pull("axial_resnet26_s.test", address=str(folder / "foreign.pth"), force=not again)


def vars_of_official() -> dict[str, object]:
    from axialzoo.hub.catalogue import OFFICIAL

    weights = next(row for row in OFFICIAL.values() if row.zoo == "axial-deeplab")
    return {name: getattr(weights, name) for name in weights.__dataclass_fields__}


def publication(folder: Path, again: bool) -> None:
    from axialzoo.hub.push import prepare, write_publication

    write_publication(prepare(folder / "a", "org/repo"), folder / "out")


def photo(folder: Path) -> None:
    folder.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(folder / "photo.png")
    (folder / "out.png").write_bytes((folder / "photo.png").read_bytes())


def predict(folder: Path, again: bool) -> None:
    cli("predict", folder / "photo.png", "--model", XS, "--out", folder / "out.png", "--force")


CASES: dict[str, Case] = {
    "file": Case(text_file, lambda folder, again: write_text(folder / "a.txt", "new " * 9000)),
    "folder": Case(tree, write_tree, together=True),
    "checkpoint": Case(old_checkpoint, lambda folder, again: save_checkpoint(folder / "a", small.CONFIG, small.tensors(7), overwrite=True)),
    "new_checkpoint": Case(old_checkpoint, lambda folder, again: save_checkpoint(folder / "b", small.CONFIG, small.tensors(7))),
    "convert_safetensors": Case(old_checkpoint, lambda folder, again: convert(folder / "a", folder / "b.safetensors")),
    "convert_pth": Case(two_checkpoints, lambda folder, again: convert(folder / "a", folder / "b.pth", overwrite=True)),
    "convert_folder": Case(two_checkpoints, lambda folder, again: convert(folder / "a", folder / "b", overwrite=True)),
    "card": Case(old_checkpoint, lambda folder, again: write_card(folder / "a", load_checkpoint(folder / "a").config)),
    "shards": Case(data_set, lambda folder, again: write_shards(open_data(folder / "data"), folder / "shards", per_shard=2), together=True),
    "publication": Case(old_checkpoint, publication, together=True),
    "import": Case(foreign, import_file),
    "pull": Case(foreign, pull_file),
    "predict": Case(photo, predict),
    "train": Case(data_set, train, course, check_course),
}
