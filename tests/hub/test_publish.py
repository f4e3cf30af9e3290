"""A publication is one commit with all that the Hub and a user need, checked again wherever it is loaded."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from axialzoo.checkpoint import CheckpointError, Config, digest, load_checkpoint, save_checkpoint
from axialzoo.hub import golden
from axialzoo.hub.manifest import check_manifest
from axialzoo.hub.published_card import published_card
from axialzoo.hub.push import prepare, write_publication
from axialzoo.ops.kernels import kernel
from axialzoo.runtime import publish, verify
from axialzoo.runtime.frameworks import BACKENDS
from axialzoo.spec import get_entry
from tests.cli.conftest import LABELS, random_tensors
from tests.conversion import small
from tests.hub.asking import ROOT, ask

XS = "axial_resnet_cifar10_xs"
TENSORS = random_tensors(get_entry(XS).spec)
PROVENANCE = {
    "licence": "other",
    "weights_licence": "Apache-2.0",
    "data": {"name": "CIFAR-10", "source": "Krizhevsky 2009", "licence": "none published"},
    "metrics": {"top1": 0.5, "test_images": 10, "data": "CIFAR-10", "digest": digest(TENSORS)},
    "recipe": {"start": "axial/base@v1"},
    "notes": ["Random weights."],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("folder")
    save_checkpoint(place, Config(XS, get_entry(XS).spec, LABELS, provenance=PROVENANCE), TENSORS)
    (place / "pictures").mkdir()
    for name in ("curve.png", "pictures/worst.webp", "secret.txt"):
        (place / name).write_bytes(name.encode())
    return place


@pytest.fixture(scope="module")
def published(folder, tmp_path_factory):
    """A dry run of it, in PyTorch alone, which starts quickest."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(verify, "targets", lambda: [verify.Target("torch")])
        done = publish(folder, "axial/tiny", dry_run=tmp_path_factory.mktemp("out") / "tiny")
    return done


def front(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])


def test_a_dry_run_writes_what_would_be_published(published, folder):
    names = {"README.md", "config.json", "model.safetensors", "golden.json", "labels.txt", "SHA256SUMS", "curve.png", "pictures/worst.webp"}
    assert set(published["files"]) == names and published["commit"] is None and published["verified"]["ok"]
    out = published["folder"]
    assert load_checkpoint(out).config == load_checkpoint(folder).config
    done = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=out, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.count(": OK") == 6, done.stderr
    with pytest.raises(FileExistsError, match="not replaced"):
        write_publication(prepare(folder, "axial/tiny"), folder)


def test_the_front_matter_is_complete(published):
    with open(f"{published['folder']}/README.md") as file:
        data = front(file.read())
    assert data["license"] == "other" and data["license_name"] and data["library_name"] == "axialzoo"
    assert data["pipeline_tag"] == "image-classification" and data["base_model"] == "axial/base" and data["datasets"] == ["cifar-10"]
    (result,) = data["model-index"][0]["results"]
    assert data["model-index"][0]["name"] == "tiny" and result["dataset"] == {"name": "CIFAR-10", "type": "cifar-10", "split": "test"}
    assert result["metrics"] == [{"type": "accuracy", "value": 0.5, "name": "top1"}] and data["metrics"] == ["accuracy"]


def test_the_card_says_how_in_both_frameworks_and_shows_every_picture(published):
    with open(f"{published['folder']}/README.md") as file:
        text = file.read()
    for package in ("torch", "keras"):
        assert f'from axialzoo.{package} import create_model\n\nmodel = create_model("{XS}", pretrained="axial/tiny")' in text
    assert "ORG/REPO" not in text and "axialzoo verify axial/tiny" in text and "* Random weights." in text
    assert "(curve.png)" in text and "(pictures/worst.webp)" in text and "licence: none published" in text
    headings = re.findall("^## (.*)", text, re.MULTILINE)
    assert headings[:3] == ["Use it", "Figures", "Parity"] and headings[-1] == "Provenance" and len(set(headings)) == len(headings)


