"""Bindings of the kernel for JAX and TensorFlow: a small library for each, compiled against the framework's own headers.

A binding is found, compiled and cached as the kernel is, and calls the kernel. This module imports no framework; ``axialzoo/ops/jax`` and
``axialzoo/ops/tensorflow`` load the bindings and register their operators.
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
    """Headers and library of a framework that its custom operators need.

    Attributes:
        package: Name of the Python package.
        header: A header that must exist in the package's folder ``include``.
        linked: Glob pattern of the library to link; empty where operators link none.
    """

    package: str
    header: str
    linked: str = ""


BINDINGS = {
    "jax": Framework("jaxlib", "xla/ffi/api/ffi.h"),
    "tensorflow": Framework("tensorflow", "tensorflow/c/kernels.h", "libtensorflow_framework.*"),
}


def framework_op(framework: str) -> str | None:
    """Return the path of the binding for ``"jax"`` or ``"tensorflow"``, compiled at the first call; None where there is no kernel."""
    if kernel() is None:
        return None
    path = _find(framework)[0]
    return None if path is None else str(path)


def binding_status(framework: str) -> Status:
    """Report the kernel's path on a back end of Keras, and why. It holds in inference and in training, in float32.

    The torch back end calls PyTorch's operators, so its status is that of the kernel itself.

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
    """Return the index by which the bindings know a function of the kernel or of ``frameworks/call.h``."""
    return (*FUNCTIONS, "statistics_forward", "statistics_backward").index(function)


def bind(library: ctypes.CDLL) -> None:
    """Give a loaded binding the addresses of the kernel's functions."""
    fused_kernel = kernel()
    assert fused_kernel is not None  # there is no binding without a kernel
    for index, name in enumerate(FUNCTIONS):
        library.axial_bind(index, ctypes.c_void_p(fused_kernel.symbol_address(f"axial_{name}")))


@functools.cache
def _find(framework: str) -> tuple[Path | None, str]:
    try:
        build = _build_spec(framework)
        for folder, reason in (
            (SOURCES.parent, "compiled when the package was installed"),
            (cache_folder(), "compiled into the user's cache"),
        ):
            if (folder / build.name).exists():
                return folder / build.name, reason
        return build.compile(cache_folder()), "compiled into the user's cache"
    except BuildError as error:
        return None, f"its operator could not be compiled: {error}"


def compile_bindings(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Compile the bindings of the installed frameworks into `folder`, one after the other.

    Raises:
        BuildError: like :func:`axialzoo.ops.kernels.compile_library`.
    """
    installed = [name for name, framework in BINDINGS.items() if importlib.util.find_spec(framework.package) is not None]
    return (_build_spec(name).compile(folder) for name in installed)


@dataclass(frozen=True)
class _BuildSpec:
    """Name, source and dependencies of the binding for an installed framework."""

    name: str
    source: Path
    headers: Path
    linked: tuple[Path, ...]

    def compile(self, folder: str | os.PathLike[str]) -> Path:
        return compile_binding(Path(folder) / self.name, self.source, self.headers, self.linked)


def _build_spec(name: str) -> _BuildSpec:
    """Describe the build of a binding for the framework as it is installed here.

    Raises:
        BuildError: if the framework has no headers, or no library to link.
    """
    framework = BINDINGS[name]
    spec = importlib.util.find_spec(framework.package)
    if spec is None or not spec.submodule_search_locations:
        raise BuildError(f"{framework.package} is not installed")
    folder = Path(next(iter(spec.submodule_search_locations)))
    header = folder / "include" / framework.header
    linked = tuple(sorted(folder.glob(framework.linked))[:1]) if framework.linked else ()
    if not header.exists():
        raise BuildError(f"no headers: expected {header}, which {framework.package} from the package index brings")
    if framework.linked and not linked:
        raise BuildError(f"no library to link: expected {folder / framework.linked}")
    file_name = f"libaxial_{name}_{_fingerprint(header, *linked)}.so"
    return _BuildSpec(file_name, SOURCES / f"{name}.cpp", folder / "include", linked)


def _fingerprint(*files: Path) -> str:
    """Hash everything that goes into a binding: sources, flags, and the header and library of the framework."""
    digest = hashlib.sha256(repr(COMMON).encode())
    for path in (*sorted(SOURCES.iterdir()), SOURCE / "axial.h"):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for path in files:
        status = path.stat()
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
