"""No file imports itself by way of others, libraries know nothing of the command line, and files are short."""

from __future__ import annotations

import ast
import re
import statistics

import pytest

from tests.structure import ROOT, circles, edges, sources

LONGEST = 300  # lines
MEDIAN = 110  # lines
TEXTS = sources()
PARAMETERS = 8  # of a function, beside self and cls
MANY_PARAMETERS = [  # functions that take more, each option a keyword
    "axialzoo.engine.run.predict_batch",
    "axialzoo.keras.heads.mask_predictor.__init__",
    "axialzoo.runtime.publishing.publish",
    "axialzoo.runtime.runner.__init__",
    "axialzoo.train.evaluation.evaluate",
    "axialzoo.train.run.run",
]
SUPPRESSIONS = 5
SUPPRESSION = re.compile(r"#\s*(?:type:\s*ignore|pyright:\s*(?:ignore|basic|strict|report\w+))(?:\[[^\]]*\])?(.*)$")
WORDS = re.compile(r"\b(classification|detection|segmentation|panoptic|fcos|unet|classifier)\b", re.IGNORECASE)
ROOM_NAMES = (
    "axialzoo.spec.heads", "axialzoo.torch.heads", "axialzoo.keras.heads", "axialzoo.native.heads", "axialzoo.torch.losses",
    "axialzoo.keras.losses", "axialzoo.tasks", "axialzoo.train.recipes",
    "axialzoo.spec.zoo", "axialzoo.torch.zoo", "axialzoo.keras.zoo",  # the models, each with its head
    r"axialzoo.image.draw_\w+",  # a file a kind of result, and what is drawn is told in the words of those who read it
    "axialzoo.data.readers",  # formats of files, in their authors' words
    "axialzoo.checkpoint.migrate",  # version 1 called things so
    "axialzoo.timm", "axialzoo.keras_hub",  # their keys and tasks
    "converters",  # other code bases' heads, by their names
)  # fmt: skip
RESULTS = ("Classification", "Segmentation", "segmentation")  # types of results and a field, as other libraries name them
ROOMS = re.compile(rf"({'|'.join(ROOM_NAMES)})(\.|$)")


def test_no_files_import_one_another_in_a_circle():
    assert circles(TEXTS) == []


@pytest.mark.parametrize(
    "texts",
    [
        {"a": "import b", "b": "import a"},
        {"a": "from b import f", "b": "def f():\n    import c", "c": "def g():\n    from a import h"},
        {"p": "from p.x import f", "p.x": "from p import g"},
        {"p": "from p.x import f", "p.x": "from . import g"},
        {"p": "", "p.x": "from p import y", "p.y": "from .x import f"},
        {"p": "", "p.x": "class A:\n    def f(self):\n        import p.y", "p.y": "from p.x import A"},
    ],
)
def test_a_circle_is_caught(texts):
    assert circles(texts)


@pytest.mark.parametrize(
    "texts",
    [
        {"a": "import b", "b": "import numpy"},
        {"a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import b", "b": "import a"},
        {"p": "from p.x import f", "p.x": "from p.y import g", "p.y": ""},
    ],
)
def test_what_is_no_circle_is_not_called_one(texts):
    assert circles(texts) == []


def test_a_circle_planted_in_the_package_is_caught():
    planted = {**TEXTS, "axialzoo.spec.registry": TEXTS["axialzoo.spec.registry"] + "\ndef f():\n    from axialzoo.hub import resolve\n"}
    assert ["axialzoo.spec.registry" in circle for circle in circles(planted)] == [True]


def command_line_users(texts: dict[str, str]) -> list[str]:
    library = {name: text for name, text in texts.items() if not name.startswith("axialzoo.cli") and name != "axialzoo.__main__"}
    return [name for name, text in library.items() if any(target.startswith("axialzoo.cli") for target in edges(name, text, texts))]


def test_library_code_never_imports_the_command_line():
    assert command_line_users(TEXTS) == []


def test_library_code_that_imports_the_command_line_is_caught():
    planted = {**TEXTS, "axialzoo.runtime.verify": "def f():\n    from axialzoo.cli.shared import say\n"}
    assert command_line_users(planted) == ["axialzoo.runtime.verify"]


def test_files_are_short():
    long = {name for name, text in TEXTS.items() if len(text.splitlines()) > LONGEST}
    assert long == set()


def test_most_files_are_read_at_one_sitting():
    lengths = [len(text.splitlines()) for name, text in TEXTS.items() if name.startswith("axialzoo.")]
    assert statistics.median(lengths) <= MEDIAN


def many_parameters(texts: dict[str, str]) -> list[str]:
    """``module.function`` of each function of more parameters than `PARAMETERS`, outside the command line and Triton."""
    counted = [(name, text) for name, text in texts.items() if not name.startswith(("axialzoo.cli", "axialzoo.ops.kernels.gpu"))]
    names = []
    for name, text in counted:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if len([argument for argument in arguments if argument.arg not in ("self", "cls")]) > PARAMETERS:
                    names.append(f"{name}.{node.name}")
    return sorted(names)


def test_functions_take_few_parameters():
    assert many_parameters(TEXTS) == sorted(MANY_PARAMETERS)


