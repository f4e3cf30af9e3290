"""Search, loading and calls of the compiled kernel, and its status. Independent of frameworks.

The library comes from the package's own folder (compiled at installation), else from the user's cache. Otherwise the first use compiles
it into the cache, if there is a compiler. Without a library nothing breaks: callers ask :func:`kernel`.
"""

from __future__ import annotations

import ctypes
import functools
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from axialzoo.ops.kernels.build import NAME, BuildError, cache_folder, compile_library, compiler

ISAS = ("portable", "avx2", "avx512")  # by their bit in axial_supported()
FUNCTIONS = (
    "forward", "backward", "linear", "weight_gradient", "norm_moments", "norm_forward", "norm_backward", "moments_forward",
    "moments_backward", "program",
)  # fmt: skip


@dataclass(frozen=True)
class Status:
    """The kernel in use, and the reason.

    Attributes:
        path: ``"avx512"``, ``"avx2"``, ``"portable"``, or ``"plain"`` for the framework's own operations.
        reason: Why this path is in use, in a sentence.
        library: Path of the shared library; None where there is none.
    """

    path: str
    reason: str
    library: str | None = None


class Kernel:
    """A loaded library of the kernel.

    Args:
        path: Path of the shared library.

    Attributes:
        isas: Instruction sets that this processor supports, slowest first.
        isa: Instruction set in use.
    """

    def __init__(self, path: str | os.PathLike[str]):
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
        """Return the address of a function of ``source/axial.h``, for calls from another library."""
        address = ctypes.cast(getattr(self._library, name), ctypes.c_void_p).value
        assert address is not None
        return address

    def use_threads_of(self, libraries: list[str]) -> None:
        """Use the threads of the first of these libraries (paths) that is GNU OpenMP; otherwise each call starts threads.

        A framework passes its own library, so that both share one team of threads instead of two that wait for one another.
        """
        for path in libraries:
            try:
                self.parallel = ctypes.cast(ctypes.CDLL(path).GOMP_parallel, ctypes.c_void_p)
                return
            except (OSError, AttributeError):  # no such library, or another OpenMP: try the next
                continue

    def run(self, name: str, arguments: ctypes.Structure, threads: int = 1) -> None:
        """Call a function of ``source/axial.h``: ``"forward"`` for ``axial_forward``, and so on.

        Raises:
            MemoryError: if there is no memory for the function's buffers.
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
    """Count the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def needs_compiling() -> bool:
    """Return whether the first use of the kernel will compile it. That takes about 15 seconds, which callers can announce."""
    if _Override.disabled or _load.cache_info().currsize or compiler() is None:
        return False
    return not any(path.exists() for path, _ in search_paths())


def search_paths() -> list[tuple[Path, str]]:
    """Return the paths where the library may lie, in order of search, and how it came there."""
    installed = (Path(__file__).resolve().parent / NAME, "compiled when the package was installed")
    try:
        return [installed, (cache_folder() / NAME, "compiled into the user's cache")]
    except BuildError:  # no home folder
        return [installed]


@functools.cache
def _load() -> tuple[Kernel | None, str]:
    reasons = []
    for path, origin in search_paths():
        if path.exists():
            try:
                return Kernel(path), origin
            except (OSError, AttributeError) as error:
                reasons.append(f"{path} does not load ({error})")
    try:
        return Kernel(compile_library(cache_folder())), "compiled into the user's cache"
    except (BuildError, OSError, AttributeError) as error:
        return None, "; ".join([*reasons, f"the kernel could not be compiled: {error}"])


def is_disabled() -> bool:
    """Return whether ``use_kernel("plain")`` is in force; it applies to GPUs too."""
    return _Override.disabled


def kernel() -> Kernel | None:
    """Return the kernel, compiled at the first call if necessary; None where the framework's own operations have to do."""
    if _Override.disabled:
        return None
    loaded = _load()[0]
    if loaded is not None:
        loaded.isa = _Override.forced or loaded.isas[-1]
    return loaded


def kernel_status() -> Status:
    """Report the kernel's path in use, and why.

    Example:
        >>> kernel_status().path in ("avx512", "avx2", "portable", "plain")
        True
    """
    if _Override.disabled:
        return Status("plain", "asked for by use_kernel('plain')")
    loaded, reason = _load()
    if loaded is None:
        return Status("plain", reason)
    if _Override.forced:
        return Status(_Override.forced, f"asked for by use_kernel({_Override.forced!r}); {reason}", loaded.path)
    return Status(loaded.isas[-1], f"the fastest of {list(loaded.isas)} on this processor; {reason}", loaded.path)


@contextmanager
def use_kernel(path: str):
    """Use this path within the context: one of :attr:`Kernel.isas`, or ``"plain"``. Weights that are already packed stay packed.

    Raises:
        ValueError: if this machine does not have the path.
    """
    if path != "plain":  # "plain" needs no compiled kernel
        loaded = _load()[0]
        choices = ("plain", *(loaded.isas if loaded else ()))
        if path not in choices:
            raise ValueError(f"use_kernel: expected one of {list(choices)}, found {path!r}; {kernel_status().reason}")
    before = (_Override.disabled, _Override.forced)
    _Override.disabled, _Override.forced = path == "plain", None if path == "plain" else path
    try:
        yield
    finally:
        _Override.disabled, _Override.forced = before