def test_sections_that_somebody_wrote_stay_and_a_card_of_other_weights_does_not(folder):
    config = load_checkpoint(folder).config
    own = f"# Mine\n\nof {config.digest}\n\n## My section\n\n```\n## no heading\n```\n\nat ORG/REPO\n\n## Figures\n\nold\n"
    text = published_card(config, "axial/tiny", own)
    assert "## My section\n\n```\n## no heading\n```\n\nat axial/tiny" in text and "\nold\n" not in text
    assert "My section" not in published_card(config, "axial/tiny", own.replace(config.digest, "sha256:other"))
    again = published_card(config, "axial/tiny", text)
    assert again == text


def test_figures_of_several_frameworks_are_columns_and_those_of_other_weights_are_refused(folder):
    digest = load_checkpoint(folder).config.digest
    figures = {"top1": 0.51, "images": 10, "split": "test", "seconds": 3.0, "digest": digest, "framework": "torch", "backend": None}
    other = {**figures, "top1": 0.52, "framework": "keras", "backend": "jax"}
    card = prepare(folder, "axial/tiny", evaluations=[figures, other]).files["README.md"].decode()
    assert (
        "| figure | PyTorch | Keras (jax) |\n|---|--:|--:|\n| top1 | 0.5100 | 0.5200 |" in card
        and "seconds" not in card.split("## Parity")[0]
    )
    with pytest.raises(CheckpointError, match="figures of other weights"):
        prepare(folder, "axial/tiny", evaluations=[{**figures, "digest": "sha256:0"}])


def test_parity_is_a_row_a_pair_with_its_worst_output(folder):
    def pair(one, output, error, precision="float32"):
        return {"pair": ["PyTorch", one], "output": output, "precision": precision, "error": error, "limit": 2e-5, "ok": True}

    rows = [pair("Keras (jax)", "a", 1e-6), pair("Keras (jax)", "b", 3e-6), pair("Keras (tensorflow)", "a", None)]
    text = published_card(load_checkpoint(folder).config, "axial/tiny", report={"parity": rows})
    assert "| PyTorch | Keras (jax) | 3.0e-06 |\n| PyTorch | Keras (tensorflow) | not finite |" in text


@pytest.mark.parametrize("name", ["tiny", "axial/tiny@v1", "a/b/c", "axial/ti ny", ""])
def test_a_name_that_is_no_repository_is_refused(folder, name):
    with pytest.raises(CheckpointError, match="expected the name of a repository"):
        prepare(folder, name)


