"""One large file from a plain web server, going on where a connection was cut."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from axialzoo.checkpoint import CheckpointError
from axialzoo.files import write_text

ATTEMPTS, WAIT, MOST_WAIT = 6, 1.0, 60.0  # in a row without a byte; seconds before the second, and at most
SECONDS = 60.0  # of silence until a connection counts as cut
PIECE = 1 << 20  # bytes
PASSING = (408, 425, 429, 500, 502, 503, 504)
CUT = (http.client.HTTPException, ConnectionError, TimeoutError, urllib.error.URLError)

Progress = Callable[[int, int | None], None]


def fetch_file(address: str, target: Path, progress: Progress = lambda done, total: None) -> Path:
    """Download `address` to `target`. An unfinished download stays in ``target.part``, and a later call resumes it.

    The server is asked for the rest of the same file (its ETag or date): where the file has changed meanwhile, it is fetched anew.

    Args:
        address: ``http://`` or ``https://``.
        target: A file, which appears whole or not at all.
        progress: Gets the bytes that are there, and of how many where the server says so.

    Raises:
        CheckpointError: where the server does not have it, or the connection keeps failing.
    """
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise CheckpointError(f"{address}: expected an address that begins with https:// or http://")
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    failed = 0
    while True:
        before = _size(part)
        try:
            if _go_on(address, part, progress):
                os.replace(part, target)
                _note(part).unlink(missing_ok=True)
                return target
            why = "the connection was cut"
        except urllib.error.HTTPError as error:
            why = f"the server answered {error.code}"
            if error.code not in PASSING:
                raise CheckpointError(
                    f"{address}: {why}; the address may have changed: look for it on the project's page, and give it with --url"
                ) from None
            time.sleep(_asked(error))
        except CUT as error:
            why = f"the connection failed ({type(error).__name__}: {error})"
        failed = 0 if _size(part) > before else failed + 1
        if failed >= ATTEMPTS:
            size = _size(part)
            raise CheckpointError(
                f"{address}: {why}, {failed} times in a row; {size:,} bytes are kept in {part}: run it again to go on from there"
            )
        time.sleep(min(WAIT * 2**failed / 2, MOST_WAIT))


def _go_on(address: str, part: Path, progress: Progress) -> bool:
    """Request the missing bytes of `part`, append them, and return whether the file is whole."""
    done, known = _size(part), _read(part)
    headers = {"Accept-Encoding": "identity", "User-Agent": "axialzoo"}
    if done and known.get("address") == address and known.get("same"):
        headers |= {"Range": f"bytes={done}-", "If-Range": known["same"]}
    else:
        done = 0
    try:
        answer = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416 and done:  # nothing is missing, or the file has become shorter
            if error.headers.get("Content-Range") == f"bytes */{done}":
                return True
            part.unlink()
            return False
        raise
    with answer:
        start, total = _place(answer)
        if start not in (0, done):
            raise http.client.HTTPException(f"expected bytes from {done}, found them from {start}")
        done = start
        if not done:
            part.unlink(missing_ok=True)  # before the note: a note of one file beside the bytes of another would mix them
            write_text(_note(part), json.dumps({"address": address, "same": _same(answer)}))
        with open(part, "ab" if done else "wb") as file:
            while piece := answer.read(PIECE):
                file.write(piece)
                done += len(piece)
                progress(done, total)
        return total is None or done == total


def _place(answer: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Return the first byte of an answer, and the total number of bytes."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range") or "") if answer.status == 206 else None
    if match:
        return int(match[1]), int(match[2])
    length = answer.headers.get("Content-Length") or ""
    return 0, int(length) if length.isdigit() else None


def _same(answer: http.client.HTTPResponse) -> str:
    """Return the validator of the server's file: a strong ETag, else its date, else ""."""
    etag = answer.headers.get("ETag") or ""
    return etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified") or ""


def _asked(error: urllib.error.HTTPError) -> float:
    """Return the seconds that the server asks to wait."""
    wait = error.headers.get("Retry-After") or ""
    return min(float(wait), MOST_WAIT) if wait.isdigit() else 0.0


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read(part: Path) -> dict[str, str]:
    try:
        known = json.loads(_note(part).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # nothing is known of it: it is fetched anew
        return {}
    return known if isinstance(known, dict) else {}
