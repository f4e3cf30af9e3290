"""Compiles the kernel: one source, once for each instruction set, into one shared library.

    python -m axialzoo.ops.kernels [FOLDER]      into FOLDER, default the user's cache

Needs a C++17 compiler that knows GCC's vector extensions: g++ or clang++, the one that CXX names first.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "source"
NAME = "libaxial.so"
COMMON = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-Wall")
X86 = {  # instruction set -> lanes of a vector, flags
    "portable": (4, ()),
    "avx2": (8, ("-mavx2", "-mfma")),
    "avx512": (16, ("-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma", "-mprefer-vector-width=512")),
}
OTHERS = {"portable": (4, ())}
WHOLE = () if sys.platform == "darwin" else ("-Wl,--no-undefined",)  # what is missing is found when it is linked, not when it is loaded


class BuildError(Exception):
    """The kernel could not be compiled here; says why."""


def compiler() -> str | None:
    """The C++ compiler, or None."""
    names = (os.environ.get("CXX"), "g++", "clang++", "c++")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def fingerprint(extra: tuple[str, ...] = ()) -> str:
    """Of everything that the library is made of: source, flags, machine."""
    digest = hashlib.sha256(repr((COMMON, targets(), extra, platform.machine(), sys.platform)).encode())
    for path in sorted(SOURCE.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def targets() -> dict[str, tuple[int, tuple[str, ...]]]:
    """The instruction sets that are compiled on this kind of machine."""
    return X86 if platform.machine().lower() in ("x86_64", "amd64") else OTHERS


def cache_folder() -> Path:
    """Where the user's compiled kernels lie: a folder for each state of the source.

    Raises:
        BuildError: for a user who has neither a home folder nor XDG_CACHE_HOME.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        try:
            base = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
        except RuntimeError as error:
            raise BuildError("no home folder to keep it in: name one that can be written in XDG_CACHE_HOME") from error
    return Path(base) / "axialzoo" / "kernels" / fingerprint()


def compile_library(folder: str | os.PathLike, extra: tuple[str, ...] = ()) -> Path:
    """Compiles the kernel into `folder`; beside first, then renamed, so that nobody sees half of it.

    Args:
        folder: Made where it is not there.
        extra: Further flags, for instance ``("-fsanitize=address",)``.

    Returns:
        The library's path.

    Raises:
        BuildError: where there is no compiler, it refuses, or the folder cannot be written.
    """
    x86 = ("-DAXIAL_X86",) if targets() is X86 else ()
    with compiled_beside(Path(folder) / NAME) as (cxx, beside):
        jobs: list[tuple[str, Path, tuple[str, ...]]] = [
            (f"{beside}/{isa}.o", SOURCE / "axial.cpp", (f"-DAXIAL_ISA={isa}", f"-DAXIAL_LANES={lanes}", *flags))
            for isa, (lanes, flags) in targets().items()
        ]
        jobs.append((f"{beside}/dispatch.o", SOURCE / "dispatch.cpp", x86))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda job: _run([cxx, *COMMON, *extra, *job[2], "-c", str(job[1]), "-o", job[0]]), jobs))
        objects = [job[0] for job in jobs]
        _run([cxx, "-shared", "-pthread", *extra, *objects, "-o", f"{beside}/{NAME}"])
    return Path(folder) / NAME


def compile_binding(target: str | os.PathLike, source: Path, headers: Path, linked: Sequence[Path]) -> Path:
    """Compiles what makes the kernel an operator of a framework: see :mod:`axialzoo.ops.kernels.bindings`.

    Args:
        target: The library to write.
        source: A file of ``frameworks/``.
        headers: The framework's folder of headers.
        linked: Libraries of the framework that it calls.

    Raises:
        BuildError: as :func:`compile_library`.
    """
    target = Path(target)
    links = [word for library in linked for word in (str(library), f"-Wl,-rpath,{library.parent}")]
    with compiled_beside(target) as (cxx, beside):
        _run([cxx, *COMMON, "-isystem", str(headers), "-shared", "-pthread", str(source), *links, *WHOLE, "-o", f"{beside}/{target.name}"])
    return target


@contextmanager
def compiled_beside(target: Path) -> Iterator[tuple[str, str]]:
    """The compiler, and a folder beside `target` whose file of that name takes its place at the end.

    Raises:
        BuildError: where there is no compiler, or the folder cannot be written.
    """
    cxx = compiler()
    if cxx is None:
        raise BuildError("no C++ compiler: expected g++ or clang++ on the PATH, or its name in CXX")
    if os.name != "posix":
        raise BuildError(f"the kernel is compiled on Linux and macOS; found {os.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = tempfile.TemporaryDirectory(dir=target.parent)
    except OSError as error:
        raise BuildError(f"{target.parent} cannot be written ({error.strerror}): name a folder that can in XDG_CACHE_HOME") from error
    with work as beside:
        yield cxx, beside
        os.replace(f"{beside}/{target.name}", target)


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BuildError(f"{' '.join(command)}: {result.stderr.strip()[-2000:]}")
