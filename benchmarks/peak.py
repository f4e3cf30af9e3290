"""Peak rates of one core, as a reference for the speed of models: GFLOP/s, with a multiply-add as two operations.

    python benchmarks/peak.py

There are three rates: multiply-adds in registers of the width of each path of the kernel (a loop of 14 independent sums, the upper limit),
the kernel's own matrix product on each path, and PyTorch's of 2048 x 2048 x 2048. Each is the best of all runs, by processor time.
"""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from axialzoo.ops.kernels import kernel, kernel_status, use_kernel  # noqa: E402
from axialzoo.ops.kernels.build import COMMON, compiler, targets  # noqa: E402
from axialzoo.ops.torch.rows import product  # noqa: E402

SUMS, TURNS = 14, 1_000_000  # with the factor, one register less than the narrow instruction sets have
LOOP = """
typedef float Vector __attribute__((vector_size(4 * LANES)));
extern "C" float multiply_add(long turns, float factor) {
    const Vector f = factor - Vector{};
    Vector x[SUMS], sum{};
    for (int i = 0; i < SUMS; ++i) x[i] = f * float(i);
    for (long turn = 0; turn < turns; ++turn)
        _Pragma("GCC unroll 16") for (int i = 0; i < SUMS; ++i) x[i] = x[i] * f + f;
    for (int i = 0; i < SUMS; ++i) sum += x[i];
    return sum[0];
}
"""


def registers(path: str, folder: Path) -> tuple[Callable[[], object], float]:
    """Return a call that multiplies and adds in the registers of a path, and its number of multiply-adds."""
    cxx, (lanes, flags) = compiler(), targets()[path]
    assert cxx is not None  # the kernel was compiled by it
    (folder / f"{path}.cpp").write_text(LOOP)
    library = folder / f"{path}.so"
    names = (f"-DLANES={lanes}", f"-DSUMS={SUMS}")
    subprocess.run([cxx, *COMMON, *flags, *names, "-fvisibility=default", "-shared", folder / f"{path}.cpp", "-o", library], check=True)
    loop = ctypes.CDLL(str(library)).multiply_add
    loop.argtypes, loop.restype = (ctypes.c_long, ctypes.c_float), ctypes.c_float
    return lambda: loop(TURNS, 0.5), float(SUMS * TURNS * lanes)


def rows_by_matrix(path: str) -> tuple[Callable[[], object], float]:
    """Return a call of the kernel's matrix product, 6272 rows (eight maps of 28 x 28) by 512 x 512, and its multiply-adds."""
    x, weight = torch.randn(8, 28, 28, 512), torch.randn(512, 512)

    def call() -> torch.Tensor:
        with use_kernel(path):
            return product(x, weight)

    return call, 8 * 28 * 28 * 512 * 512.0


def peak_rates(seconds: float = 2.0) -> dict[str, float]:
    """Measure GFLOP/s of one core: ``"avx2 registers"``, ``"avx2 product"`` and so on for each path, and ``"torch.mm"``."""
    library, threads = kernel(), torch.get_num_threads()
    square = torch.randn(2048, 2048)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        calls = {"torch.mm": (lambda: square @ square, 2048.0**3)}
        for path in library.isas if library else ():
            calls |= {f"{path} registers": registers(path, Path(folder)), f"{path} product": rows_by_matrix(path)}
        best = dict.fromkeys(calls, float("inf"))
        until = time.perf_counter() + seconds * len(calls)
        while time.perf_counter() < until or float("inf") in best.values():
            for name, (call, _) in calls.items():
                start = time.process_time()
                call()
                best[name] = min(best[name], time.process_time() - start)
    torch.set_num_threads(threads)
    return {name: round(2e-9 * calls[name][1] / best[name], 1) for name in sorted(calls)}


def machine(threads: int) -> dict[str, Any]:
    """Return the machine of a measurement, and its load."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "kernel": kernel_status().path,
        "allocator": {name: value for name, value in os.environ.items() if name.startswith("MALLOC_")},
        "load before": os.getloadavg(),
    }


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name, rate in peak_rates().items():
        print(f"{name:20} {rate:7.1f} GFLOP/s")
