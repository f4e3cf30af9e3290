"""A wheel holds the kernel where there is a compiler, and works without one where there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernels.test_library import ROOT, needs_compiler

STATUS = "from axialzoo.ops.kernels import kernel_status; status = kernel_status(); print(status.path, '-', status.reason)"


def wheel(folder: Path, **environment: str) -> Path:
    """Made of a copy of what a wheel is made of, as building leaves folders beside the source."""
    source = folder / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("axialzoo", "converters", "docs/photos"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr[-3000:]
    (built,) = folder.glob("*.whl")
    return built


def status(made: Path, folder: Path) -> str:
    """Status of the kernel of an installed wheel, without a compiler and a cache."""
    shutil.unpack_archive(made, folder / "installed", "zip")
    environment = {**os.environ, "PYTHONPATH": str(folder / "installed"), "PATH": str(folder), "CXX": "", "XDG_CACHE_HOME": str(folder)}
    done = subprocess.run([sys.executable, "-c", STATUS], capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_compiler
@pytest.mark.full
def test_a_wheel_of_one_platform_holds_the_kernel_for_every_python(tmp_path):
    built = wheel(tmp_path)
    assert built.name.split("-")[2:4] == ["py3", "none"] and not built.name.endswith("any.whl")
    said = status(built, tmp_path)
    assert said.split()[0] in ("portable", "avx2", "avx512") and "compiled when the package was installed" in said


@pytest.mark.full
def test_without_a_compiler_the_wheel_is_pure_and_says_that_the_plain_path_is_in_use(tmp_path):
    built = wheel(tmp_path, PATH=str(tmp_path), CXX="")
    assert built.name.endswith("-py3-none-any.whl")
    said = status(built, tmp_path)
    assert said.startswith("plain") and "no C++ compiler" in said
