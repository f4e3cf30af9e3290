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
    *("fused_jax.py", "fused_tensorflow.py", "fused_torch.py"),  # each back end calls the kernel in its own way
}
TORCH_FILES = {"fused_gpu.py", "fused_core.py"}  # GPUs; and layers whose rows are computed again
TORCH_ONLY = {
    "attention.py": {"joined"},  # what was computed in parts, see at_once
    "backbone.py": {"ResidualStage", "check_image"},
    "blocks.py": {"max_pool"},
    "dynamic_window.py": {"is_known", "is_traced"},  # a length that is recorded; Keras's are whole numbers or tensors
    "drop_path.py": {"Places", "draw_by_place", "kept"},  # what is dropped depends on the place in a batch that processes share
    "inference.py": {"Folded", "tensors_of", "FoldedConv", "FoldedAxialAttention", "FoldedBlock"},  # on the kernel's operators
    "fused.py": {"rows_of_channels", "unpack", "axial_attention", "reaching", "channels_last"},  # the operator itself
    "fused_layer.py": {"gram_moments"},  # on GPUs
    "fused_moments.py": {"logit_sums", "add_gradients", "plain_sums"},  # steps of fused_core.py
    "fused_norm.py": {"moments_of", "applied", "gradients"},
    "fused_rows.py": {"gradients", "takes", "linear"},
    "fused_training.py": {"can_attend", "attend_backward", "plain_attend"},  # operators of their own
    "serving.py": {"serving_kernel", "served", "pointer", "recorded", "transformed", "differentiable"},
    "losses/base.py": {"totals_of"},  # of processes: Keras computes on all devices as on one
    "neck.py": {"FusedStage"},
    "transformer.py": {"transformers_of"},  # modules beside the blocks; Keras makes each as it runs
    "native.py": {"read_state", "to_array"},
    "projection.py": {"at_once"},  # a CPU's cache; Keras's back ends fuse for themselves
    "norm.py": {
        "frozen_statistics",
        "recomputed",
        *("set_sync_norms", "is_shared", "sum_over_processes", "moments_over_processes"),  # Keras computes on all devices as on one
    },
    "windows.py": {"mask"},
}
KERAS_ONLY = {
    "inference.py": {"fold"},  # in place, of a model that a runner has just made
    "backbone.py": {"residual_stage", "Activation", "Turned", "image_input", "to_format"},  # functional models: a stage is a function
    "blocks.py": {"mean", "MaxPool", "strided"},
    "dynamic_window.py": {"arange", "clip"},  # in numpy where all is known
    "fused.py": {  # variables keep Keras's layout
        *(
            "Form",
            "beyond_jit",
            "serving_kernel",
            "depthwise",
            "max_pool",
            "average_pool",
            "attend_folded",
            "arrays_of",
            "plain",
            "split_parts",
        ),
    },
    "fused_layer.py": {"head_fastest", "head_by_head"},
    "fused_moments.py": {"windowed"},
    "fused_norm.py": {"NormForm"},
    "serving.py": {"Operator", "backend", "sides_of", "numbered", "template", "leaves"},  # one operator for several back ends
    "heads/classifier.py": {"GlobalAverage"},
    "heads/fcos.py": {"conv", "OneMap"},  # what PyTorch under Keras cannot differentiate
    "heads/pyramid.py": {"build_numbered"},  # numbers for names
    "losses/base.py": {"register_defaults", "defaults_of", "refuse_probabilities"},  # of compile()
    "losses/classification.py": {"classification_defaults"},
    "losses/segmentation.py": {"mean"},
    "model.py": {"laid_out"},
    "neck.py": {"fused_stage"},
    "tokens.py": {"Configured"},  # configs of layers
    "heads/mask_transformer.py": {"Embedding", "Activated"},  # layers of functional models, activated by name
    "losses/mask_transformer.py": {"flat", "mean_of_counted", "on_host"},  # sizes that a graph does not know; host code on three back ends
    "native.py": {"suffix"},
    "norm.py": {"Layer", "Order", "fold_conv", "statistics_dtype", "unbiased"},
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
