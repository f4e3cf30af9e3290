"""`axialzoo info --system` says what this machine computes with, and why; `axialzoo benchmark` how fast."""

from __future__ import annotations

import pytest

from axialzoo.analysis import speed
from axialzoo.hub import fetch_checkpoint
from axialzoo.ops.kernels import binding_status, bindings, gpu_status, kernel, kernel_status, use_kernel
from axialzoo.runtime import verify
from axialzoo.runtime.frameworks import BACKENDS, installed
from axialzoo.runtime.verify import Target


def test_the_path_in_use_and_its_reason_are_told(axialzoo):
    said = axialzoo("info", "--system", "--json")
    status = kernel_status()
    assert said.code == 0 and said.json["kernel"]["path"] == status.path and said.json["kernel"]["reason"] == status.reason
    assert said.json["gpu_kernel"] == {"path": gpu_status().path, "reason": gpu_status().reason}
    assert said.json["axialzoo"] and said.json["packages"]["torch"] and said.json["cores"] >= 1
    assert set(said.json["keras"]) == {name for name in BACKENDS if installed(name)}
    assert said.json["keras"]["jax"] == {"path": binding_status("jax").path, "reason": binding_status("jax").reason}
    text = axialzoo("info", "--system").out
    assert status.path in text and status.reason in text and "GPU kernel" in text and gpu_status().reason in text
    assert all(f"Keras ({name})" in text and serves["reason"] in text for name, serves in said.json["keras"].items())


def test_what_the_operators_of_the_back_ends_miss_is_told(axialzoo, monkeypatch):
    monkeypatch.setitem(bindings.BINDINGS, "jax", bindings.Framework("numpy", "nowhere.h"))
    bindings._find.cache_clear()
    try:
        messages = axialzoo("info", "--system", "--json").json["keras"]
    finally:
        bindings._find.cache_clear()
    assert messages["torch"]["path"] == kernel_status().path and messages["jax"]["path"] == "plain"
    assert kernel() is None or "its operator could not be compiled: no headers: expected" in messages["jax"]["reason"]


def test_the_plain_path_is_told_where_it_is_in_use(axialzoo):
    with use_kernel("plain"):
        said = axialzoo("info", "--system")
        assert "plain: the frameworks' own operations" in said.out and "asked for by use_kernel" in said.out
        assert axialzoo("info", "--system", "--json").json["kernel"]["instruction_sets"] == []


@pytest.mark.parametrize("words", [(), ("axial_resnet26_s", "--system")])
def test_a_model_or_the_system_is_asked_for(axialzoo, words):
    said = axialzoo("info", *words)
    assert said.code == 2 and "expected the name of a model, or --system without one" in said.err


def test_the_forms_of_a_model_are_measured_in_turn_and_compared(axialzoo):
    said = axialzoo("benchmark", "axial_resnet_cifar10_xs", "--framework", "torch", "--repeats", 2, "--batch-size", 2, "--json").json
    assert said["weights"] == fetch_checkpoint("axial_resnet_cifar10_xs").config.digest and said["batch"] == 2
    plain, form = said["runs"]
    assert plain["ok"] and plain["speedup"] == 1 and plain["calls"] >= 2 and plain["difference"] == 0
    low, high = plain["quartiles"]
    assert 0 < low <= plain["seconds"] <= high and plain["images_per_second"] == pytest.approx(2 / plain["seconds"])
    if kernel() is None:
        assert form["ok"] is None and "no CPU kernel" in form["detail"]
    else:
        assert form["ok"] and 0 < form["difference"] < 1e-3 and form["cpu_seconds"] > 0


def test_the_speed_of_a_wrong_result_is_not_told(monkeypatch):
    class Planted(speed.Runner):
        def outputs(self, x):
            return {name: value + self.optimized for name, value in super().outputs(x).items()}

    if kernel() is None:
        pytest.skip("no kernel: there is no compiler here")
    monkeypatch.setattr(speed, "Runner", Planted)
    with pytest.raises(RuntimeError, match="its outputs differ from those of PyTorch by"):
        speed.benchmark("axial_resnet_cifar10_xs", rounds=1, run_targets=[Target("torch"), Target("torch", optimize=True)])


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(verify.frameworks, "installed", lambda package: False)
    said = speed.benchmark("axial_resnet26_s", size=32, rounds=1, run_targets=[Target("keras", "jax")])
    (run,) = said["runs"]
    assert said["weights"] == "random" and said["size"] == [32, 32]  # it has no weights
    assert run["ok"] is None and run["detail"] == "not installed (keras, jax)"
