"""Build of the kernel: one source, compiled once for each instruction set, into one shared library.

    python -m axialzoo.ops.kernels [FOLDER]      builds into FOLDER, by default the user's cache

It needs a C++17 compiler that knows GCC's vector extensions: the one that CXX names, else g++ or clang++.
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
WHOLE = () if sys.platform == "darwin" else ("-Wl,--no-undefined",)  # a missing symbol fails the link, not the load


class BuildError(Exception):
    """Error for a kernel that cannot be compiled here; the message says why."""


def compiler() -> str | None:
    """Return the path of the C++ compiler, or None."""
    names = (os.environ.get("CXX"), "g++", "clang++", "c++")
    return next((path for name in names if name and (path := shutil.which(name))), None)


def fingerprint(extra: tuple[str, ...] = ()) -> str:
    """Hash everything that goes into the library: source, flags, machine."""
    digest = hashlib.sha256(repr((COMMON, targets(), extra, platform.machine(), sys.platform)).encode())
    for path in sorted(SOURCE.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def targets() -> dict[str, tuple[int, tuple[str, ...]]]:
    """Return the instruction sets to compile on this kind of machine, with lanes and flags."""
    return X86 if platform.machine().lower() in ("x86_64", "amd64") else OTHERS


def cache_folder() -> Path:
    """Return the folder of the user's compiled kernels; each state of the source has its own.

    Raises:
        BuildError: if the user has neither a home folder nor XDG_CACHE_HOME.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        try:
            base = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
        except RuntimeError as error:
            raise BuildError("no home folder to keep it in: name one that can be written in XDG_CACHE_HOME") from error
    return Path(base) / "axialzoo" / "kernels" / fingerprint()


def compile_library(folder: str | os.PathLike[str], extra: tuple[str, ...] = ()) -> Path:
    """Compile the kernel into `folder`. The library is built in a temporary folder and renamed, so nobody sees half of it.

    Args:
        folder: Created if it does not exist.
        extra: Further compiler flags, for instance ``("-fsanitize=address",)``.

    Returns:
        The library's path.

    Raises:
        BuildError: if there is no compiler, compiling fails, or the folder cannot be written.
    """
    x86 = ("-DAXIAL_X86",) if targets() is X86 else ()
    with atomic_build(Path(folder) / NAME) as (cxx, build_folder):
        jobs: list[tuple[str, Path, tuple[str, ...]]] = [
            (f"{build_folder}/{isa}.o", SOURCE / "axial.cpp", (f"-DAXIAL_ISA={isa}", f"-DAXIAL_LANES={lanes}", *flags))
            for isa, (lanes, flags) in targets().items()
        ]
        jobs.append((f"{build_folder}/dispatch.o", SOURCE / "dispatch.cpp", x86))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda job: _run([cxx, *COMMON, *extra, *job[2], "-c", str(job[1]), "-o", job[0]]), jobs))
        objects = [job[0] for job in jobs]
        _run([cxx, "-shared", "-pthread", *extra, *objects, "-o", f"{build_folder}/{NAME}"])
    return Path(folder) / NAME


def compile_binding(target: str | os.PathLike[str], source: Path, headers: Path, linked: Sequence[Path]) -> Path:
    """Compile the binding of the kernel for a framework: see :mod:`axialzoo.ops.kernels.bindings`.

    Args:
        target: The library to write.
        source: A file of ``frameworks/``.
        headers: The framework's folder of headers.
        linked: Libraries of the framework to link.

    Raises:
        BuildError: like :func:`compile_library`.
    """
    target = Path(target)
    links = [word for library in linked for word in (str(library), f"-Wl,-rpath,{library.parent}")]
    with atomic_build(target) as (cxx, build_folder):
        output = f"{build_folder}/{target.name}"
        _run([cxx, *COMMON, "-isystem", str(headers), "-shared", "-pthread", str(source), *links, *WHOLE, "-o", output])
    return target


@contextmanager
def atomic_build(target: Path) -> Iterator[tuple[str, str]]:
    """Yield the compiler and a temporary folder; at the end, rename the file called ``target.name`` there to `target`.

    Raises:
        BuildError: if there is no compiler, or the folder cannot be written.
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
    with work as build_folder:
        yield cxx, build_folder
        os.replace(f"{build_folder}/{target.name}", target)


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BuildError(f"{' '.join(command)}: {result.stderr.strip()[-2000:]}")
