"""Fuzzing for some seconds a target: ``python -m tests.fuzz.run SECONDS [TARGET ...]``.

atheris guides the inputs by coverage where it is installed (`pip install atheris`); else bytes of the seeds are changed at random, which
reaches less. What is found lies in ``build/fuzz/TARGET/findings``; a mended finding is moved to ``tests/fuzz/corpus/TARGET``.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
import traceback
from pathlib import Path

BUILD = Path("build") / "fuzz"
MOST = 1 << 16  # bytes of an input
WORDS = (
    b"0",
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"../",
    b"\n",
    b"99999999999999999999",
)


def main(seconds: float, names: list[str]) -> int:
    """Run each target in a process of its own; return 1 where something was found."""
    from tests.fuzz.targets import TARGETS

    found_any = 0
    for name in names or list(TARGETS):
        ended = subprocess.run([sys.executable, "-m", "tests.fuzz.run", "--one", name, str(seconds)], check=False)
        summary = BUILD / name / "summary.json"
        counts = json.loads(summary.read_text()) if summary.exists() else {}
        died = "" if counts and ended.returncode == 0 else f", ended with {ended.returncode}"
        print(f"{name}: {counts.get('executions', 0):,} executions, {counts.get('findings', 0)} findings{died}", flush=True)
        found_any |= bool(counts.get("findings")) or bool(died)
    return int(found_any)


def one(name: str, seconds: float) -> None:
    """Fuzz a target until the time is over; ends the process."""
    try:
        import atheris
    except ModuleNotFoundError:
        atheris = None
    if atheris is None:
        from tests.fuzz import execute, targets
    else:
        with atheris.instrument_imports(include=["axialzoo", "converters", "tarfile", "zipfile"], enable_loader_override=False):
            from tests.fuzz import execute, targets
    target, place = targets.TARGETS[name], BUILD / name
    folder, findings, seeds = (Path(os.environ.get("TMPDIR", "/tmp")) / f"axialzoo-fuzz-{os.getpid()}"), place / "findings", place / "seeds"
    for path in (folder, findings, seeds):
        path.mkdir(parents=True, exist_ok=True)
    (place / "summary.json").unlink(missing_ok=True)
    corpus = [*target.seeds(), *(path.read_bytes() for path in sorted((targets.CORPUS / name).glob("*")))]
    for data in corpus:
        (seeds / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    counts, kinds, ends = {"executions": 0, "accepted": 0, "findings": 0}, set(), time.time() + seconds

    def run(data: bytes) -> None:
        counts["executions"] += 1
        try:
            counts["accepted"] += execute.execute(target, data, folder, measure=counts["executions"] % 16 == 0)
        except AssertionError as error:
            cause = error.__cause__ or error
            frame = traceback.extract_tb(cause.__traceback__)[-1]
            kind = f"{type(cause).__name__} {Path(frame.filename).name}:{frame.lineno}"
            if kind not in kinds:
                kinds.add(kind)
                counts["findings"] += 1
                at = findings / hashlib.sha256(data).hexdigest()[:16]
                at.write_bytes(data)
                at.with_suffix(".txt").write_text("".join(traceback.format_exception(error)))
        if time.time() > ends:
            (place / "summary.json").write_text(json.dumps(counts))
            os._exit(0)

    if atheris is None:
        draw = random.Random(0)
        while True:
            run(changed(draw, draw.choice(corpus)))
    arguments = [
        sys.argv[0],
        f"-max_len={MOST}",
        "-timeout=60",
        "-rss_limit_mb=6000",
        "-verbosity=0",
        f"-artifact_prefix={findings}/",
        str(seeds),
    ]
    atheris.Setup(arguments, run, enable_python_coverage=True)
    atheris.Fuzz()


def changed(draw: random.Random, data: bytes) -> bytes:
    """Return `data` with a few bytes changed, added, removed or repeated."""
    content = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        at, length = draw.randrange(len(content) + 1), draw.choice((1, 1, 2, 4, 16))
        content[at : at + draw.choice((0, length))] = draw.choice(
            (draw.randbytes(length), b"", draw.choice(WORDS), content[at // 2 : at // 2 + length], content[at : at + length] * 2)
        )
    return bytes(content[:MOST])


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        one(sys.argv[2], float(sys.argv[3]))
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
