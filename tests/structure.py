"""Imports between the files of the packages, for the tests of the structure."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def sources() -> dict[str, str]:
    """Dotted name of each module (a package's own is its ``__init__.py``) -> its text, over axialzoo and the converters."""
    actual = {}
    for folder in ("axialzoo", "converters"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            actual[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file.read_text()
    return actual


def imported(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import, in functions too, `if TYPE_CHECKING` left out."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        yield from imported(child)


def edges(name: str, text: str, known: Mapping[str, str]) -> set[str]:
    """The modules among `known` whose file `name` imports from; a package stands for its ``__init__.py``."""
    actual = set()
    package = any(other.startswith(f"{name}.") for other in known)
    for node in imported(ast.parse(text)):
        if isinstance(node, ast.Import):
            targets = [_nearest(alias.name, known) for alias in node.names]
        else:
            parts = name.split(".") if package else name.split(".")[:-1]
            start = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            targets = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else _nearest(base, known) for alias in node.names]
        actual |= {target for target in targets if target is not None and target != name}
    return actual


def _nearest(module: str, known: Mapping[str, str]) -> str | None:
    module = module.removeprefix("axialzoo.") if module.startswith("axialzoo.converters") else module
    return module if module in known else None


def circles(texts: Mapping[str, str]) -> list[list[str]]:
    """Every set of modules that import one another in a circle, by name."""
    graph = {name: edges(name, text, texts) for name, text in texts.items()}

    def reached(start: str) -> set[str]:
        seen, ahead = set(), [start]
        while ahead:
            for target in graph[ahead.pop()]:
                if target not in seen:
                    seen.add(target)
                    ahead.append(target)
        return seen

    reach = {name: reached(name) for name in graph}
    actual = {tuple(sorted(other for other in reach[name] if name in reach[other])) for name in graph if name in reach[name]}
    return [list(circle) for circle in sorted(actual)]
