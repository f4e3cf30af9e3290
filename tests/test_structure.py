"""No file imports itself by way of others, libraries know nothing of the command line, and files are short."""

from __future__ import annotations

import pytest

from tests.structure import ROOT, circles, edges, sources

LONGEST = 300  # lines
TO_SPLIT = {"converters.axial_deeplab"}  # names and layouts are still to move to a file beside it
TEXTS = sources()


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
    assert long == TO_SPLIT


def test_every_package_is_installed():
    import tomllib

    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = {name for name in TEXTS if any(other.startswith(f"{name}.") for other in TEXTS)}
    there |= {".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "axialzoo").rglob("__init__.py")}
    assert listed - {"axialzoo.converters"} == there - {"converters"}
