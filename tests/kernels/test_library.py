"""The library is compiled, loaded, chosen and named as the package says; and it steps nowhere it may not."""

from __future__ import annotations

import ctypes
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from axialzoo.ops.kernels import BuildError, build, compile_library, kernel, kernel_status, library, use_kernel
from axialzoo.ops.kernels.structures import (
    AxialAttention2D,
    AxialAxis,
    AxialBackward,
    AxialForward,
    AxialLinear,
    AxialMap,
    AxialMoments,
    AxialNorm,
    AxialProgram,
    AxialSlots,
    AxialStep,
    AxialStrips,
    AxialWeightGradient,
)

ROOT = Path(__file__).resolve().parents[2]
EXERCISE = ROOT / "tests" / "kernels" / "exercise.py"
needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C++ compiler here")


def exercise(path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(EXERCISE), str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", **environment})


def fields_of(header: str, name: str) -> list[tuple[str, type]]:
    """Names of a structure's fields in the header, and whether each is a pointer."""
    body = re.search(r"typedef struct (?:\w+ )?\{([^}]*)\} " + name, re.sub(r"//.*", "", header))
    assert body is not None
    actual = []
    for declaration in body[1].split(";"):
        words = re.sub(r"^\s*(const )?(struct )?(float|double|void|int64_t|int32_t|Axial\w+)", "", declaration)
        types = {"AxialForward": AxialForward, "AxialAxis": AxialAxis, "AxialMap": AxialMap, "double": ctypes.c_double}
        kind = ctypes.c_void_p if "*" in declaration else types.get((declaration.split() or [""])[0], ctypes.c_int64)
        actual += [(field.strip(" *\n"), kind) for field in words.split(",")]
    return [field for field in actual if field[0]]


@pytest.mark.parametrize(
    "structure",
    [
        AxialForward, AxialBackward, AxialLinear, AxialWeightGradient, AxialNorm, AxialMoments, AxialMap, AxialStep, AxialStrips,
        AxialProgram, AxialSlots, AxialAxis, AxialAttention2D,
    ],
)  # fmt: skip
def test_structures_have_the_header_s_fields_in_its_order(structure):
    header = (build.SOURCE / "axial.h").read_text()
    assert fields_of(header, structure.__name__) == structure._fields_


def test_status_names_a_path_and_a_reason():
    status = kernel_status()
    assert status.reason
    assert (status.path == "plain") == (kernel() is None) == (status.library is None)


@needs_compiler
def test_each_path_can_be_asked_for_and_is_then_named():
    actual = kernel()
    assert actual is not None
    for path in actual.isas:
        with use_kernel(path):
            assert kernel_status().path == path and "asked for" in kernel_status().reason
            assert kernel() is actual and actual.isa == path
    with use_kernel("plain"):
        assert kernel() is None and kernel_status().path == "plain"
    assert kernel_status().path == actual.isas[-1]


def test_nothing_is_compiled_where_the_plain_path_is_asked_for(monkeypatch, not_loaded):
    monkeypatch.setattr(library, "compile_library", lambda folder: pytest.fail("compiled"))
    monkeypatch.setattr(library, "search_paths", lambda: [])
    with use_kernel("plain"):
        assert kernel() is None and not library.needs_compiling() and kernel_status().path == "plain"


def test_a_path_that_is_not_here_is_refused():
    with pytest.raises(ValueError, match=r"expected one of .*found 'avx1024'"), use_kernel("avx1024"):
        pass


@needs_compiler
def test_an_instruction_set_that_is_not_here_is_refused_by_the_library():
    actual = kernel()
    assert actual is not None
    assert actual._library.axial_forward(ctypes.addressof(AxialForward()), 17, 1, None) == 2
    assert actual._library.axial_linear(ctypes.addressof(AxialLinear()), -1, 1, None) == 2


def test_without_a_compiler_the_plain_form_serves_and_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr(build, "compiler", lambda: None)
    monkeypatch.setattr(library, "cache_folder", lambda: tmp_path / "none")
    library._load.cache_clear()
    try:
        assert kernel() is None
        status = kernel_status()
        assert status.path == "plain" and "no C++ compiler" in status.reason
    finally:
        library._load.cache_clear()


@pytest.fixture
def not_loaded():
    """The kernel as before its first use, and afterwards again."""
    library._load.cache_clear()
    yield
    library._load.cache_clear()


def home_that_cannot_be_written(monkeypatch, tmp_path) -> str:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # no folder can be made in a file, whoever the user is
    return "cannot be written .*: name a folder that can in XDG_CACHE_HOME"


def no_home(monkeypatch, tmp_path) -> str:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(build.Path, "home", home)
    return "no home folder to keep it in: name one that can be written in XDG_CACHE_HOME"


@needs_compiler
@pytest.mark.parametrize("planted", [home_that_cannot_be_written, no_home])
def test_where_nothing_can_be_kept_the_plain_form_serves_and_says_what_to_do(monkeypatch, tmp_path, not_loaded, planted):
    reason = planted(monkeypatch, tmp_path)
    assert library.needs_compiling()
    assert kernel() is None and kernel_status().path == "plain"
    assert re.search(reason, kernel_status().reason), kernel_status().reason


@needs_compiler
def test_it_is_said_whether_the_first_use_compiles(monkeypatch, tmp_path, not_loaded):
    assert kernel() is not None and not library.needs_compiling()
    library._load.cache_clear()
    assert not library.needs_compiling()  # it lies in the cache
    monkeypatch.setattr(library, "cache_folder", lambda: tmp_path)
    assert library.needs_compiling()
    monkeypatch.setattr(library, "compiler", lambda: None)
    assert not library.needs_compiling()


@needs_compiler
def test_two_that_compile_at_once_are_not_in_each_other_s_way(monkeypatch, tmp_path):
    """Each writes half of its library, waits for the other, and writes the rest: what has the library's name is whole all the while."""
    whole, both, seen = b"0123456789" * 1000, threading.Barrier(2, timeout=60), []
    target = tmp_path / "folder" / build.NAME

    def slowly(command):
        path = Path(command[command.index("-o") + 1])
        if path.name != build.NAME:
            return
        with path.open("wb") as file:
            file.write(whole[:5000])
            file.flush()
            both.wait()
            seen.append(target.read_bytes() if target.exists() else whole)
            file.write(whole[5000:])

    monkeypatch.setattr(build, "_run", slowly)
    with ThreadPoolExecutor(2) as pool:
        built = list(pool.map(compile_library, [target.parent] * 2))
    assert built == [target] * 2 and seen == [whole] * 2 and target.read_bytes() == whole
    assert list(target.parent.iterdir()) == [target]  # nothing is left beside it


@needs_compiler
def test_a_damaged_library_is_compiled_again_or_said_to_be_damaged(monkeypatch, tmp_path):
    (tmp_path / build.NAME).write_bytes(b"not a library")
    monkeypatch.setattr(library, "cache_folder", lambda: tmp_path)
    library._load.cache_clear()
    try:
        assert kernel() is not None
    finally:
        library._load.cache_clear()


@needs_compiler
def test_a_compiler_that_refuses_is_named_with_its_words(tmp_path):
    with pytest.raises(BuildError, match="no-such-flag"):
        compile_library(tmp_path, ("-fno-such-flag",))


@pytest.mark.full
@needs_compiler
def test_every_path_computes_the_equation(tmp_path):
    result = exercise(compile_library(tmp_path), "60")
    assert result.stdout.startswith("same portable"), result.stdout + result.stderr


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory):
    """The library under address and undefined-behaviour sanitizers, and the environment that it needs."""
    try:
        path = compile_library(
            tmp_path_factory.mktemp("sanitized"), ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
        )
    except BuildError as error:
        pytest.skip(f"no compiler with sanitizers: {error}")
    names = [subprocess.run([build.compiler() or "", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
             for name in ("libasan.so", "libubsan.so")]  # fmt: skip
    if not all(Path(name).is_absolute() for name in names):
        pytest.skip(f"no compiler with sanitizers' shared libraries, found {names}")
    return path, {"LD_PRELOAD": ":".join(names), "ASAN_OPTIONS": "detect_leaks=0"}


@pytest.mark.full
def test_sanitizers_find_nothing(sanitized):
    path, environment = sanitized
    result = exercise(path, "60", **environment)
    assert result.returncode == 0 and result.stdout.startswith("same"), result.stdout + result.stderr[-2000:]


@pytest.mark.full
def test_sanitizers_would_find_a_step_beyond(sanitized):
    path, environment = sanitized
    result = exercise(path, "1", "short", **environment)
    assert result.returncode != 0 and "AddressSanitizer" in result.stderr
