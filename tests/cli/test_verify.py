"""`axialzoo verify`: digests, spec, finite values and parity; what is not installed has not passed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from axialzoo.cli.verify import _show
from axialzoo.ops.kernels import Status, kernel
from axialzoo.runtime import frameworks, local, verify
from axialzoo.runtime.verify import Target, targets

FORM = "PyTorch, inference form"


@pytest.fixture
def copy(folder, tmp_path):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_pytorch_and_keras_agree_on_a_sound_checkpoint(axialzoo, folder, monkeypatch):
    monkeypatch.setattr(verify, "targets", lambda: [Target("torch"), Target("keras", "torch")])  # the quickest to start
    said = axialzoo("verify", folder, "--json")
    report = said.json
    assert said.code == 0 and report["ok"] and report["compared"], report
    assert [check["name"] for check in report["checks"]] == ["spec", "tensors", "digest"]
    assert {pair["precision"] for pair in report["parity"]} == {"float32", "float64"}
    assert all(pair["ok"] and 0 <= pair["error"] <= pair["limit"] for pair in report["parity"])


@pytest.mark.full
def test_every_framework_and_back_end_agrees(axialzoo_process, folder):
    said = axialzoo_process("verify", folder, "--json")
    assert said.code == 0, said.out
    backends = [backend for backend in (None, "tensorflow", "jax", "torch") for _ in range(2)]
    assert [run["backend"] for run in said.json["runs"]] == [*backends, None]  # and the native runtime
    assert all(run["ok"] for run in said.json["runs"]) and len(said.json["parity"]) == 36 + 6


def test_a_framework_that_is_not_installed_is_reported_and_not_passed(axialzoo, folder, monkeypatch, capsys):
    monkeypatch.setattr(frameworks, "installed", lambda package: package == "torch")
    monkeypatch.setattr(verify, "targets", lambda: [target for target in targets() if target.framework != frameworks.NATIVE])
    said = axialzoo("verify", folder, "--json", "--no-float64")
    first, _, *rest = said.json["runs"]
    assert first["ok"] is True and first["installed"]
    assert all(run["ok"] is None and not run["installed"] and "not installed" in run["detail"] for run in rest)
    assert {name for pair in said.json["parity"] for name in pair["pair"]} <= {"PyTorch", FORM} and said.json["compared"] is False
    assert said.code == 0
    _show(said.json)
    assert "parity: not compared" in capsys.readouterr().out


def test_a_framework_that_fails_fails_the_verification(axialzoo, folder, monkeypatch):
    monkeypatch.setattr(verify, "targets", lambda: [Target("nonsense")])
    monkeypatch.setitem(frameworks.TITLES, "nonsense", "Nonsense")
    monkeypatch.setattr(frameworks, "installed", lambda package: True)
    said = axialzoo("verify", folder, "--json", "--no-float64")
    assert said.code == 1 and not said.json["ok"]
    (run,) = said.json["runs"]
    assert run["ok"] is False and run["detail"]


@pytest.fixture
def pytorch_alone(monkeypatch):
    monkeypatch.setattr(verify, "targets", lambda: [Target("torch"), Target("torch", optimize=True)])


@pytest.mark.skipif(kernel() is None, reason="no kernel: there is no compiler here")
def test_the_inference_form_is_compared_with_the_plain_one(axialzoo, folder, pytorch_alone):
    said = axialzoo("verify", folder, "--json").json
    assert [run["name"] for run in said["runs"]] == ["PyTorch", FORM] and said["ok"] and not said["compared"]
    (pair,) = said["parity"]
    assert pair["precision"] == "float32" and pair["ok"] and 0 < pair["error"] <= pair["limit"]


@pytest.mark.skipif(kernel() is None, reason="no kernel: there is no compiler here")
def test_an_error_planted_in_the_inference_form_is_caught(axialzoo, folder, pytorch_alone, monkeypatch):
    class Planted(verify.Runner):
        def outputs(self, x):
            return {name: value + 1e-4 * self.optimized for name, value in super().outputs(x).items()}

    monkeypatch.setattr(verify, "Runner", Planted)
    said = axialzoo("verify", folder, "--json", "--no-float64")
    assert said.code == 1 and [pair["ok"] for pair in said.json["parity"]] == [False]


def test_without_a_kernel_the_inference_form_is_not_checked_and_says_why(axialzoo, folder, pytorch_alone, monkeypatch):
    monkeypatch.setattr(local, "kernel_status", lambda: Status("plain", "planted"))
    said = axialzoo("verify", folder, "--json", "--no-float64")
    assert said.code == 0 and said.json["runs"][1]["ok"] is None and "no CPU kernel" in said.json["runs"][1]["detail"]


def flip(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 4
    path.write_bytes(data)


def other_spec(path):
    text = path.read_text()
    data = json.loads(text)
    data["spec"]["head"]["num_classes"] = 11
    data["labels"] = []
    data.pop("config_digest", None)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda copy: flip(copy / "model.safetensors"), "digest"),
        (lambda copy: other_spec(copy / "config.json"), "spec"),
        (lambda copy: (copy / "config.json").write_text("{"), "config.json"),
        (lambda copy: (copy / "model.safetensors").unlink(), "model.safetensors"),
        (lambda copy: (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:-100]), "model.safetensors"),
    ],
    ids=["flipped bit", "another spec", "broken config", "no weights", "truncated"],
)
def test_damage_is_reported_and_gives_exit_code_1(axialzoo, copy, monkeypatch, damage, message):
    monkeypatch.setattr(verify, "_run", lambda *_: pytest.fail("ran a framework on damaged weights"))
    damage(copy)
    said = axialzoo("verify", copy, "--json")
    assert said.code == 1 and said.json["ok"] is False
    (failed,) = [check for check in said.json["checks"] if not check["ok"]]
    assert message in failed["detail"]
    assert "NOT verified" in axialzoo("verify", copy).out


LOGITS = np.linspace(-2, 2, 10).reshape(1, 10)


@pytest.mark.parametrize(
    ("precision", "planted", "ok"),
    [
        ("float32", LOGITS + 1e-5, True),
        ("float32", LOGITS + 1e-4, False),
        ("float32", LOGITS[:, ::-1], False),
        ("float32", LOGITS * np.nan, False),
        ("float32", LOGITS[:, :9], False),
        ("float64", LOGITS * (1 + 1e-10), True),
        ("float64", LOGITS * (1 + 1e-8), False),
    ],
)
def test_a_difference_beyond_the_limit_is_caught(precision, planted, ok):
    (pair,) = verify.compare({"one": {f"{precision}:noise": LOGITS}, "other": {f"{precision}:noise": planted}})
    assert pair["ok"] is ok and pair["limit"] == verify.LIMITS[precision]
    json.dumps(pair, allow_nan=False)


def test_not_a_number_is_caught_on_either_side():
    bad = {"float32:noise": LOGITS * np.nan}
    (pair,) = verify.compare({"one": bad, "other": {"float32:noise": LOGITS}})
    assert pair["ok"] is False and pair["error"] is None


def test_three_runs_are_compared_pairwise():
    pairs = verify.compare({name: {"float32:noise": LOGITS} for name in "abc"})
    assert [pair["pair"] for pair in pairs] == [["a", "b"], ["a", "c"], ["b", "c"]]
