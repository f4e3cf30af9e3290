"""`axialzoo/torch` and `axialzoo/keras` can be read side by side: the same files, names and order."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "axialzoo"

# What one framework needs and the other has no use for; everything else has its counterpart.
KERAS_FILES = {
    "linear.py",  # layers of Keras that keep float64, and draws that JAX need not compile
    "scope.py",  # dots in names
    "distribution.py",  # layouts on a mesh of devices; PyTorch takes a process a device
    "functional.py",  # functional models: a stage is a function
    "layer.py",  # what is recomputed and frozen inside a layer; PyTorch's modules have it
    "pooling.py",  # layers for functions of PyTorch
    "losses/compile.py",  # what compile() takes
}
TORCH_FILES = {
    "folded.py",  # the inference form is a model of its own
    *("sample_placement.py", "processes.py"),  # batches that processes share; Keras computes on all devices as on one
}
TORCH_ONLY = {
    "attention.py": {
        "concat_chunks",  # what was computed in parts, see batch_chunk_size
        *("content_similarity", "query_similarity", "key_similarity"),  # of Keras in ops/keras/attention.py
    },
    "backbone.py": {"ResidualStage"},
    "blocks.py": {"max_pool"},
    "transformer.py": {"transformers_of"},  # Keras makes each beside its block
    "sublayers.py": {"graph_step", "leaf_of_graph"},  # recordings of torch.fx
    "fused_layer.py": {"gram_moments"},  # on GPUs
    "losses/loss_registry.py": {"normalizer_of"},  # of processes: Keras computes on all devices as on one
    "neck.py": {"FeatureFusionStage"},
    "native.py": {"read_state", "to_array"},
    "projection.py": {"batch_chunk_size"},  # a CPU's cache; Keras's back ends fuse for themselves
    "norm.py": {"freeze_running_stats", "checkpoint_block", "set_sync_norms"},  # Keras does so by itself
    "windows.py": {"apply_mask"},
}
KERAS_ONLY = {
    "heads/mask_transformer.py": {"Embedding", "Activated"},  # a functional model saves layers, not functions
    "inference.py": {"fold"},  # in place, of a model that a runner has just made
    "losses/classification.py": {"classification_defaults"},  # of compile()
    "losses/mask_transformer.py": {"flatten_targets", "mean_of_counted", "on_host"},  # maps are flattened by hand; a graph calls numpy
    "losses/segmentation.py": {"axis_mean"},  # PyTorch's mean keeps the type
    "norm.py": {"fold_conv"},
    "sublayers.py": {"kernel_computes"},  # Keras's layers have no hooks to ask for, but methods that may be replaced
    "tokens.py": {"Configured"},  # Keras saves layers by their arguments
    "weights.py": {"variables"},
}
SHARE = 0.8  # of public definitions in files of one name
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


def share_of_mirrored_definitions() -> float:
    """The share of public classes and functions, of those in files that both frameworks have, that both have by name."""
    pairs = [(set(public("torch", file)), set(public("keras", file))) for file in BOTH]
    return sum(len(ours & theirs) for ours, theirs in pairs) / sum(len(ours | theirs) for ours, theirs in pairs)


def test_most_definitions_are_in_both_frameworks():
    assert share_of_mirrored_definitions() >= SHARE


def test_a_definition_in_one_framework_lowers_the_share(monkeypatch):
    share, honest = share_of_mirrored_definitions(), public
    monkeypatch.setitem(
        globals(), "public", lambda framework, file: {**honest(framework, file), **({"new": None} if framework == "keras" else {})}
    )
    assert share_of_mirrored_definitions() < share


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_exceptions_are_all_in_use(framework):
    for file, names in (TORCH_ONLY if framework == "torch" else KERAS_ONLY).items():
        assert names <= set(public(framework, file)), file
        assert not names & set(public("keras" if framework == "torch" else "torch", file)), file


BINDINGS = ("ops/jax/__init__.py", "ops/tensorflow/__init__.py", "ops/keras/torch_backend.py")
OWN = {  # what PyTorch's operators do by themselves, and XLA in TensorFlow cannot
    "ops/jax/__init__.py": {"operate", "run"},
    "ops/tensorflow/__init__.py": {"operate", "run", "available"},
}


def operators(file: str) -> set[str]:
    """Functions of the binding of a back end, and names that it takes over."""
    names = set()
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names if alias.name.islower()}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names & OPERATORS | OWN.get(file, set()) & names


OPERATORS = {
    "kernel_arrays", "attend", "average_pool", "axial_attention", "can_train", "depthwise", "linear", "logit_moments", "max_pool",
    "normalised", "product", "subsample", "supports",
}  # fmt: skip


@pytest.mark.parametrize("file", BINDINGS)
def test_every_binding_has_the_same_operators(file):
    assert operators(file) == OPERATORS | OWN.get(file, set())
