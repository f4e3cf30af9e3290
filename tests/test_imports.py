"""Who may import whom, and that neither framework is needed for the other."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS = {"torch", "torchvision", "keras", "tensorflow", "jax", "tf_keras", "accelerate"}
SHARED = {"axialzoo.spec", "axialzoo.checkpoint", "axialzoo.image", "axialzoo.files", "axialzoo.hub", "axialzoo.matching"}
LIGHT = {"numpy", "safetensors", "huggingface_hub", "PIL"}

OPS = {"axialzoo.spec", "axialzoo.ops.attributes", "axialzoo.ops.folding", "axialzoo.ops.kernels", "numpy"}

# package -> what its modules may import beside the standard library and themselves
ALLOWED = {
    "axialzoo/spec": set(),
    "axialzoo/checkpoint": {"axialzoo.spec", "axialzoo.files", "numpy", "safetensors"},
    "axialzoo/hub": {"axialzoo.spec", "axialzoo.files", "axialzoo.checkpoint", "huggingface_hub", "numpy"},
    "axialzoo/image": {"axialzoo.spec", "axialzoo.files", "numpy", "PIL"},
    "axialzoo/tasks": {"axialzoo.spec", "axialzoo.image", "axialzoo.files", "axialzoo.ops.kernels", "numpy", "PIL"},
    "axialzoo/data": {"axialzoo.spec", "axialzoo.image", "axialzoo.tasks", "axialzoo.files", "numpy", "PIL", "yaml"},
    "axialzoo/ops": {"axialzoo.spec", "numpy", "triton"} | FRAMEWORKS,
    "axialzoo/ops/kernels": {"axialzoo.spec", "numpy", "triton"},
    "axialzoo/ops/torch": OPS | {"torch"},
    "axialzoo/ops/keras": OPS | {"keras", "numpy"},
    "axialzoo/ops/jax": OPS | {"jax", "keras", "axialzoo.ops.keras"},
    "axialzoo/ops/tensorflow": OPS | {"tensorflow", "axialzoo.ops.keras"},
    "axialzoo/torch": SHARED | LIGHT | OPS | {"torch", "axialzoo.ops.torch", "axialzoo.matching"},
    # the back ends, where Keras has no word for it
    "axialzoo/keras": SHARED | LIGHT | OPS | {"keras", "tensorflow", "jax", "h5py", "axialzoo.ops.keras", "axialzoo.matching"},
    "axialzoo/native": OPS,
    "axialzoo/runtime": SHARED | LIGHT | {"axialzoo.tasks", "axialzoo.ops.kernels", "axialzoo.native"},
    "axialzoo/exports": SHARED | LIGHT | {"axialzoo.runtime"},
    "axialzoo/engine": SHARED | {"axialzoo.data", "axialzoo.runtime", "axialzoo.tasks"},
    "axialzoo/analysis": SHARED | LIGHT | {"torch", "axialzoo.torch", "axialzoo.runtime", "axialzoo.ops.kernels"},
    "axialzoo/app": SHARED | {"numpy", "PIL", "gradio", "fastapi", "uvicorn", "axialzoo.errors", "axialzoo.runtime", "axialzoo.tasks"},
    "converters": {"axialzoo.spec", "axialzoo.checkpoint", "numpy"},
}
# and inside functions alone
# (the authors' files are PyTorch's, and one reader of those, which refuses pickles, is enough)
WITHIN_FUNCTIONS = {
    "axialzoo/ops/kernels": {"torch"},  # whether there is a GPU
    "axialzoo/ops/keras": {"torch", "axialzoo.ops.torch"},  # Keras's PyTorch back end
    "axialzoo/runtime": FRAMEWORKS | {"axialzoo.torch", "axialzoo.keras"},
    "axialzoo/exports": {"torch", "keras", "tensorflow", "onnxruntime"},
    "axialzoo/analysis": {"matplotlib"},
    "axialzoo/data": {"pyarrow"},
    "axialzoo/engine": {"ray", "torch"},
    "axialzoo/app": {"axialzoo.analysis"},  # which is in PyTorch
    "axialzoo/tasks": {"pycocotools"},
    "converters": FRAMEWORKS | {"axialzoo.torch.native"},
}
ANYTHING = {"axialzoo/cli", "axialzoo/train", "axialzoo/weights"}  # may import whatever there is
HERE = [folder for folder in ALLOWED if (ROOT / folder).is_dir()]


def imports(tree: ast.Module) -> Iterator[tuple[str, bool, int]]:
    """(module, whether inside a function, line) of every import, `if TYPE_CHECKING` left out."""

    def walk(node: ast.AST, inside: bool) -> Iterator[tuple[str, bool, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield alias.name, inside, child.lineno
            elif isinstance(child, ast.ImportFrom):
                yield "." * child.level + (child.module or ""), inside, child.lineno
            yield from walk(child, inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))

    yield from walk(tree, False)


def within(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def offences(folder: str, source: str) -> list[str]:
    own = {folder.replace("/", "."), "axialzoo.converters"} if folder == "converters" else {folder.replace("/", ".")}
    actual = []
    for module, inside, line in imports(ast.parse(source)):
        if module.partition(".")[0] in sys.stdlib_module_names or (folder == "converters" and module.startswith(".")):
            continue  # imports are absolute but for the converters', which are axialzoo.converters once installed
        allowed = own | ALLOWED[folder] | (WITHIN_FUNCTIONS.get(folder, set()) if inside else set())
        if not within(module, allowed):
            actual.append(f"line {line}: {module}")
    return actual


@pytest.mark.parametrize("folder", HERE)
def test_modules_import_what_their_package_may(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    actual = {str(file.relative_to(ROOT)): offences(folder, file.read_text()) for file in files}
    assert not {file: lines for file, lines in actual.items() if lines}


def test_every_package_has_its_line_in_the_table():
    there = {f"axialzoo/{path.name}" for path in (ROOT / "axialzoo").iterdir() if any(path.glob("*.py"))}
    assert there - ANYTHING <= set(ALLOWED)


@pytest.mark.parametrize("folder", ["axialzoo/cli", "axialzoo/train"])
def test_commands_and_training_import_frameworks_inside_functions_or_in_the_modules_of_one_framework(folder):
    for file in sorted((ROOT / folder).rglob("*.py")):
        if file.stem.startswith(("torch_", "keras_")) or file.stem == "optimizer":
            continue
        actual = [
            f"{file.name}:{line}"
            for module, inside, line in imports(ast.parse(file.read_text()))
            if not inside and within(module, FRAMEWORKS)
        ]
        assert not actual


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("axialzoo/spec", "import numpy"),
        ("axialzoo/spec", "def f():\n    from axialzoo.checkpoint import Config"),
        ("axialzoo/checkpoint", "import torch.nn"),
        ("axialzoo/torch", "def f():\n    import keras"),
        ("axialzoo/torch", "from axialzoo.keras import build"),
        ("axialzoo/keras", "import torch"),
        ("axialzoo/keras", "def f():\n    import axialzoo.torch.blocks"),
        ("axialzoo/keras", "def f():\n    import torch"),
        ("axialzoo/keras", "def f():\n    import axialzoo.ops.torch.rows"),
        ("axialzoo/ops", "from axialzoo.torch.norm import BatchNorm"),
        ("axialzoo/ops/torch", "import keras"),
        ("axialzoo/ops/torch", "def f():\n    from axialzoo.torch.projection import PositionAttention"),
        ("axialzoo/ops/jax", "import torch"),
        ("axialzoo/ops/kernels", "import keras"),
        ("converters", "import torch"),
        ("axialzoo/checkpoint", "def f():\n    from axialzoo.hub import resolve"),
        ("axialzoo/tasks", "import torch"),
        ("axialzoo/data", "from axialzoo.torch import build"),
        ("axialzoo/runtime", "import torch"),
        ("axialzoo/runtime", "def f():\n    from axialzoo.cli.shared import say"),
        ("axialzoo/hub", "def f():\n    import torch"),
        ("axialzoo/app", "from axialzoo.analysis.attention_probe import AttentionProbe"),
        ("axialzoo/app", "def f():\n    import torch"),
        ("axialzoo/torch", "from .blocks import ResidualBlock"),
        ("axialzoo/engine", "import ray"),
        ("axialzoo/data", "import pyarrow"),
    ],
)
def test_a_forbidden_import_is_caught(folder, source):
    assert offences(folder, source)


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ImportError(name + " is blocked here")
sys.meta_path.insert(0, Block())
"""