def test_weights_that_fail_their_verification_are_not_published(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(verify, "targets", lambda: [verify.Target("nonsense")])
    monkeypatch.setitem(verify.frameworks.TITLES, "nonsense", "Nonsense")
    monkeypatch.setattr(verify.frameworks, "installed", lambda package: True)
    with pytest.raises(CheckpointError, match=r"did not pass its verification \(Nonsense\)"):
        publish(folder, "axial/tiny", dry_run=tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Golden activations


def test_golden_activations_are_what_the_weights_compute(published, monkeypatch):
    monkeypatch.setattr(verify, "targets", lambda: [verify.Target("torch")])
    report = verify.verify(published["folder"])
    assert report["ok"] and [row["precision"] for row in report["golden"]] == ["float32", "float64"]
    assert all(row["error"] <= row["limit"] for row in report["golden"])
    assert {check["name"] for check in report["checks"]} >= {"manifest", "golden"}


def test_an_inference_form_is_held_to_the_golden_activations_of_its_precision(published, tmp_path, monkeypatch):
    if kernel() is None:
        pytest.skip("no kernel: there is no compiler here")
    monkeypatch.setattr(verify, "targets", lambda: [verify.Target("torch", optimize=True)])
    report = verify.verify(published["folder"])
    assert report["ok"] and [row["precision"] for row in report["golden"]] == ["float32"]
    assert not planted(published, tmp_path, nudged)["ok"]


def planted(published, tmp_path, change) -> dict:
    """The golden activations with something changed, and a manifest to match."""
    for name in published["files"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with open(f"{published['folder']}/{name}", "rb") as file:
            (tmp_path / name).write_bytes(file.read())
    data = json.loads((tmp_path / "golden.json").read_text())
    change(data)
    old = hashlib.sha256((tmp_path / "golden.json").read_bytes()).hexdigest()
    (tmp_path / "golden.json").write_text(json.dumps(data))
    new = hashlib.sha256((tmp_path / "golden.json").read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS").write_text((tmp_path / "SHA256SUMS").read_text().replace(old, new))
    return verify.verify(tmp_path)


def nudged(data):
    data["cases"]["float32"]["outputs"]["logits"]["last"][0] += 1e-3


def transposed(data):
    data["cases"]["float64"]["outputs"]["logits"]["shape"] = [10, 2]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (nudged, "golden"),
        (lambda data: data["cases"]["float32"]["outputs"]["logits"].update(std=9.0), "golden"),
        (lambda data: data["cases"]["float32"]["outputs"].update(other=data["cases"]["float32"]["outputs"]["logits"]), "golden"),
        (transposed, "expected cases"),
        (lambda data: data.update(digest="sha256:0"), "is of other weights"),
        (lambda data: data["cases"]["float32"]["input"].update(seed=1), "is not the one that it was published with"),
        (lambda data: data["cases"]["float32"]["input"].update(shape=[2, 10**6, 10**6, 3]), "expected cases"),
        (lambda data: data.update(version=2), "a newer axialzoo may read it"),
    ],
)
def test_planted_golden_activations_are_caught(published, tmp_path, monkeypatch, change, what):
    monkeypatch.setattr(verify, "targets", lambda: [verify.Target("torch")])
    report = planted(published, tmp_path, change)
    assert not report["ok"]
    failed = [check["detail"] for check in report["checks"] if check["ok"] is False]
    assert any(what in detail for detail in failed) or (what == "golden" and not all(row["ok"] for row in report["golden"]))


def test_golden_activations_do_not_depend_on_a_scalar_or_a_map():
    maps = {"maps": np.arange(2 * 5 * 7 * 9, dtype=float).reshape(2, 5, 7, 9), "logits": np.ones((2, 3))}
    text = golden.golden_text(small.CONFIG, "test", {"float32": (golden.noise_input((2, 5, 7, 3)), maps)})
    case = json.loads(text)["cases"]["float32"]
    assert np.shape(case["outputs"]["maps"]["first"]) == (3, 3, 8) and golden.compare_golden(case, maps, "float32") == 0.0
    assert golden.compare_golden(case, {**maps, "logits": np.full((2, 3), np.nan)}, "float32") is None


# The manifest


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda out: (out / "labels.txt").write_text("x"), "labels.txt"),
        (lambda out: (out / "curve.png").unlink(), "curve.png is missing"),
        (lambda out: (out / "SHA256SUMS").write_text(f"{'0' * 64}  ../x\n"), "a name in this folder"),
    ],
)
def test_a_file_that_is_not_the_published_one_is_named(folder, tmp_path, damage, message):
    out = write_publication(prepare(folder, "axial/tiny"), tmp_path / "out")
    assert len(check_manifest(out)) == 5
    damage(out)
    with pytest.raises(CheckpointError, match=message):
        check_manifest(out)


# Over HTTP


