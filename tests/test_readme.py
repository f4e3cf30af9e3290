"""What the README says runs, and its table is the registry's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from axialzoo import list_models, model_info
from axialzoo.cli.listing import as_markdown
from axialzoo.spec import KINDS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_table_of_models_is_what_the_command_prints():
    table = as_markdown([model_info(name) for name in list_models()])
    assert f"\n\n{table}\n\n" in README


def test_the_table_has_no_other_model():
    named = re.findall(r"^\| `([a-z0-9_]+)`", README.partition("## Models")[2], re.MULTILINE)
    assert named == list_models()


def test_the_table_of_kinds_has_each_and_no_other():
    rows = re.findall(
        r"^\| (`.*?) \|", README.partition("### Kinds of attention")[2].partition("What the paper's Table 1")[0], re.MULTILINE
    )
    assert sorted(re.findall(r"`([a-z_]+)`", " ".join(rows[1:]))) == sorted(KINDS)


def test_a_number_that_is_wrong_in_the_table_is_caught():
    table = as_markdown([{**model_info(name), "parameters": 1} for name in list_models()])
    assert table not in README


@pytest.mark.parametrize("index", range(len(BLOCKS)))
def test_the_examples_run(index):
    done = subprocess.run([sys.executable, "-c", BLOCKS[index]], cwd=ROOT, capture_output=True, text=True, timeout=600, env={**os.environ})
    assert done.returncode == 0, done.stderr[-3000:]


def test_there_is_an_example_for_each_framework():
    assert len(BLOCKS) == 3 and "axialzoo.torch" in BLOCKS[0] and "axialzoo.keras" in BLOCKS[1]


def test_every_command_it_names_exists():
    from axialzoo.cli.app import app

    names = {command.name for command in app.registered_commands}
    named = set(re.findall(r"^    axialzoo ([a-z]+) ", README, re.MULTILINE))
    assert named and named <= names, f"unknown: {sorted(named - names)}"
