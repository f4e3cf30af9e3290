"""Examples of the README and of the documentation run, and their tables are the registry's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from axialzoo import list_models, model_info
from axialzoo.checkpoint import load_checkpoint
from axialzoo.cli.listing import as_markdown
from axialzoo.spec import KINDS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
MODELS = (ROOT / "docs" / "models" / "index.md").read_text()
PAGES = [page.read_text() for page in sorted((ROOT / "docs").rglob("*.md")) if page.name != "loops.md"]  # tests/data run that page
ELSEWHERE = "import onnxruntime"  # is run by tests/exports, where there is one
FENCED = re.compile(r"^( *)```python\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
BLOCKS = list(dict.fromkeys(textwrap.dedent(match[2]) for text in (README, *PAGES) for match in FENCED.finditer(text)))


def test_the_table_of_models_is_what_the_command_prints():
    table = as_markdown([model_info(name) for name in list_models()])
    assert f"\n\n{table}\n\n" in MODELS


def test_the_table_has_no_other_model():
    named = re.findall(r"^\| `([a-z0-9_]+)`", MODELS.partition("| model |")[2], re.MULTILINE)
    assert named == list_models()


def test_the_table_of_kinds_has_each_and_no_other():
    page = (ROOT / "docs" / "guide" / "attention.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", page.partition("The paper's Table 1")[0], re.MULTILINE)
    assert sorted(re.findall(r"`([a-z_]+)`", " ".join(rows[1:]))) == sorted(KINDS)


def test_a_number_that_is_wrong_in_the_table_is_caught():
    table = as_markdown([{**model_info(name), "parameters": 1} for name in list_models()])
    assert table not in MODELS


def ran(example: str, folder: Path, more: str = "") -> str:
    """Output of an example, run in its own folder."""
    (folder / "docs").symlink_to(ROOT / "docs")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", example + more]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("index", [index for index, block in enumerate(BLOCKS) if "accuracy" not in block and ELSEWHERE not in block])
def test_the_examples_run(index, tmp_path):
    printed = ran(BLOCKS[index], tmp_path)
    assert "# cat" not in BLOCKS[index] or printed.split()[-1] == "cat"


@pytest.mark.parametrize("framework", ["torch", pytest.param("keras", marks=pytest.mark.full)])
def test_fine_tuning_as_printed_learns(framework, tmp_path):
    (example,) = [block for block in BLOCKS if "accuracy" in block and f"axialzoo.{framework}" in block]
    printed = ran(example, tmp_path, "\nprint('accuracy:', float(accuracy))\n")
    assert float(printed.rpartition("accuracy:")[2]) > 0.9
    assert load_checkpoint(tmp_path / "runs" / "stripes").config.spec.num_classes == 2


def test_there_is_an_example_of_each_kind_for_each_framework():
    counts = {name: sum(f"from axialzoo.{name}" in block for block in BLOCKS) for name in ("torch", "keras")}
    assert counts["torch"] >= 3 and counts["keras"] >= 3 and sum("# cat" in block for block in BLOCKS) >= 2


def test_every_command_it_names_exists():
    from axialzoo.cli.app import app

    names = {command.name for command in app.registered_commands}
    named = set(re.findall(r"^    axialzoo ([a-z-]+) ", "\n".join((README, *PAGES)), re.MULTILINE))
    assert named and named <= names, f"unknown: {sorted(named - names)}"


def unknown_options(text: str) -> set[tuple[str, str]]:
    """Return the commands and options in the indented examples of a page that the command line does not have."""
    import typer

    from axialzoo.cli.app import app

    commands = typer.main.get_command(app).commands  # pyright: ignore[reportAttributeAccessIssue]
    known = {name: {option for parameter in command.params for option in parameter.opts} for name, command in commands.items()}
    examples = re.findall(r"^ {4,}(?:\S.* -m )?axialzoo ([a-z-]+)((?:.*\\\n)*.*)", text, re.MULTILINE)
    return {
        (name, option)
        for name, words in examples
        for option in re.findall(r"(?<![\w`'\"=-])--?[a-z][a-z-]*", re.sub(r" #.*", "", words))
        if option not in known.get(name, ())
    }


def test_every_option_it_names_exists():
    assert unknown_options("\n".join((README, *PAGES))) == set()


def test_an_option_that_does_not_exist_is_caught():
    assert unknown_options("    axialzoo train cifar10 --data FOLDER \\\n        --averaged 1  # --out\n") == {("train", "--averaged")}
