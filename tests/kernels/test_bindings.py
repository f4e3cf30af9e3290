"""The libraries that make the kernel an operator of other frameworks: compiled, found and named like the kernel; no framework here."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace

import pytest

from axialzoo.ops.kernels import bindings, build, kernel, kernel_status, use_kernel
from axialzoo.ops.kernels.build import SOURCE
from axialzoo.ops.kernels.structures import AxialStatistics
from axialzoo.runtime.frameworks import installed

FRAMEWORKS = [
    pytest.param(name, marks=pytest.mark.skipif(not installed(framework.package), reason=f"{name} is not installed"))
    for name, framework in bindings.BINDINGS.items()
]
pytestmark = pytest.mark.skipif(kernel() is None, reason="no kernel: there is no compiler here")


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
    """A cache of its own, nothing found yet."""
    monkeypatch.setattr(bindings, "cache_folder", lambda: tmp_path)
    bindings._find.cache_clear()
    yield
    bindings._find.cache_clear()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_it_is_compiled_once_and_named_with_its_path(framework, tmp_path, monkeypatch):
    status = bindings.binding_status(framework)
    assert status.path == kernel_status().path and status.reason == "compiled into the user's cache"
    assert [str(path) for path in tmp_path.iterdir()] == [status.library] == [bindings.framework_op(framework)]
    bindings._find.cache_clear()
    monkeypatch.setattr(bindings, "compile_binding", lambda *_: pytest.fail("compiled again"))
    assert bindings.binding_status(framework) == status


def test_the_plain_path_is_obeyed():
    with use_kernel("plain"):
        assert bindings.framework_op("jax") is None and bindings.binding_status("jax") == kernel_status()


@pytest.mark.skipif(not installed("jaxlib"), reason="jax is not installed")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"header": "nowhere.h"}, "no headers: expected .*nowhere.h, which jaxlib from the package index brings"),
        ({"linked": "libnowhere.*"}, "no library to link: expected .*libnowhere"),
        ({"package": "nowhere"}, "nowhere is not installed"),
    ],
)
def test_what_is_missing_is_named(changes, reason, monkeypatch):
    monkeypatch.setitem(bindings.BINDINGS, "jax", replace(bindings.BINDINGS["jax"], **changes))
    assert bindings.framework_op("jax") is None
    status = bindings.binding_status("jax")
    assert status.path == "plain" and status.library is None
    assert re.search(reason, status.reason), status.reason


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_without_a_compiler_the_plain_form_serves(framework, monkeypatch):
    monkeypatch.setattr(build, "compiler", lambda: None)
    assert bindings.framework_op(framework) is None
    assert "its operator could not be compiled: no C++ compiler" in bindings.binding_status(framework).reason


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_source_that_does_not_compile_is_named_with_the_compiler_s_words(framework, monkeypatch, tmp_path):
    shutil.copytree(build.SOURCE, tmp_path / "source")
    shutil.copytree(bindings.SOURCES, tmp_path / "frameworks")
    with (tmp_path / "frameworks" / f"{framework}.cpp").open("a") as file:
        file.write("planted")
    monkeypatch.setattr(bindings, "SOURCES", tmp_path / "frameworks")
    assert "planted" in bindings.binding_status(framework).reason


def test_another_version_of_the_headers_has_a_library_of_its_own(monkeypatch, tmp_path):
    header = tmp_path / "ffi.h"
    header.write_text("")
    before = bindings._fingerprint(header)
    os.utime(header, (0, 0))
    assert bindings._fingerprint(header) != before


def test_python_and_the_header_count_functions_alike_and_lay_out_one_structure():
    text = re.sub(r"//.*", "", (bindings.SOURCES / "call.h").read_text())
    more, body = (
        re.search(pattern, text) for pattern in (r"AXIAL_FUNCTIONS\(NUMBER\)([^}]*), FUNCTIONS \}", r"struct AxialStatistics \{([^}]*)\}")
    )
    assert more is not None and body is not None
    functions = re.findall(r"ENTRY\((\w+), Axial", (SOURCE / "axial.h").read_text())
    for number, name in enumerate([*functions, *more[1].lower().replace(",", " ").split()]):
        assert bindings.function_index(name) == number
    assert len(functions) == len(bindings.FUNCTIONS) and len(more[1].split()) == 2
    assert re.findall(r"(\w+)[,;]", body[1]) == [name for name, _ in AxialStatistics._fields_]
