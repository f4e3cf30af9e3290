"""The kernel as an operator of JAX and of TensorFlow: a small library for each, compiled against the framework's own headers.

It is found, compiled and kept as the kernel itself is, and calls that one. No framework is imported here; the modules that call an
operator (``axialzoo/keras/fused_*.py``) register it with theirs.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from axialzoo.ops.kernels.build import COMMON, SOURCE, BuildError, cache_folder, compile_binding
from axialzoo.ops.kernels.library import FUNCTIONS, Status, kernel, kernel_status

SOURCES = Path(__file__).resolve().parent / "frameworks"


@dataclass(frozen=True)
class Framework:
    """Where a framework keeps what its operators are compiled against.

    Attributes:
        package: The Python package.
        header: In its folder ``include``.
        linked: Pattern of its library that operators call; empty where they call none.
    """

    package: str
    header: str
    linked: str = ""


BINDINGS = {
    "jax": Framework("jaxlib", "xla/ffi/api/ffi.h"),
    "tensorflow": Framework("tensorflow", "tensorflow/c/kernels.h", "libtensorflow_framework.*"),
}


def framework_op(framework: str) -> str | None:
    """The path of the library for ``"jax"`` or ``"tensorflow"``, compiled at the first call; None where the plain form has to serve."""
    if kernel() is None:
        return None
    path = _find(framework)[0]
    return None if path is None else str(path)


def binding_status(framework: str) -> Status:
    """Which path is in use on that back end of Keras, and why, in training in float32 too; its torch back end calls PyTorch's operators.

    Example:
        >>> binding_status("jax").path in ("avx512", "avx2", "portable", "plain")
        True
    """
    status = kernel_status()
    if status.path == "plain" or framework not in BINDINGS:
        return status
    path, reason = _find(framework)
    return Status("plain", reason) if path is None else Status(status.path, reason, str(path))


def function_index(function: str) -> int:
    """Of a function of the kernel, or of the two in ``frameworks/call.h``, as an operator counts them."""
    return (*FUNCTIONS, "statistics_forward", "statistics_backward").index(function)


def bind(library: ctypes.CDLL) -> None:
    """Tells a loaded library where the kernel is."""
    found = kernel()
    assert found is not None  # else there would be no library
    for number, name in enumerate(FUNCTIONS):
        library.axial_bind(number, ctypes.c_void_p(found.symbol_address(f"axial_{name}")))


@functools.cache
def _find(framework: str) -> tuple[Path | None, str]:
    try:
        wanted = _wanted(framework)
        for folder, how in (
            (SOURCES.parent, "compiled when the package was installed"),
            (cache_folder(), "compiled into the user's cache"),
        ):
            if (folder / wanted.name).exists():
                return folder / wanted.name, how
        return wanted.compile(cache_folder()), "compiled into the user's cache"
    except BuildError as error:
        return None, f"its operator could not be compiled: {error}"


def compile_bindings(folder: str | os.PathLike) -> Iterator[Path]:
    """Compiles into `folder` the libraries for the frameworks that are installed, one after the other.

    Raises:
        BuildError: as :func:`axialzoo.ops.kernels.compile_library`.
    """
    there = [name for name, framework in BINDINGS.items() if importlib.util.find_spec(framework.package) is not None]
    return (_wanted(name).compile(folder) for name in there)


@dataclass(frozen=True)
class _BuildSpec:
    """The library for a framework as it is installed here: its name, and what it is compiled of."""

    name: str
    source: Path
    headers: Path
    linked: tuple[Path, ...]

    def compile(self, folder: str | os.PathLike) -> Path:
        return compile_binding(Path(folder) / self.name, self.source, self.headers, self.linked)


def _wanted(framework: str) -> _BuildSpec:
    """What has to be there.

    Raises:
        BuildError: where the framework has no headers, or no library to link.
    """
    of = BINDINGS[framework]
    spec = importlib.util.find_spec(of.package)
    if spec is None or not spec.submodule_search_locations:
        raise BuildError(f"{of.package} is not installed")
    folder = Path(next(iter(spec.submodule_search_locations)))
    header, linked = folder / "include" / of.header, tuple(sorted(folder.glob(of.linked))[:1]) if of.linked else ()
    if not header.exists():
        raise BuildError(f"no headers: expected {header}, which {of.package} from the package index brings")
    if of.linked and not linked:
        raise BuildError(f"no library to link: expected {folder / of.linked}")
    name = f"libaxial_{framework}_{_fingerprint(header, *linked)}.so"
    return _BuildSpec(name, SOURCES / f"{framework}.cpp", folder / "include", linked)


def _fingerprint(*files: Path) -> str:
    """Of everything that a library is made of: sources, flags, and which header and library of the framework."""
    digest = hashlib.sha256(repr(COMMON).encode())
    for path in (*sorted(SOURCES.iterdir()), SOURCE / "axial.h"):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for path in files:
        found = path.stat()
        digest.update(f"{path} {found.st_size} {found.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
