"""The words of the code: docstrings say what a thing does, local names say what they hold, and old names do not come back."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("axialzoo", "converters", "benchmarks", "tools", "docs", "tests")
OPENING = re.compile(r"\s*(What|Whether|Of|How|The same|Where|Which|As)\b")
VAGUE = {"found", "one", "made", "wanted", "asked", "given", "kept", "told"}
OLD = {
    "_blamed", "_looked_up", "_over_processes", "_parted", "_twice", "agreements", "arrays_of", "Asked", "at_once", "axis_encoding",
    "Beside", "beyond_jit", "boxes_truth", "by_id", "case_input", "check_recorded", "Computes", "config_in", "convolved", "draw_by_place",
    "eight_bits", "fetch_beside", "folder_written_beside", "ForeignVersion", "frozen_statistics", "FusedStage", "hold_out", "inputs_of",
    "Kept", "last_words", "Levels", "look_at", "looked_at", "Looks", "looks_of", "made_input", "mean_colour", "metadata_of",
    "normalise_from_moments", "Official", "once_split", "OneMap", "OnHub", "place_of", "Predicted", "recomputed", "refuse_scheme",
    "Scored", "seen2d", "segments_truth", "Separable", "serving_kernel", "set_rate", "sides_of", "stretched", "TableSplit", "Timed",
    "to_build", "totals_of", "Turned", "understood", "untile", "unwindow", "view_of", "Watcher", "window_keys", "window_queries",
    "truth", "truths", "with_classes", "written_beside",
}  # fmt: skip
"""Identifiers that gave way to the field's own words."""
DOCSTRING, LOCAL, NAME, UNDOCUMENTED = "docstring", "local name", "old name", "undocumented"
Violation = tuple[str, str, int, str]  # kind, path, line, words
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
FIELDS: dict[type[ast.AST], tuple[str, ...]] = {  # of a node that hold an identifier
    ast.Name: ("id",), ast.Attribute: ("attr",), ast.arg: ("arg",), ast.keyword: ("arg",), ast.alias: ("name", "asname"),
    ast.FunctionDef: ("name",), ast.AsyncFunctionDef: ("name",), ast.ClassDef: ("name",), ast.ExceptHandler: ("name",),
    ast.MatchAs: ("name",), ast.MatchStar: ("name",),
}  # fmt: skip
BINDING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
LEAVES = (ast.expr_context, ast.operator, ast.cmpop, ast.unaryop, ast.boolop, ast.Constant)


def violations(path: str, text: str) -> Iterator[Violation]:
    """Yield every violation in a file."""
    tree = ast.parse(text)
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and is_undocumented(node):
            yield UNDOCUMENTED, path, node.lineno, node.name
    nodes: list[tuple[ast.AST, bool]] = [(tree, False)]  # with whether it is in a function
    while nodes:
        node, in_function = nodes.pop()
        in_function = isinstance(node, FUNCTIONS) or (in_function and not isinstance(node, ast.ClassDef))
        for child in ast.iter_child_nodes(node):
            if isinstance(child, LEAVES):
                continue
            nodes.append((child, in_function))
            if isinstance(child, ast.Expr):
                words = string(child)
                if OPENING.match(words):  # of a module, class or function, or the string under an attribute
                    yield DOCSTRING, path, child.lineno, words.strip().partition("\n")[0]
            for field in FIELDS.get(type(child), ()):
                for name in (getattr(child, field) or "").split("."):
                    if name in OLD:
                        yield NAME, path, getattr(child, "lineno", 0), name
                    if name in VAGUE and (is_parameter(child, path) or (in_function and binds(child))):
                        yield LOCAL, path, getattr(child, "lineno", 0), name


def string(node: ast.Expr) -> str:
    """Return the text of an expression that is nothing but a string, else ""."""
    return node.value.value if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else ""


def is_undocumented(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Tell whether a public function or class has no docstring; overloads need none."""
    overloads = any(isinstance(decorator, ast.Name) and decorator.id == "overload" for decorator in node.decorator_list)
    return not node.name.startswith("_") and not overloads and not (ast.get_docstring(node) or "").partition("\n")[0].strip()


def is_parameter(node: ast.AST, path: str) -> bool:
    """Tell whether a node is a parameter of a function; those of tests may be fixtures, which many files share."""
    return isinstance(node, ast.arg) and not path.startswith("tests/")


def binds(node: ast.AST) -> bool:
    """Tell whether a node binds its identifier as a local name."""
    return isinstance(node.ctx, ast.Store) if isinstance(node, ast.Name) else isinstance(node, BINDING)


@functools.cache
def all_violations() -> list[Violation]:
    """Return the violations of all files."""
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 700
    return [row for file in files for row in violations(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("kind", [DOCSTRING, LOCAL, NAME])
def test_the_words_are_plain(kind):
    assert [row for row in all_violations() if row[0] == kind] == []


def test_public_functions_and_classes_have_docstrings():
    assert [row for row in all_violations() if row[0] == UNDOCUMENTED and row[1].startswith("axialzoo/")] == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('"""What a model is."""', DOCSTRING),
        ('def f():\n    """Whether it is so."""', DOCSTRING),
        ('class A:\n    """\n    The same, twice.\n    """', DOCSTRING),
        ('class A:\n    """Documented."""\n\n    x = 1\n    """Of each model."""', DOCSTRING),
        ('class A:\n    """Documented."""\n\n    def f(self):\n        """As before."""', DOCSTRING),
        ("def _f():\n    found = 1", LOCAL),
        ("def _f(*, told=None): ...", LOCAL),
        ("def _f(*given, **kept): ...", LOCAL),
        ("async def _f():\n    async with x as made: ...", LOCAL),
        ("def _f(rows):\n    return [one.x for one in rows]", LOCAL),
        ("def _f(rows):\n    for i, (_, one) in enumerate(rows): ...", LOCAL),
        ("def _f():\n    if (wanted := 1): ...", LOCAL),
        ("def _f():\n    try: ...\n    except OSError as asked: ...", LOCAL),
        ("def _f():\n    def one(): ...", LOCAL),
        ("f = lambda one: one", LOCAL),
        ("from axialzoo.tasks import Looks", NAME),
        ("from axialzoo import tta as looks_of", NAME),
        ("x.look_at(1)", NAME),
        ("f(understood=1)", NAME),
        ("def by_id(): ...", NAME),
        ("class Official: ...", NAME),
        ("def f(x): ...", UNDOCUMENTED),
        ("class A:\n    x: int", UNDOCUMENTED),
        ('def f():\n    """   """', UNDOCUMENTED),
    ],
)
def test_a_planted_error_is_caught(text, kind):
    assert kind in {row[0] for row in violations("axialzoo/planted.py", text)}


@pytest.mark.parametrize(
    "text",
    [
        '"""Whatever a user has, as pictures."""',
        '"""Assigns labels."""',
        'class A:\n    """Settings."""\n\n    found: int = 0',  # a field, whose name may be a key of JSON
        'found = "of a module"',
        'def f(x):\n    """Return one of the rows that were found."""\n    return x.found, g(one=1), {"kept": 2}',
        "def _f(x): ...",
        "class _A: ...",
        "@overload\ndef f(x): ...",
    ],
)
def test_what_is_plain_is_not_refused(text):
    assert list(violations("axialzoo/planted.py", text)) == []
