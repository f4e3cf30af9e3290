"""timm's own tests of models, from a clone of its repository, on ours beside its ResNet.

python tests/timm/run.py CLONE [MODEL ...], for example `python tests/timm/run.py ../pytorch-image-models axial_resnet26_s`
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.timm import torchvision_operators  # noqa: E402

torchvision_operators.declare()

import axialzoo.timm  # noqa: E402, F401

MODELS = ("axial_resnet26_s", "axial_resnet_cifar10", "stand_alone_resnet50", "axial_resnet50_gelu", "resnet18")

if __name__ == "__main__":
    clone, models = Path(sys.argv[1]), sys.argv[2:] or MODELS
    chosen = f"({' or '.join(f'-{name}]' for name in models)})"
    raise SystemExit(
        pytest.main(
            [
                str(clone / "tests" / "test_models.py"),
                "-k",
                chosen,
                "-q",
                "--import-mode=importlib",
                "--rootdir",
                str(clone),
                "-p",
                "no:cacheprovider",
            ]
        )
    )
