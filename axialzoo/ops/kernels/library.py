"""Finds, loads and calls the compiled kernel, and says which path is in use and why. Knows no framework.

Where the library comes from: the package's own folder (compiled when it was installed), else the user's cache, else it
is compiled there at the first use, where there is a compiler. Without it nothing breaks: callers ask :func:`kernel`.
"""

from __future__ import annotations

import ctypes
import functools
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from axialzoo.ops.kernels.build import NAME, BuildError, cache_folder, compile_library, compiler

ISAS = ("portable", "avx2", "avx512")  # bit i of what axial_supported() says
FUNCTIONS = (
    "forward", "backward", "linear", "weight_gradient", "norm_moments", "norm_forward", "norm_backward", "moments_forward",
    "moments_backward",
)  # fmt: skip
PARALLEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)


@dataclass(frozen=True)
class Status:
    """Which kernel serves.

    Attributes:
        path: ``"avx512"``, ``"avx2"``, ``"portable"``, or ``"plain"``: none, the framework's own operations.
        reason: Why that one, in a sentence.
        library: The shared library's path; None where there is none.
    """

    path: str
    reason: str
    library: str | None = None


class Kernel:
    """The loaded library.

    Args:
        path: Of the shared library.

    Attributes:
        isas: The instruction sets that can be used on this processor, slowest first.
        isa: The one in use.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = str(path)
        self._library = ctypes.CDLL(self.path)
        for name in FUNCTIONS:
            getattr(self._library, f"axial_{name}").argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
        bits = self._library.axial_compiled() & self._library.axial_supported()
        self.isas = tuple(isa for index, isa in enumerate(ISAS) if bits >> index & 1)
        self.isa = self.isas[-1]
        self.parallel: ctypes.c_void_p | None = None

    @property
    def isa_index(self) -> int:
        return ISAS.index(self.isa)

    def symbol_address(self, name: str) -> int:
        """Where a function of ``source/axial.h`` lies, for who calls it from another library."""
        address = ctypes.cast(getattr(self._library, name), ctypes.c_void_p).value
        assert address is not None
        return address

    def use_threads_of(self, libraries: list[str]) -> None:
        """Takes the OpenMP threads of the first of these libraries (paths) that has GNU's; else threads are started for each call.

        A framework hands over its own, so that there is one team of threads and not two that wait for one another.
        """
        for path in libraries:
            try:
                self.parallel = ctypes.cast(ctypes.CDLL(path).GOMP_parallel, ctypes.c_void_p)
                return
            except (OSError, AttributeError):  # no such library, or another OpenMP: the next
                continue

    def run(self, name: str, arguments: ctypes.Structure, threads: int = 1) -> None:
        """Calls a function of ``source/axial.h``: ``"forward"`` for ``axial_forward``, and so on.

        Raises:
            MemoryError: where it has no memory for its buffers.
        """
        code = getattr(self._library, f"axial_{name}")(ctypes.addressof(arguments), self.isa_index, threads, self.parallel)
        if code == 1:
            raise MemoryError(f"axial_{name}: no memory for its buffers")
        if code:
            raise RuntimeError(f"axial_{name}: expected one of {list(self.isas)}, found {self.isa!r}")


class _Override:
    disabled = False
    forced: str | None = None


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def needs_compiling() -> bool:
    """Whether the first use of the kernel will compile it, which takes a quarter of a minute: for who wants to say so before."""
    if _Override.disabled or _load.cache_info().currsize or compiler() is None:
        return False
    return not any(path.exists() for path, _ in search_paths())


def search_paths() -> list[tuple[Path, str]]:
    """Where the library is looked for, in this order, and how it came there."""
    here = Path(__file__).resolve().parent / NAME
    found = [(here, "compiled when the package was installed")]
    try:
        return [*found, (cache_folder() / NAME, "compiled into the user's cache")]
    except BuildError:  # no home
        return found


@functools.cache
def _load() -> tuple[Kernel | None, str]:
    reasons = []
    for path, name in search_paths():
        if path.exists():
            try:
                return Kernel(path), name
            except (OSError, AttributeError) as error:
                reasons.append(f"{path} does not load ({error})")
    try:
        return Kernel(compile_library(cache_folder())), "compiled into the user's cache"
    except (BuildError, OSError, AttributeError) as error:
        return None, "; ".join([*reasons, f"the kernel could not be compiled: {error}"])


def is_disabled() -> bool:
    """Whether ``use_kernel("plain")`` is in force, on GPUs too."""
    return _Override.disabled


def kernel() -> Kernel | None:
    """The kernel, compiled at the first call where it is not yet; None where the plain form has to serve."""
    if _Override.disabled:
        return None
    found = _load()[0]
    if found is not None:
        found.isa = _Override.forced or found.isas[-1]
    return found


def kernel_status() -> Status:
    """Which path is in use, and why.

    Example:
        >>> kernel_status().path in ("avx512", "avx2", "portable", "plain")
        True
    """
    if _Override.disabled:
        return Status("plain", "asked for by use_kernel('plain')")
    found, reason = _load()
    if found is None:
        return Status("plain", reason)
    if _Override.forced:
        return Status(_Override.forced, f"asked for by use_kernel({_Override.forced!r}); {reason}", found.path)
    return Status(found.isas[-1], f"the fastest of {list(found.isas)} on this processor; {reason}", found.path)


@contextmanager
def use_kernel(path: str):
    """Within it, this path serves: one of :attr:`Kernel.isas`, or ``"plain"``. Weights that were packed before stay theirs.

    Raises:
        ValueError: where this machine does not have it.
    """
    if path != "plain":  # which nothing has to be compiled for
        found = _load()[0]
        known = ("plain", *(found.isas if found else ()))
        if path not in known:
            raise ValueError(f"use_kernel: expected one of {list(known)}, found {path!r}; {kernel_status().reason}")
    before = (_Override.disabled, _Override.forced)
    _Override.disabled, _Override.forced = path == "plain", None if path == "plain" else path
    try:
        yield
    finally:
        _Override.disabled, _Override.forced = before