def test_publishing_loading_and_verifying_over_http(hub, folder, tmp_path):
    options = {"source": str(folder), "repo_id": "axial/tiny", "tag": "v1", "float64": False}
    (done,) = ask(hub.url, tmp_path / "cache", "publish", options)
    assert done["commit"] and done["digest"] == load_checkpoint(folder).config.digest
    (moved,) = ask(hub.url, tmp_path / "cache", "push", {"folder": str(folder), "repo_id": "axial/tiny", "tag": "v1"})
    assert moved["error"] == "CheckpointError" and "the tag 'v1' is on other files" in moved["message"]  # none of them golden
    entry = hub.repos["axial/tiny"]
    assert len(entry["commits"]) == 2 and entry["refs"]["main"] == entry["refs"]["v1"]  # .gitattributes, and one of ours
    files = entry["commits"][entry["refs"]["v1"]]
    assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes() and "secret.txt" not in files
    (seen,) = ask(hub.url, tmp_path / "other", "seen", {"repo_id": "axial/tiny", "revision": "v1"})
    check_seen(seen, files)
    assert (seen["task"], seen["figures"]) == ("image-classification", {"top1": 0.5})
    (report,) = ask(hub.url, tmp_path / "cache", "verify", "axial/tiny@v1")
    assert report["ok"] and len(report["golden"]) == 1 and {check["name"] for check in report["checks"]} >= {"manifest", "golden"}
    (live,) = ask(hub.url, tmp_path / "cache", "live", {"source": "axial/tiny@v1", "repo_id": "axial/tuned", "classes": 3})
    assert live["name"] == XS and not live["training"]
    tuned = hub.repos["axial/tuned"]
    card = tuned["commits"][tuned["refs"]["main"]]["README.md"].decode()
    assert front(card)["base_model"] == "axial/tiny" and "axial/tuned" in card


def check_seen(seen: dict, files: dict[str, bytes]) -> None:
    """The Hub's client lists and downloads the published files."""
    assert seen["sizes"] == {name: len(data) for name, data in files.items()} and sorted(seen["names"]) == sorted(files)
    assert {name: Path(seen["folder"], name).read_bytes() for name in files} == files
    assert seen["library"] == "axialzoo"


SHIPPED = {
    "axial_resnet_cifar10": "chelsea.jpg",
    "axial_deeplab_nuclei": "nuclei.png",
    "axial_fcos_blood_cells": "blood_cells.jpg",
}
PLACES = [("torch", None), *(("keras", backend) for backend in BACKENDS)]


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_there_and_back_in_both_frameworks_and_on_every_back_end(hub, tmp_path, name):
    repo, cache = f"axial/{name}", tmp_path / "cache"
    (done,) = ask(hub.url, cache, "publish", {"source": name, "repo_id": repo, "tag": "v1", "everywhere": True})
    assert done.get("commit"), done
    entry = hub.repos[repo]
    files = entry["commits"][entry["refs"]["v1"]]
    local = ROOT / "axialzoo" / "weights" / name
    assert all(files[part] == (local / part).read_bytes() for part in ("config.json", "model.safetensors"))
    (report,) = ask(hub.url, cache, "verify", {"source": f"{repo}@v1", "everywhere": True})
    assert report["ok"] and all(run["ok"] for run in report["runs"])
    assert len({run["backend"] for run in report["runs"]}) == 4 and len(report["runs"]) == 8 + 1  # plain, in the inference form, native
    assert len(report["golden"]) == 9 + 4 and all(row["ok"] for row in report["golden"])
    assert all(f"| {run['name']} |" in files["README.md"].decode() for run in report["runs"])
    (seen,) = ask(hub.url, tmp_path / "other", "seen", {"repo_id": repo, "revision": "v1"})
    check_seen(seen, files)
    metrics = load_checkpoint(local).config.provenance["metrics"]
    assert seen["figures"] == {figure: round(value, 4) for figure, value in metrics.items() if isinstance(value, float)}
    picture = str(ROOT / "docs" / "photos" / SHIPPED[name])
    for framework, backend in PLACES:
        both = [{"source": source, "picture": picture, "framework": framework, "backend": backend} for source in (repo, name)]
        there, here = ask(hub.url, cache, "predict", *both)
        assert there == here and there["said"], (framework, backend)


def test_a_keras_model_comes_from_the_hub_and_goes_to_it(hub, folder, tmp_path):
    pytest.importorskip("keras")
    hub.commit("axial/tiny", {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")})
    (live,) = ask(hub.url, tmp_path / "cache", "live_keras", {"source": "axial/tiny", "repo_id": "axial/again"})
    assert live["name"] == XS and live["labels"] == 10 and np.isfinite(live["logits"]).all()
    again = hub.repos["axial/again"]
    weights = again["commits"][again["refs"]["main"]]["model.safetensors"]
    assert weights == (folder / "model.safetensors").read_bytes()  # bit by bit
