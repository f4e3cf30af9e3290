"""The files of a release fit together: versions, workflows, the bill of materials, warnings of what will go."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import warnings
from pathlib import Path

import pytest
import yaml

from axialzoo.deprecation import AxialzooDeprecationWarning, deprecated

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(scope="module")
def release():
    spec = importlib.util.spec_from_file_location("release", ROOT / "tools" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def steps(path: Path) -> list[dict]:
    return [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]


def test_the_version_stands_in_three_files_and_comes_from_the_tag(release, tmp_path):
    assert len(set(release.versions().values())) == 1
    for name in release.PLACES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    release.write_version(release.version_of("v1.2.3rc1"), tmp_path)
    assert set(release.versions(tmp_path).values()) == {"1.2.3rc1"}
    for name in release.PLACES:
        assert (tmp_path / name).read_text().replace("1.2.3rc1", release.versions()[name], 1) == (ROOT / name).read_text()


@pytest.mark.parametrize("tag", ["1.2.3", "v1.2", "v1.2.3; rm -rf /", "v1.2.3\n", "main"])
def test_other_tags_are_refused(release, tag):
    with pytest.raises(ValueError, match=r"vMAJOR\.MINOR\.PATCH"):
        release.version_of(tag)


def test_the_bill_of_materials_has_every_pin_and_all_that_is_needed(release):
    materials = release.sbom()
    assert materials["metadata"]["component"]["version"] == release.versions()["pyproject.toml"]
    rows = {row["name"].lower().replace("_", "-"): row for row in materials["components"]}
    pins = re.findall(r"(?m)^([A-Za-z0-9._-]+)==", (ROOT / "constraints.txt").read_text())
    assert len(rows) == len(pins) > 100 and all(row["purl"].startswith("pkg:pypi/") for row in rows.values())
    assert {name for name, row in rows.items() if row["scope"] == "required"} >= {"numpy", "safetensors", "pillow", "scipy", "typer"}
    json.dumps(materials)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_what_there_is(path):
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    said = steps(path)
    assert said and all(("uses" in step) != ("run" in step) for step in said)
    for command in (step["run"] for step in said if "run" in step):
        for target in re.findall(r"\bmake ([a-z-]+)", command):
            assert target in targets, target
        for file in re.findall(r"\b((?:tools|docs|tests)/[\w./-]+)", command):
            assert (ROOT / file).exists(), file
    assert "secrets." not in path.read_text()  # trusted publishing needs none


def test_back_ends_are_tested_apart_and_wheels_built_for_two_machines():
    jobs = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())["jobs"]
    assert set(jobs["tests"]["strategy"]["matrix"]["part"]) == {"shared", "tensorflow", "jax", "torch"}
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    assert jobs["publish"]["permissions"]["id-token"] == "write" and jobs["publish"]["needs"] == "check"
    assert len(jobs["wheels"]["strategy"]["matrix"]["runner"]) == 2


def test_what_will_go_warns_at_the_line_that_uses_it_and_works():
    @deprecated("new()", removed_in="2.0")
    def old(x):
        return x + 1

    with pytest.warns(AxialzooDeprecationWarning, match=r"old\(\) will be removed in 2.0; use new\(\)") as caught:
        assert old(1) == 2
    assert caught[0].filename == __file__ and old.__name__ == "old"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AxialzooDeprecationWarning):
            old(1)
