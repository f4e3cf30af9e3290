"""Time and memory of cases. Each run has its own process, so that neither a crash nor a leak affects the next.

Processes are forked from a server that has imported PyTorch and computed nothing.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from axialzoo.analysis.cases import Case

RUN_SECONDS, RUN_CALLS = 0.4, 20  # of one short run: until either is reached, and at least one call


def measure(
    cases: Sequence[Case],
    *,
    threads: int,
    device: str = "cpu",
    rounds: int = 3,
    seconds: float = 60.0,
    memory: int | None = None,
    log: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Measure the cases in turn, `rounds` times, so that a slow moment of the machine affects all of them.

    Args:
        threads: Threads of PyTorch.
        rounds: Short runs of each case; the first call of a run is a warm-up.
        seconds: Time limit of a run, with building the model; a slower run is killed.
        memory: Bytes that a process may hold; a case that needs more is skipped or killed. Default: 80 % of the free memory.
        log: Gets a line for each case as it is measured.

    Returns:
        For each case ``seconds`` (median), ``fastest``, ``slowest``, ``cpu_seconds`` (median processor time, which other
        programs disturb less), ``calls``, ``memory_bytes`` (peak memory of the tensors of one call) and ``resident_bytes``
        (growth of the process during the call; None on a GPU), or ``skipped``: the reason.
    """
    limit = free_memory(device) * 8 // 10 if memory is None else memory
    results: list[dict[str, Any]] = [{"skipped": too_large(case, limit)} for case in cases]
    runs: list[list[dict]] = [[] for _ in cases]
    for case, result in zip(cases, results):
        if result["skipped"]:
            log(f"{case.title}: skipped, {result['skipped']}")
    for turn in range(rounds):
        for case, result, done in zip(cases, results, runs):
            if result["skipped"] or len(done) < turn:
                continue
            run = _in_a_process(case, threads, device, seconds, limit)
            if "error" in run:
                raise RuntimeError(f"{case.title}: {run['error']}")
            if "skipped" in run:
                result["skipped"] = None if done else run["skipped"]  # the runs of earlier rounds still count
                log(f"{case.title}: skipped, {run['skipped']}")
                continue
            done.append(run)
            log(f"{case.title}: {statistics.median(run['times']):.3g} s, round {turn + 1} of {rounds}")
    return [{**result, **_summary(done)} for result, done in zip(results, runs)]


def _summary(runs: list[dict]) -> dict[str, Any]:
    times = [value for run in runs for value in run["times"]]
    if not times:
        return dict.fromkeys(("seconds", "fastest", "slowest", "cpu_seconds", "memory_bytes", "resident_bytes")) | {"calls": 0}
    resident = [run["resident_bytes"] for run in runs if run["resident_bytes"] is not None]
    return {
        "seconds": statistics.median(times),
        "fastest": min(times),
        "slowest": max(times),
        "cpu_seconds": statistics.median(value for run in runs for value in run["busy"]),
        "memory_bytes": int(statistics.median(run["memory_bytes"] for run in runs)),
        "resident_bytes": int(statistics.median(resident)) if resident else None,
        "calls": len(times),
    }


def too_large(case: Case, limit: int) -> str | None:
    """Return the reason why `case` does not fit into memory, or None."""
    if case.estimated_bytes <= limit:
        return None
    return f"needs about {case.estimated_bytes / 2**30:,.1f} GiB, more than the {limit / 2**30:,.1f} GiB to use"


def _in_a_process(case: Case, threads: int, device: str, seconds: float, limit: int) -> dict[str, Any]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["axialzoo.analysis.networks"])
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(send, case, threads, device), daemon=True)
    process.start()
    send.close()
    start = time.monotonic()
    try:
        while not receive.poll(0.05):
            if time.monotonic() - start > seconds:
                return {"skipped": f"took longer than {seconds:g} s"}
            held = resident(process.pid) if device == "cpu" and process.pid else 0
            if held > limit:
                return {"skipped": f"took more than the {limit / 2**30:.1f} GiB to use"}
        return receive.recv()
    except EOFError:
        process.join()
        return {"skipped": f"its process ended with exit code {process.exitcode}; -9 is the kernel's, for want of memory"}
    finally:
        process.kill()
        process.join()
        receive.close()
        process.close()


def _report(send, case: Case, threads: int, device: str) -> None:
    """Send the measurement of a case from its process, or the reason to skip it, or its error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the profiler's library writes to stderr; errors go through the pipe
    try:
        send.send(_measure(case, threads, device))
    except Exception as error:
        if isinstance(error, MemoryError) or "memory" in str(error):  # PyTorch raises a RuntimeError for it
            send.send({"skipped": f"there was no memory for it ({str(error).strip().partition(chr(10))[0]})"})
        else:
            send.send({"error": traceback.format_exc()})


def _measure(case: Case, threads: int, device: str) -> dict[str, Any]:
    import torch

    from axialzoo.analysis.networks import prepare

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    call = prepare(case, device)
    times: list[float] = []
    busy: list[float] = []

    def timed() -> None:
        start, computed = time.perf_counter(), time.process_time()
        call()
        times.append(time.perf_counter() - start)
        busy.append(time.process_time() - computed)

    memory, grown = _peak_cpu(call, timed) if device == "cpu" else _peak_cuda(device, call, timed)
    while len(times) < RUN_CALLS and sum(times) < RUN_SECONDS:
        timed()
    return {"times": times, "busy": busy, "memory_bytes": memory, "resident_bytes": grown}


def _peak_cpu(call: Callable[[], None], timed: Callable[[], None]) -> tuple[int, int]:
    """Return the peak bytes of tensors during a first call, and the peak growth of the process during a second."""
    import torch

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    level = peak = 0
    events: Any = profile.profiler
    for event in sorted(events.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            level += event.nbytes()
            peak = max(peak, level)
    trim()
    before = reset_peak()
    timed()
    return peak, resident(field="VmHWM") - before


def _peak_cuda(device: str, call: Callable[[], None], timed: Callable[[], None]) -> tuple[int, None]:
    """Return the peak bytes of tensors on a GPU, by its allocator; a first call creates the workspaces of its libraries."""
    import torch

    call()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    timed()
    return torch.cuda.max_memory_allocated(device) - before, None


def trim() -> None:
    """Return freed memory to the system, as far as the C library can; else it counts as held before the call."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def reset_peak() -> int:
    """Reset the peak resident size of this process, and return the present size in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident()


def resident(process: int | str = "self", field: str = "VmRSS") -> int:
    """Return the resident memory of a process in bytes, or its peak (``"VmHWM"``)."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0  # the process has ended


def free_memory(device: str = "cpu") -> int:
    """Return the bytes of free memory."""
    if device != "cpu":
        import torch

        return torch.cuda.mem_get_info(device)[0]
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/meminfo has no MemAvailable: memory is measured on Linux only")
