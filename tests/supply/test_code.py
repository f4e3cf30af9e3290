"""No code of the package unpickles, evaluates, or parses foreign files by a parser that does more than parse."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("axialzoo", "converters", "benchmarks")  # tools run the tutorials, which are code
MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "xml.dom",
    "xml.sax",
    "telnetlib",
    "ftplib",
}
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {
    "os.system", "os.popen", "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "extractall",
    "ElementTree.parse", "ElementTree.fromstring", "ElementTree.XML", "etree.parse", "etree.fromstring", "shutil.unpack_archive",
    "tempfile.mktemp", "enable_unsafe_deserialization", "jit.load",
}  # fmt: skip
ARGUMENTS = {  # of a call: what has to be said, and what must not
    "torch.load": ("weights_only", True), "np.load": ("allow_pickle", False), "numpy.load": ("allow_pickle", False),
}  # fmt: skip
NEVER = {("allow_pickle", True), ("weights_only", False), ("safe_mode", False), ("shell", True), ("trust_remote_code", True)}


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` of a call's function."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}".lstrip(".")
    return node.id if isinstance(node, ast.Name) else ""


def is_named(name: str, words: set[str] | dict) -> str:
    """Return the word that a dotted name is or ends with, if any."""
    return next((word for word in words if name == word or name.endswith(f".{word}")), "")


def offences(text: str) -> Iterator[str]:
    """Yield line and name of everything that may run what a file says."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            yield from (f"{node.lineno}: import {name}" for name in names if name in MODULES)
        elif isinstance(node, ast.Call):
            name, said = dotted(node.func), {word.arg: getattr(word.value, "value", ...) for word in node.keywords}
            if name in BUILTINS and isinstance(node.func, ast.Name):  # not model.eval(), re.compile()
                yield f"{node.lineno}: {name}"
            if is_named(name, CALLS):
                yield f"{node.lineno}: {name}"
            if (call := is_named(name, ARGUMENTS)) and said.get(ARGUMENTS[call][0]) is not ARGUMENTS[call][1]:
                yield f"{node.lineno}: {name} without {ARGUMENTS[call][0]}={ARGUMENTS[call][1]}"
            yield from (f"{node.lineno}: {pair[0]}={pair[1]}" for pair in said.items() if pair in NEVER)


def test_no_code_runs_what_a_file_says():
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 400
    assert {file.relative_to(ROOT).as_posix(): rows for file in files if (rows := list(offences(file.read_text())))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from pickle import loads", "from cloudpickle import load", "torch.load(p)", "torch.load(p, weights_only=False)",
        "np.load(path)", "numpy.load(path, allow_pickle=True)", "yaml.load(text)", "yaml.load(text, Loader=yaml.SafeLoader)", "eval(text)",
        "archive.extractall(folder)", "ElementTree.parse(path)", "subprocess.run(text, shell=True)", "os.system(text)",
        "keras.saving.load_model(path, safe_mode=False)",
    ],
)  # fmt: skip
def test_planted_code_is_caught(text):
    assert list(offences(text))


@pytest.mark.parametrize("text", ["model.eval()", "f(x).eval()", "re.compile(x)", "yaml.safe_load(x)", "torch.load(x, weights_only=True)"])
def test_plain_code_is_not(text):
    assert list(offences(text)) == []


@pytest.mark.full
def test_nothing_needs_pickle_to_read_a_checkpoint_and_predict():
    """With an unpickler that refuses, weights of our own format load and predict; PyTorch's own loader is not called."""
    import subprocess

    program = (
        "import pickle, _pickle\n"
        "def refuse(*a, **k): raise AssertionError('unpickled')\n"
        "pickle.load = pickle.loads = _pickle.load = _pickle.loads = refuse\n"
        "import numpy as np, axialzoo\n"
        "runner = axialzoo.load_runner('axial_resnet_cifar10_xs')\n"
        "print(runner.outputs(np.zeros((1, 32, 32, 3), np.float32))['logits'].shape)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert ended.stdout.strip() == "(1, 10)", ended.stderr[-2000:]
