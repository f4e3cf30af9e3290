"""A small checkpoint with random weights, and the command line run in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from axialzoo.checkpoint import Config, digest, save_checkpoint
from axialzoo.cli.app import app
from axialzoo.spec import Preprocessing, get_entry, parameters

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "docs" / "photos" / "chelsea.jpg"
LABELS = tuple(["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"])
SCALES = {"norm_scale": (1.0, 0.1), "norm_variance": (1.0, 0.1), "conv": (0.0, 0.1), "linear": (0.0, 0.1)}  # no class certain


def random_tensors(spec) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    tensors = {}
    for parameter in parameters(spec):
        mean, deviation = SCALES.get(parameter.role, (0.0, 0.1))
        tensors[parameter.name] = random.normal(mean, deviation, parameter.shape).astype(np.float32)
    return tensors


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A checkpoint folder, made without any framework."""
    path = tmp_path_factory.mktemp("checkpoint")
    spec = get_entry("axial_resnet_cifar10_xs").spec
    preprocessing = Preprocessing((32, 32), crop=1.0, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    tensors = random_tensors(spec)
    provenance = {"metrics": {"top1": 0.5, "digest": digest(tensors)}, "licence": "CC0 [test]"}
    save_checkpoint(path, Config("axial_resnet_cifar10_xs", spec, LABELS, preprocessing, provenance), tensors)
    return path


class Said:
    """Output of a command and its exit code."""

    def __init__(self, code: int, out: str, err: str):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> dict:
        """The one object on stdout; anything more does not parse."""
        return json.loads(self.out)


@pytest.fixture
def axialzoo():
    """Run a command in this process."""

    def run(*words) -> Said:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def axialzoo_process():
    """Run a command as its users do."""

    def run(*words, **settings) -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "axialzoo", *map(str, words)],
            capture_output=True, text=True, cwd=ROOT, env={**os.environ, **settings}, check=False,
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)

    return run
