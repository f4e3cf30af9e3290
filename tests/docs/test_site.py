"""Promises of the documentation: every public name is in the reference, links lead to files, tutorials are in the menu."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
PAGES = {str(page.relative_to(DOCS)): page.read_text() for page in sorted(DOCS.rglob("*.md"))}
TUTORIALS = {f"tutorials/{source.stem}.md": source.read_text() for source in sorted((DOCS / "tutorials").glob("*.py"))}
PACKAGES = {
    "axialzoo": "axialzoo", **{name: f"axialzoo.{name}" for name in (
        "torch", "keras", "spec", "checkpoint", "image", "data", "tasks", "runtime", "native", "train", "hub", "engine", "exports", "app",
    )}, "kernels": "axialzoo.ops.kernels",
}  # fmt: skip
LISTED = re.compile(r"^::: (\S+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def public(package: str) -> list[str]:
    """`__all__` of a package, read from its text, so that no framework is needed."""
    file = ROOT.joinpath(*package.split("."), "__init__.py")
    names: list[str] = []
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names += ast.literal_eval(node.value)
        elif isinstance(node, ast.AugAssign) and ast.unparse(node.target) == "__all__":
            zoo = ast.parse((file.parent / "zoo.py").read_text()).body
            (value,) = [item.value for item in zoo if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "__all__"]
            names += ast.literal_eval(value)
    return names


def documented(page: str, package: str) -> list[str]:
    """The names of a package that a reference page has: under a heading of their own, or in the list of named models."""
    headed = [name.removeprefix(f"{package}.") for name in LISTED.findall(page)]
    models = re.findall(r"`(\w+)`", page.partition("## Named models")[2].rpartition("\n\n")[2])
    return headed + models + re.findall(r"^`(__version__)`", page, re.MULTILINE)


@pytest.mark.parametrize("page", PACKAGES)
def test_every_public_name_is_documented_and_no_other(page):
    package = PACKAGES[page]
    assert sorted(documented(PAGES[f"reference/{page}.md"], package)) == sorted(public(package))


@pytest.mark.parametrize("page", ["torch", "spec"])
def test_a_name_that_is_missing_or_too_much_is_caught(page):
    package, text = PACKAGES[page], PAGES[f"reference/{page}.md"]
    first = LISTED.search(text)
    assert first is not None
    for planted in (text.replace(first[0], "", 1), text.replace(first[0], f"{first[0]}\n\n::: {package}.invented", 1)):
        assert sorted(documented(planted, package)) != sorted(public(package))


def test_every_public_package_has_a_page():
    packages = {file.parent.name for file in (ROOT / "axialzoo").glob("*/__init__.py")} - {"analysis", "cli"}
    assert packages == {package.split(".")[1] for package in PACKAGES.values() if "." in package}


def broken(pages: dict[str, str]) -> list[str]:
    """Links of pages to files that are not there."""
    actual = []
    for name, text in pages.items():
        for target in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
            place = (DOCS / name).parent / target
            known = place.exists() or str(place.resolve().relative_to(DOCS)) in TUTORIALS if "://" not in target else True
            actual += [] if known else [f"{name}: {target}"]
    return actual


def test_links_lead_to_files():
    assert broken(PAGES | TUTORIALS) == []


def test_a_link_that_leads_nowhere_is_caught():
    assert broken({"tasks/index.md": "[a](clasification.md) [b](../format.md)"}) == ["tasks/index.md: clasification.md"]


def test_links_of_the_readme_lead_to_files():
    text = (ROOT / "README.md").read_text()
    assert [target for target in LINK.findall(text) if "://" not in target and not (ROOT / target).exists()] == []


def test_every_page_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    named = set(re.findall(r"(\S+\.md)", menu))
    assert named == set(PAGES) | set(TUTORIALS)


def test_the_table_of_families_has_every_page_of_models():
    pages = {name.partition("/")[2] for name in PAGES if name.startswith("models/")} - {"index.md"}
    assert set(LINK.findall(PAGES["models/index.md"].partition("| model |")[0])) == pages


def listed(readme: Path) -> tuple[set[str], set[str]]:
    """Return the Python files that the table of a README names, and those of its folder."""
    table = "\n".join(re.findall(r"^\|.*", readme.read_text(), re.MULTILINE))
    files = {path.name for path in readme.parent.glob("*.py") if not path.stem.startswith("__")}
    return set(re.findall(r"`(\w+\.py)`", table)), files


@pytest.mark.parametrize(
    "folder", ["analysis", "checkpoint", "cli", "data", "engine", "hub", "keras", "runtime", "spec", "tasks", "torch", "train"]
)
def test_the_readme_of_a_package_names_its_files(folder):
    names, files = listed(ROOT / "axialzoo" / folder / "README.md")
    assert files - names == set() and {name for name in names if not (ROOT / "axialzoo" / folder / name).exists()} == set()


def test_a_file_that_a_readme_omits_is_caught(tmp_path):
    (tmp_path / "new.py").touch()
    (tmp_path / "README.md").write_text("| file | contents |\n|---|---|\n| `old.py` | before |\n")
    assert listed(tmp_path / "README.md") == ({"old.py"}, {"new.py"})


def test_the_map_of_the_rooms_is_that_of_the_imports():
    rooms = runpy.run_path(str(ROOT / "tools" / "rooms.py"))
    graph = rooms["edges"]()
    assert len(graph) > 20 and all(rooms["block"](rooms["draw"](graph)) in page.read_text() for page in rooms["PAGES"])
    changed = {**graph, "keras": graph["keras"] | {"torch"}}
    assert rooms["draw"](changed) != rooms["draw"](graph)
    with pytest.raises(ValueError, match=r"in a circle: .*spec"):
        rooms["draw"]({**graph, "spec": {"torch"}})


def test_the_table_of_speed_is_that_of_the_measured_files():
    assert f"\n{runpy.run_path(str(ROOT / 'benchmarks' / 'summary.py'))['table']()}\n" in PAGES["speed.md"]


def test_every_tutorial_checks_what_it_promises():
    assert len(TUTORIALS) >= 6
    assert [name for name, text in TUTORIALS.items() if not re.search(r"^assert ", text, re.MULTILINE)] == []


def unset(text: str) -> list[str]:
    """Commands that stand in a paragraph, where they ought to be set off as code."""
    return re.findall(r"^(?:axialzoo|pip|python|make) .*", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_set_off_as_code(page):
    assert unset(PAGES[page]) == []


def test_a_command_in_a_paragraph_is_caught():
    assert unset("In a clone:\n\npip install .\n    pip install '.[torch]'\n") == ["pip install ."]
