"""`axialzoo/torch` and `axialzoo/keras` can be read side by side: the same files, names and order."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "axialzoo"

# What one framework needs and the other has no use for; everything else has its counterpart.
KERAS_FILES = {
    "linear.py",  # a Dense that keeps float64, and draws that JAX need not compile
    "scope.py",  # dots in names
    "distribution.py",  # layouts on a mesh of devices; PyTorch takes a process a device
}
TORCH_FILES = {"folded.py", "sublayers.py"}  # the inference form is a model of its own; what a kernel may stand in for
TORCH_ONLY = {
    "attention.py": {"joined"},  # what was computed in parts, see at_once
    "backbone.py": {"ResidualStage", "check_image"},
    "blocks.py": {"max_pool"},
    "drop_path.py": {"Places", "draw_by_place", "kept"},  # what is dropped depends on the place in a batch that processes share
    "fused_layer.py": {"gram_moments"},  # on GPUs
    "losses/base.py": {"totals_of"},  # of processes: Keras computes on all devices as on one
    "neck.py": {"FusedStage"},
    "native.py": {"read_state", "to_array"},
    "projection.py": {"at_once", "norm_logits"},  # a CPU's cache; Keras's back ends fuse for themselves
    "norm.py": {
        "frozen_statistics",
        "apply_norm",
        "recomputed",
        *("set_sync_norms", "is_shared", "sum_over_processes", "moments_over_processes"),  # Keras computes on all devices as on one
    },
    "windows.py": {"mask"},
}
KERAS_ONLY = {
    "inference.py": {"fold"},  # in place, of a model that a runner has just made
    "backbone.py": {"residual_stage", "Activation", "Turned", "image_input", "to_format"},  # functional models: a stage is a function
    "blocks.py": {"mean", "MaxPool", "strided"},
    "fused_layer.py": {"head_fastest", "head_by_head"},
    "heads/classifier.py": {"GlobalAverage"},
    "heads/fcos.py": {"conv", "OneMap"},  # what PyTorch under Keras cannot differentiate
    "heads/pyramid.py": {"build_numbered"},  # numbers for names
    "losses/base.py": {"register_defaults", "defaults_of", "refuse_probabilities"},  # of compile()
    "losses/classification.py": {"classification_defaults"},
    "losses/segmentation.py": {"mean"},
    "model.py": {"laid_out"},
    "neck.py": {"fused_stage"},
    "native.py": {"suffix"},
    "norm.py": {"Layer", "Order", "fold_conv", "unbiased"},
    "preprocessing.py": {"is_tensorflow"},
    "weights.py": {"variables"},
    "windows.py": {"by_window", "by_window2d"},  # masks are added, not filled in
}
SAME = {"forward": "call"}


def files(framework: str) -> set[str]:
    return {file.relative_to(ROOT / framework).as_posix() for file in (ROOT / framework).rglob("*.py")}


def public(framework: str, file: str) -> dict[str, ast.AST]:
    tree = ast.parse((ROOT / framework / file).read_text())
    definitions = [node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_")]
    return {node.name: node for node in definitions}


def shared(framework: str, file: str) -> list[str]:
    only = (TORCH_ONLY if framework == "torch" else KERAS_ONLY).get(file, set())
    return [name for name in public(framework, file) if name not in only]


def methods(node: ast.AST) -> list[str]:
    assert isinstance(node, ast.ClassDef)
    return [SAME.get(child.name, child.name) for child in node.body if isinstance(child, ast.FunctionDef)]


BOTH = sorted(files("torch") & files("keras"))


def test_the_same_files():
    assert files("keras") - KERAS_FILES == files("torch") - TORCH_FILES


@pytest.mark.parametrize("file", BOTH)
def test_the_same_classes_and_functions_in_the_same_order(file):
    assert shared("torch", file) == shared("keras", file)


@pytest.mark.parametrize("file", BOTH)
def test_methods_that_both_have_come_in_the_same_order(file):
    ours, theirs = public("torch", file), public("keras", file)
    for name in ours.keys() & theirs.keys():
        if isinstance(ours[name], ast.ClassDef) and isinstance(theirs[name], ast.ClassDef):
            common = set(methods(ours[name])) & set(methods(theirs[name]))
            assert [m for m in methods(ours[name]) if m in common] == [m for m in methods(theirs[name]) if m in common], name


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_exceptions_are_all_in_use(framework):
    for file, names in (TORCH_ONLY if framework == "torch" else KERAS_ONLY).items():
        assert names <= set(public(framework, file)), file
        assert not names & set(public("keras" if framework == "torch" else "torch", file)), file
