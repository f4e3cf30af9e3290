"""Keras gives the numbers of both codes of mask transformers on each back end: outputs, every stage and layer, losses, a step of training.

A process of each back end computes all of them once: tests/golden/masks_worker.py. Planted errors: test_torch_masks.py and
test_mask_losses.py, by the same comparisons.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.golden import masks
from tests.golden.masks import DECODERS, KEYS, SHARP, TRAINING, relative, stored
from tests.golden.test_mask_losses import compare, compare_overfull, compare_step
from tests.golden.test_torch_masks import TOLERANCE, compare_maps, five_stage_error

ROOT = Path(__file__).resolve().parents[2]
FULL = pytest.mark.full
BACKENDS = (pytest.param("tensorflow", marks=FULL), pytest.param("jax", marks=FULL), "torch")
every_backend = pytest.mark.parametrize("backend", BACKENDS)
every_backend_in_full = pytest.mark.parametrize("backend", [pytest.param(name, marks=FULL) for name in ("tensorflow", "jax", "torch")])


@cache
def computed(backend: str, folder: Path, *parts: str) -> dict[str, np.ndarray]:
    """Outputs of `masks_worker`."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "",
                   "XLA_FLAGS": "--xla_backend_optimization_level=0"}  # fmt: skip
    file = folder / f"{backend}_{'_'.join(parts)}.npz"
    command = [sys.executable, "-m", "tests.golden.masks_worker", str(file), *parts]
    run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    with np.load(file) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("masks")


def below(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}


@pytest.fixture
def ordinary(backend, folder) -> dict[str, np.ndarray]:
    return computed(backend, folder, "forwards", "losses")


@every_backend
@pytest.mark.parametrize(("file", "case"), masks.ALL_LOSSES)
def test_losses_and_gradients_are_theirs(file, case, ordinary):
    compare(file, case, below(ordinary, f"{case}/loss/"), below(ordinary, f"{case}/grad/"))


@every_backend
@pytest.mark.parametrize("case", masks.overfull_cases())
def test_losses_of_more_masks_than_slots_differ_from_theirs_by_the_masks_without_a_slot_alone(case, ordinary):
    compare_overfull(case, below(ordinary, f"{case}/loss/"))


@every_backend
@pytest.mark.parametrize("file", masks.CASES)
def test_outputs_are_theirs(file, ordinary):
    for name, key in masks.output_keys(file).items():
        assert relative(ordinary[f"{file}/{name}"], stored(file)[key]) <= TOLERANCE, name


@every_backend
def test_every_stage_and_layer_is_theirs_and_every_assignment(ordinary):
    file = "dl2_tiny_kmax_deeplab_65x97"
    actual = {key: array for key, array in below(ordinary, f"{file}/").items() if "/" in key}
    compared = {key: array for key, array in actual.items() if key in stored(file)}
    assert len(compared) >= 4 + 6 * 2
    assert max(relative(array, stored(file)[key]) for key, array in compared.items()) <= TOLERANCE
    for number in range(6):
        assignment = actual[f"kmeans/{number}/{KEYS['mask_logits']}"].argmax(-1)
        assert np.array_equal(assignment, stored(file)[f"kmeans/{number}/assignment"])


@every_backend_in_full
def test_logits_and_maps_of_confident_slots_are_theirs(backend, folder):
    actual = below(computed(backend, folder, "decoders"), f"{SHARP}/")
    compare_maps(actual["class_logits"], actual["mask_logits"])


@every_backend_in_full
@pytest.mark.parametrize(("case", "origin"), DECODERS)
def test_the_decoders_of_both_codes_are_theirs(case, origin, backend, folder):
    actual = below(computed(backend, folder, "decoders"), f"{case}/{origin}/")
    assert max(masks.decoder_errors(case, origin, actual).values()) <= TOLERANCE


@every_backend_in_full
def test_the_five_stages_of_their_pytorch_code_are_theirs(backend, folder):
    actual = computed(backend, folder, "decoders")
    assert five_stage_error([actual[f"five/{number}"] for number in range(5)]) <= TOLERANCE


@every_backend_in_full
@pytest.mark.parametrize("file", TRAINING)
def test_a_step_of_training_is_theirs(file, backend, folder):
    actual = below(computed(backend, folder, "training"), f"{file}/")
    norms = {name: float(np.linalg.norm(x)) for name, x in below(actual, "grad/").items()}
    compare_step(file, below(actual, "loss/"), norms)
