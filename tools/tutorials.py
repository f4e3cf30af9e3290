"""Runner of the tutorials: writes each as a page with its text, its code, and the output and pictures of the code.

python tools/tutorials.py                         # all of docs/tutorials/*.py, to build/tutorials
python tools/tutorials.py docs/tutorials/NAME.py  # one

A tutorial is a plain Python file in cells: ``# %% [markdown]`` begins a cell of text, ``# %%`` a cell of code. The page shows the output of
a cell below it, and the value of its last line, where a picture is shown as a picture. A tutorial that raises has no page.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCES, PAGES = ROOT / "docs" / "tutorials", ROOT / "build" / "tutorials"
CELL = re.compile(r"^# %%( \[markdown\])?\n", re.MULTILINE)
WIDTH, SECONDS = 1100, 900  # pixels of a picture on a page; time limit of a tutorial on a busy machine


def cells(text: str) -> list[tuple[str, str]]:
    """Return the cells of a tutorial: ``"text"`` or ``"code"``, and the content.

    Raises:
        ValueError: for a file that does not begin with a cell.
    """
    first, *rest = CELL.split(text)
    if first.strip():
        raise ValueError(f"a tutorial begins with '# %% [markdown]', found {first.splitlines()[0]!r}")
    cell_list = []
    for mark, body in zip(rest[::2], rest[1::2]):
        if mark:
            body = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.splitlines())
        cell_list.append(("text" if mark else "code", body.strip()))
    return cell_list


def stamp(text: str) -> str:
    """Return the digest that identifies the version of a tutorial."""
    return hashlib.sha256(text.encode()).hexdigest()


def page(source: Path, out: Path) -> None:
    """Run a tutorial in this process and the working folder, and write ``NAME.md`` and its pictures to `out`."""
    text, started = source.read_text(), time.process_time()
    names: dict[str, Any] = {"__name__": "__main__"}
    parts, pictures = [], 0
    for kind, body in cells(text):
        if kind == "text":
            parts.append(body)
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            value = executed(body, names)
        parts.append(f"```python\n{body}\n```")
        if hasattr(value, "save") and hasattr(value, "thumbnail"):  # a Pillow picture
            value = value.convert("RGB")
            value.thumbnail((WIDTH, 2 * WIDTH))
            value.save(out / f"{source.stem}_{(pictures := pictures + 1)}.png")
            parts.append(f"![What the code above draws]({source.stem}_{pictures}.png)")
        elif value is not None:
            printed.write(f"{value!r}\n")
        if printed.getvalue().strip():
            parts.append(f'<div class="output" markdown>\n\n```text\n{printed.getvalue().rstrip()}\n```\n\n</div>')
    parts.append(
        f'<p class="ran" markdown>This page is [{source.name}]({source.name}), run when these pages were built: '
        f"{time.process_time() - started:.0f} s of processor time. What is printed and drawn above comes from that run.</p>"
    )
    (out / f"{source.stem}.md").write_text("\n\n".join(parts) + f"\n\n<!-- {stamp(text)} -->\n")


def executed(code: str, names: dict[str, Any]) -> Any:
    """Run a cell in `names`, and return the value of its last line, where that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)


def run(source: Path, out: Path) -> float:
    """Run a tutorial in its own process and empty folder, with this repository's ``docs``, and return the seconds.

    Raises:
        RuntimeError: where it fails, with its output.
    """
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    threads = dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
    environment = {**os.environ, **threads, "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "100", "NO_COLOR": "1"}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "docs").symlink_to(ROOT / "docs")
        command = [sys.executable, str(Path(__file__).resolve()), "--here", str(source.resolve()), "--out", str(out.resolve())]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, env=environment)
    if done.returncode:
        raise RuntimeError(f"{source.name} failed:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs the tutorials and writes them as pages.")
    parser.add_argument("sources", nargs="*", type=Path, help="tutorials; default all")
    parser.add_argument("--out", type=Path, default=PAGES)
    parser.add_argument("--here", action="store_true", help="in this process and folder")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.here:
        page(args.sources[0], args.out)
        return
    sources = args.sources or sorted(SOURCES.glob("*.py"))
    with ThreadPoolExecutor(2) as pool:
        for source, seconds in zip(sources, pool.map(lambda source: run(source, args.out), sources)):
            print(f"{source.stem}: {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
