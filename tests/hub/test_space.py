"""The page as a Space: what goes there is whole, and the package in it is this one."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib

import pytest
import yaml

from axialzoo.checkpoint import CheckpointError
from axialzoo.hub.space import GRADIO, REQUIREMENTS, space_files
from tests.cli.conftest import ROOT, folder  # noqa: F401 (a fixture)


def test_the_requirements_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    known = {*project["dependencies"], *extras["torch"], *extras["keras-tensorflow"]}
    assert set(REQUIREMENTS) <= known and f"gradio=={GRADIO}" in (ROOT / "constraints.txt").read_text().splitlines()


def test_a_dry_run_is_whole_and_its_package_runs(axialzoo, folder, tmp_path):  # noqa: F811
    out = tmp_path / "space"
    said = axialzoo("publish-space", "axial/demo", "--dry-run", "--out", out, "--model", folder, "--model", "axial_resnet_cifar10")
    assert said.code == 0 and "nothing was sent" in said.err and "app.py" in said.out
    front = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    assert front["sdk"] == "gradio" and front["sdk_version"] == GRADIO and front["app_file"] == "app.py" and front["title"] == "demo"
    assert len(front["short_description"]) <= 60
    (call,) = [node for node in ast.walk(ast.parse((out / "app.py").read_text())) if isinstance(node, ast.Call)]
    models = ast.literal_eval(call.args[0])
    assert models == [f"models/{folder.name}", "axial_resnet_cifar10"]
    code = (
        f"from axialzoo.app.models import offered; from axialzoo.app.samples import samples; import axialzoo; "
        f"print(axialzoo.__file__, offered({models!r}), len(samples()))"
    )
    environment = {**os.environ, "PYTHONPATH": str(out)}
    done = subprocess.run([sys.executable, "-c", code], cwd=out, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith(str(out)) and done.stdout.strip().endswith("5"), done.stderr
    again = axialzoo("publish-space", "axial/demo", "--dry-run", "--out", out)
    assert again.code == 1 and "exists already" in again.err


def test_a_name_that_is_no_spaces_is_refused():
    with pytest.raises(CheckpointError, match="expected the name of a Space"):
        space_files("demo")


def test_it_goes_to_the_hub_in_one_commit(hub, tmp_path):
    code = (
        "import json\nfrom axialzoo.hub.space import push_space, space_files\n"
        "files = space_files('axial/demo', ['axial_resnet_cifar10'])\n"
        "push_space(files, 'axial/demo')\nprint(json.dumps(sorted(files)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_test", "HF_HOME": str(tmp_path)}
    environment["HF_HUB_DISABLE_XET"] = "1"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    entry = hub.repos["axial/demo"]
    there = entry["commits"][entry["refs"]["main"]]
    assert set(json.loads(done.stdout.splitlines()[-1])) <= set(there) and len(entry["commits"]) == 2
    private = "from axialzoo.hub.space import push_space\npush_space({'app.py': b''}, 'axial/demo', private=True)"
    refused = subprocess.run([sys.executable, "-c", private], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert refused.returncode and "axial/demo: exists already and is public" in refused.stderr
    assert len(hub.repos["axial/demo"]["commits"]) == 2
    assert there["axialzoo/files.py"] == (ROOT / "axialzoo" / "files.py").read_bytes()
