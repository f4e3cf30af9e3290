"""`predict_batch`: batch prediction, from the arguments to the folder of results."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack

from axialzoo.data.parquet import arrow
from axialzoo.engine.inputs import chunks_of
from axialzoo.engine.on_ray import run_on_ray
from axialzoo.engine.plan import Plan, check_format, input_digest, open_run, pending_chunks
from axialzoo.engine.processes import run_on_processes
from axialzoo.engine.work import Work
from axialzoo.hub import fetch_checkpoint
from axialzoo.runtime.device import AUTO
from axialzoo.runtime.frameworks import choose, process_backend
from axialzoo.runtime.local import optimizable
from axialzoo.runtime.predict import BATCH, check_decodable
from axialzoo.runtime.system import cores
from axialzoo.spec import SpecError, did_you_mean
from axialzoo.tasks.tta import TTAOptions, tta_from_options

ENGINES = ("processes", "ray")
CHUNK = 256  # pictures


def predict_batch(
    inputs: Sequence[str | os.PathLike[str]],
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    workers: int | None = None,
    threads: int = 1,
    engine: str = "processes",
    address: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    framework: str | None = None,
    optimize: bool = True,
    chunk: int = CHUNK,
    batch_size: int = BATCH,
    top: int | None = None,
    device: str = AUTO,
    page: int | None = None,
    channel: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    **tta: Unpack[TTAOptions],
) -> dict[str, Any]:
    """Predict many pictures in several processes, and write a folder of files of results.

    Every file appears complete or not at all, so a stopped run resumes with the missing files. A worker that dies is replaced. Rows are
    in the order of the input, and their bytes do not depend on the number of workers. A picture that cannot be read is a row with an
    error.

    Args:
        inputs: Pictures, tar shards, Parquet files, and folders of these.
        model: Folder, registry name with weights, ``name.tag`` or ``org/repo[@revision]``.
        out: Folder to write: ``results.parquet`` or ``results.jsonl``, with a file for each chunk.
        workers: Number of processes; default cores / threads.
        threads: Threads of each process. Processes use cores better; threads need less memory. Another number may change the last bits.
        engine: ``"processes"`` of this machine, or ``"ray"``.
        address: Address of a Ray cluster; default Ray on this machine.
        resume: Continue the run in `out`.
        overwrite: Replace the run in `out`.
        framework, optimize, device: As of :class:`axialzoo.runtime.Runner`; all workers share the device.
        chunk: Pictures per file of results; the unit that is repeated when a worker dies.
        batch_size: Pictures computed at once.
        top: Number of classes or objects per row.
        page, channel: Page and channel of each picture, from 1: see :func:`axialzoo.image.load_image`.
        progress: Called with the number of finished pictures, and of all.
        tta: ``tile``, ``overlap``, ``hflip``, ``scales``: see :func:`axialzoo.tasks.tta_from_options`.

    Returns:
        ``model``, ``digest``, ``out``, ``pictures``, ``parts``; of this call ``done`` (pictures), ``errors`` (among them) and ``seconds``.

    Raises:
        DataError: for an input without pictures.
        FileExistsError: where `out` holds something other than this run.
        SpecError: for an unknown engine, and test-time augmentation that the model's task does not support.
        WorkerError: where the workers fail.

    Example:
        >>> import tempfile
        >>> from axialzoo.engine import predict_batch
        >>> out = tempfile.mkdtemp() + "/results.jsonl"
        >>> predict_batch(["docs/photos/chelsea.jpg"], "axial_resnet_cifar10", out, workers=1)["pictures"]
        1
    """
    if engine not in ENGINES:
        raise SpecError(f"engine: expected one of {', '.join(ENGINES)}, found {engine!r}{did_you_mean(engine, ENGINES)}")
    if address is not None and engine != "ray":
        raise SpecError(f"address: is of a cluster of Ray; expected engine 'ray', found {engine!r}")
    for name, value in {"workers": workers, "threads": threads, "chunk": chunk, "batch_size": batch_size}.items():
        if value is not None and value < 1:
            raise SpecError(f"{name}: expected at least 1, found {value}")
    folder = Path(out)
    check_format(folder)
    if folder.suffix == ".parquet":
        arrow()
    names = choose(framework, native=True)
    if len(names) != 1:
        raise SpecError(f"framework: expected one, found {framework!r}")
    backend = process_backend() if names[0] == "keras" else None
    checkpoint, tta_config = fetch_checkpoint(model), tta_from_options(**tta)
    check_decodable(checkpoint.config, tta_config)
    chunks = chunks_of(inputs, chunk)
    config, total = checkpoint.config, sum(map(len, chunks))
    optimized = optimize and optimizable(backend, "float32", "cpu" if device == AUTO else device)
    plan = Plan(
        config.model, config.digest, names[0], backend, optimized, threads, batch_size, dict(tta_config.options), top, total, len(chunks),
        input_digest(chunks), None if device == AUTO else device, page, channel,
    )  # fmt: skip
    open_run(folder, plan, inputs, resume=resume, overwrite=overwrite)
    pending = pending_chunks(folder, chunks)
    where = str(checkpoint.folder.resolve())
    work = Work(
        str(model), where, config.digest, str(folder.resolve()), names[0], backend, optimize, dict(tta), top, batch_size, threads, device,
        page, channel,
    )  # fmt: skip
    workers = workers or max(cores() // threads, 1)
    predicted, errors, started = total - sum(map(len, pending)), 0, time.monotonic()
    if pending:
        finished = run_on_ray(work, pending, workers, address) if engine == "ray" else run_on_processes(work, pending, workers)
        for counts in finished:
            predicted, errors = predicted + counts["pictures"], errors + counts["errors"]
            if progress:
                progress(predicted, total)
    about = {"model": config.model, "digest": config.digest, "out": str(folder), "pictures": total, "parts": len(chunks)}
    return {**about, "done": sum(map(len, pending)), "errors": errors, "seconds": round(time.monotonic() - started, 3)}
