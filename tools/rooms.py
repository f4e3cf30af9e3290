"""Map of the rooms in CONTRIBUTING.md and in the reference, drawn from the imports in the code.

    python tools/rooms.py            # prints the map
    python tools/rooms.py --write    # and puts it into both pages

A room is a package or a module directly in ``axialzoo``, or ``converters``. A room stands above all rooms that it imports.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "CONTRIBUTING.md", ROOT / "docs" / "reference" / "index.md")
START, END = "<!-- rooms: written by tools/rooms.py -->\n", "<!-- end of the rooms -->\n"


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that a file imports, inside functions too, but not for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "axialzoo")
        elif not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
            yield from imported(node)


def room_of(module: str, rooms: set[str]) -> str | None:
    """Return the room of a module, or None for other code."""
    first, _, rest = module.partition(".")
    name = first if first == "converters" else rest.partition(".")[0]
    return name if first in ("axialzoo", "converters") and name in rooms else None


def edges(root: Path = ROOT) -> dict[str, set[str]]:
    """Return the rooms that each room imports."""
    package = root / "axialzoo"
    files = {path.stem: [path] for path in package.glob("*.py") if not path.stem.startswith("__")}
    files |= {path.parent.name: sorted(path.parent.rglob("*.py")) for path in package.glob("*/__init__.py")}
    files["converters"] = sorted((root / "converters").rglob("*.py"))
    rooms, graph = set(files), {}
    for room, paths in files.items():
        modules = {module for path in paths for module in imported(ast.parse(path.read_text(encoding="utf-8")))}
        graph[room] = {name for module in modules if (name := room_of(module, rooms))} - {room}
    return graph


def levels(graph: dict[str, set[str]]) -> dict[str, int]:
    """Return the level of each room: 0 for those that import no other room, else one above the highest that it imports.

    Raises:
        ValueError: naming rooms that import one another in a circle.
    """
    heights: dict[str, int] = {}
    while len(heights) < len(graph):
        ready = [room for room in graph if room not in heights and graph[room] <= set(heights)]
        if not ready:
            raise ValueError(f"rooms import one another in a circle: {', '.join(sorted(set(graph) - set(heights)))}")
        heights |= {room: max((heights[name] + 1 for name in graph[room]), default=0) for room in ready}
    return heights


def draw(graph: dict[str, set[str]]) -> str:
    """Return the map as text: the highest rooms first, each with the rooms that it imports."""
    heights = levels(graph)
    width = max(map(len, graph))
    lines = []
    for level in sorted(set(heights.values()), reverse=True):
        for number, room in enumerate(sorted(name for name in graph if heights[name] == level)):
            below = " ".join(sorted(graph[room], key=lambda name: (-heights[name], name))) or "nothing"
            lines.append(f"{level if number == 0 else ' '} │ {room:{width}} ──> {below}")
        lines.append(f"──┼{'─' * (width + 6)}")
    return "\n".join(lines[:-1])


def block(drawn: str) -> str:
    """Return the part of a page that holds the map."""
    return f"{START}\n```text\n{drawn}\n```\n\n{END}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the map into the pages")
    drawn = draw(edges())
    print(drawn)
    if parser.parse_args().write:
        for page in PAGES:
            before, _, rest = page.read_text(encoding="utf-8").partition(START)
            page.write_text(f"{before}{block(drawn)}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