@pytest.mark.parametrize("names", ["a, b, c, d, e, f, g, h, i", "a, /, b, c, d, e, *, f, g, h, i", "self, a, b, c, d, e, f, g, h, i=0"])
def test_a_function_of_many_parameters_is_caught(names):
    assert many_parameters({"axialzoo.data.check": f"class A:\n    def many({names}): ...\n"}) == ["axialzoo.data.check.many"]
    few = names.replace(", i=0", "").replace(", i", "")
    assert many_parameters({"axialzoo.data.check": f"def few({few}): ...\n", "axialzoo.cli.run": f"def run({names}): ...\n"}) == []


def benchmarks() -> dict[str, str]:
    return {f"benchmarks.{file.stem}": file.read_text() for file in (ROOT / "benchmarks").glob("*.py")}


def shared(texts: dict[str, str]) -> dict[str, str]:
    """All but Keras, which declares few types."""
    return {name: text for name, text in texts.items() if not name.startswith(("axialzoo.keras", "axialzoo.train.keras"))}


def suppressions(texts: dict[str, str]) -> dict[str, str]:
    """Places that silence a type checker -> the reason next to them."""
    actual = {}
    for name, text in texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            if match := SUPPRESSION.search(line):
                actual[f"{name}:{number}"] = match[1].strip(" #()")
    return actual


def test_shared_and_pytorch_code_is_typed():
    actual = suppressions(shared(TEXTS | benchmarks()))
    assert len(actual) <= SUPPRESSIONS
    assert [where for where, reason in actual.items() if not reason] == []


def test_suppressions_are_seen():
    kinds = ("x = f()  # type: ignore", "x = f()  # pyright: ignore[reportReturnType]  # f has no types", "# pyright: basic", "x = f()")
    assert list(suppressions({"a": "\n".join(kinds)}).items()) == [("a:1", ""), ("a:2", "f has no types"), ("a:3", "")]


def words_of(tree: ast.AST) -> list[tuple[int, str]]:
    """Return line and text of each identifier and each string literal; docstrings are none."""
    scopes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, scopes)]
    prose = {id(node.value) for body in bodies for node in body if isinstance(node, ast.Expr)}  # docstrings, of attributes too
    words = []
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            words.append((line, node.value))
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            words += [(line, name) for name in names if name not in RESULTS]
        else:
            names = [getattr(node, field, None) for field in ("id", "attr", "arg", "name")]
            words += [(line, name) for name in names if isinstance(name, str) and name not in RESULTS]
    return words


def outside_rooms(texts: dict[str, str]) -> list[str]:
    """Return ``module:line: text`` of each identifier and string literal that names a task or a head outside its rooms."""
    named = []
    for name, text in texts.items():
        if not ROOMS.match(name):
            lines = sorted({line for line, word in words_of(ast.parse(text)) if WORDS.search(word)})
            named += [f"{name}:{line}: {text.splitlines()[line - 1].strip()}" for line in lines]
    return named


def test_tasks_and_heads_are_named_in_their_rooms_alone():
    assert outside_rooms(TEXTS) == []


@pytest.mark.parametrize("line", ["x = {'kind': 'FCOS'}", "import axialzoo.tasks.segmentation", "Panoptic()", "f(unet=1)"])
def test_a_task_named_outside_its_rooms_is_caught(line):
    name = "axialzoo.train.run"
    text = TEXTS[name] + line
    assert outside_rooms({**TEXTS, name: text}) == [f"{name}:{len(text.splitlines())}: {line}"]


@pytest.mark.parametrize(
    "line", ["model.get_classifier()", "model.reset_classifier(3)", "AxialClassifier = AxialModel", "# a classifier", '"""Segmentation."""']
)
def test_what_is_no_name_of_a_task_is_not_called_one(line):
    assert outside_rooms({"axialzoo.train.run": line}) == []


def naming(term: str, texts: dict[str, str]) -> list[str]:
    """Return the modules that name a term of the logits: not the kernels, models as data, other code's names, recognition quality."""
    elsewhere = re.compile(r"axialzoo\.(ops\.kernels|spec\.(kinds|zoo)|tasks)\b|converters\b")
    word = re.compile(rf"\b\w*{term}_(position|table|scale|similarity)|[\"']{term}[\"']|\br{term[0]}\b")
    return [name for name, text in texts.items() if not elsewhere.match(name) and word.search(text)]


@pytest.mark.parametrize("term", ["query", "key"])
def test_a_term_of_the_logits_is_named_in_few_files(term):
    """The others take it from the table of terms in ``axialzoo.spec.attention``."""
    assert 4 <= len(naming(term, TEXTS)) <= 12, naming(term, TEXTS)
    planted = {"axialzoo.torch.fused_layer": f"x = layer.{term}_table", "axialzoo.files": f"x = ['{term}']"}
    assert set(naming(term, TEXTS | planted)) == {*naming(term, TEXTS), *planted}


def test_every_room_is_there():
    assert [name for name in ROOM_NAMES if not any(re.match(rf"{name}(\.|$)", module) for module in TEXTS)] == []


def test_every_package_is_installed():
    import tomllib

    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = {name for name in TEXTS if any(other.startswith(f"{name}.") for other in TEXTS)}
    there |= {".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "axialzoo").rglob("__init__.py")}
    elsewhere = {"axialzoo.converters", "axialzoo.app.samples"}  # converters/ and docs/photos, by other names once installed
    assert elsewhere <= listed and listed - elsewhere == there - {"converters"}