def test_importing_the_package_imports_no_framework_and_no_arrays():
    heavy = sorted(FRAMEWORKS | LIGHT)
    result = run(f"import sys, axialzoo; axialzoo.list_models(); print(sorted(set({heavy!r}) & set(sys.modules)))")
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def test_pytorch_models_need_neither_keras_nor_tensorflow_nor_jax():
    code = BLOCK.format(names=["keras", "tensorflow", "jax", "tf_keras"]) + (
        "import torch, axialzoo.torch as z\n"
        "model = z.create_model('axial_resnet_cifar10_xs').eval()\n"
        "print(tuple(model(torch.zeros(1, 3, 32, 32)).shape))"
    )
    result = run(code)
    assert result.stdout.strip() == "(1, 10)", result.stdout + result.stderr


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_keras_models_do_not_need_pytorch(backend):
    pytest.importorskip(backend)
    code = BLOCK.format(names=["torch"]) + (
        "import numpy, axialzoo.keras as z\n"
        "model = z.create_model('axial_resnet_cifar10_xs')\n"
        "print(tuple(model(numpy.zeros((1, 32, 32, 3), 'float32')).shape))"
    )
    result = run(code, KERAS_BACKEND=backend)
    assert result.stdout.strip().splitlines()[-1:] == ["(1, 10)"], result.stdout + result.stderr


def test_a_blocked_framework_would_be_seen():
    assert "torch is blocked here" in run(BLOCK.format(names=["torch"]) + "import axialzoo.torch").stderr
