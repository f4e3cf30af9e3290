"""What the README says runs, and its table is the registry's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from axialzoo.spec import aliases, cost, entry, list_models

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def row(name: str) -> str:
    found = entry(name)
    also = "".join(f" (`{alias}`)" for alias in aliases(name))
    spent = cost(found.spec)
    height, width = found.spec.input_size
    return f"| `{name}`{also} | {spent.parameters:,} | {spent.multiply_adds / 1e9:.3f} B | {height} x {width} |"


@pytest.mark.parametrize("name", list_models())
def test_the_table_of_models_is_the_registry(name):
    assert row(name) in README


def test_the_table_has_no_other_model():
    named = re.findall(r"^\| `([a-z0-9_]+)`", README, re.MULTILINE)
    assert named == list_models()


@pytest.mark.parametrize("index", range(len(BLOCKS)))
def test_the_examples_run(index):
    done = subprocess.run([sys.executable, "-c", BLOCKS[index]], cwd=ROOT, capture_output=True, text=True, timeout=600, env={**os.environ})
    assert done.returncode == 0, done.stderr[-3000:]


def test_there_is_an_example_for_each_framework():
    assert len(BLOCKS) == 2 and "axialzoo.torch" in BLOCKS[0] and "axialzoo.keras" in BLOCKS[1]


def test_every_command_it_names_exists():
    from axialzoo.cli.app import app

    names = {command.name for command in app.registered_commands}
    named = set(re.findall(r"^    axialzoo ([a-z]+) ", README, re.MULTILINE))
    assert named and named <= names, f"unknown: {sorted(named - names)}"
