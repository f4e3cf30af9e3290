"""timm's own tests of models, from a clone of its repository, on ours beside its ResNet: every case that this passes, ours pass too.

python tests/timm/run.py CLONE [MODEL ...], for example `python tests/timm/run.py ../pytorch-image-models axial_resnet26_s`
"""

from __future__ import annotations

import functools
import os
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.timm import torchvision_operators  # noqa: E402

PEER = "resnet18"
MODELS = ("axial_resnet26_s", "axial_resnet_cifar10", "stand_alone_resnet50", "axial_resnet50_gelu")


class Outcomes:
    """A plugin of pytest that keeps what became of each case: ``cases["test_model_forward"]["resnet18"]`` is ``"passed"``."""

    def __init__(self) -> None:
        self.cases: dict[str, dict[str, str]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        case, _, parameters = report.nodeid.rpartition("::")[2].partition("[")
        model = parameters.rstrip("]").partition("-")[2].partition(".")[0]  # without the tag of its weights
        if report.when == "call" or not report.passed:
            self.cases[case][model] = "failed" if "failed" in (report.outcome, self.cases[case].get(model)) else report.outcome

    def missing(self, models: Iterable[str]) -> list[str]:
        """Cases that the peer passes and one of `models` does not, in words."""
        return [
            f"{case}: {model} {actual.get(model, 'has no such case')}"
            for case, actual in sorted(self.cases.items())
            for model in models
            if actual.get(PEER) == "passed" != actual.get(model)
        ]

    def passed(self, model: str) -> int:
        return sum(case.get(model) == "passed" for case in self.cases.values())


def with_intermediates() -> None:
    """Cases of `forward_intermediates` are for modules that timm lists by name: ours is one more."""
    import timm

    listed = timm.list_models

    @functools.wraps(listed)
    def more(*arguments, module="", **options):
        return listed(*arguments, module=[*module, "timm"] if isinstance(module, list) else module, **options)

    timm.list_models = more


def run(clone: Path, models: Iterable[str]) -> int:
    """Runs the tests, says how many cases each model passes, and gives the process's exit status."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # cases that fetch timm's own weights fail at once; those ask nothing of ours
    torchvision_operators.declare()
    import axialzoo.timm  # noqa: F401

    with_intermediates()
    outcomes = Outcomes()
    options = ["-q", "--import-mode=importlib", "--rootdir", str(clone), "-p", "no:cacheprovider", "-p", "no:warnings"]
    chosen = f"({' or '.join(f'-{name}{end}' for name in (PEER, *models) for end in ('].'))})"
    pytest.main([str(clone / "tests" / "test_models.py"), "-k", chosen, *options], plugins=[outcomes])
    for name in (PEER, *models):
        print(f"{name}: {outcomes.passed(name)} cases passed")
    missing = outcomes.missing(models)
    print("\n".join(missing) or f"every case that {PEER} passes, the others pass")
    return 1 if missing or not outcomes.passed(PEER) else 0


if __name__ == "__main__":
    raise SystemExit(run(Path(sys.argv[1]), sys.argv[2:] or MODELS))
