"""Answers of web servers and indices of TF2 checkpoints, as fuzz targets."""

from __future__ import annotations

import contextlib
import io
import tempfile
import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from axialzoo.hub import resume

BETWEEN = b"\n====\n"  # two answers to two requests


class Answering(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens every address with the next of some answers, and the last one again and again."""

    def __init__(self, texts: list[bytes]):
        super().__init__()
        self.texts = texts

    def http_open(self, req: urllib.request.Request) -> Any:
        text = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
        answer: Any = HTTPResponse(mock.Mock(makefile=lambda mode: io.BytesIO(text)))
        answer.begin()
        answer.url, answer.msg = req.full_url, answer.reason
        return answer

    https_open = http_open


def fetch(data: bytes, folder: Path) -> None:
    """Download a file from a server that answers with `data`: it has what the server promised, or is not there."""
    target, opener = folder / "a.tar", urllib.request.OpenerDirector()
    for name in ("HTTPDefaultErrorHandler", "HTTPRedirectHandler", "HTTPErrorProcessor", "UnknownHandler"):
        opener.add_handler(getattr(urllib.request, name)())
    opener.add_handler(Answering(data.split(BETWEEN)))
    for path in folder.iterdir():
        path.unlink()
    with mock.patch.object(urllib.request, "urlopen", lambda request, timeout: opener.open(request)), mock.patch("time.sleep"):
        resume.fetch_file("https://example.org/a.tar", target)
    assert isinstance(HTTPMessage(), HTTPMessage)
    if not target.is_file() or (folder / "a.tar.part").exists():
        raise AssertionError("accepted without a file")


def seeds() -> Iterator[bytes]:
    """Yield answers as servers give them."""
    whole = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "a"\r\n\r\nhello'
    yield whole
    yield (
        b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "a"\r\n\r\nhe'
        + BETWEEN
        + (b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/5\r\nContent-Length: 3\r\n\r\nllo")
    )
    yield b"HTTP/1.1 302 Found\r\nLocation: https://example.org/b.tar\r\n\r\n" + BETWEEN + whole
    yield b"HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\n\r\n" + BETWEEN + whole
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    yield b"HTTP/1.1 404 Not Found\r\n\r\n"


def tf2_index(data: bytes, folder: Path) -> None:
    """Open a checkpoint of TensorFlow whose index is `data`, and read every variable."""
    from converters import tf2

    if not (folder / "ckpt-0.data-00000-of-00001").exists():
        with contextlib.suppress(FileNotFoundError):
            (folder / "ckpt-0.index").unlink()
        tf2.write_checkpoint(folder / "new", {"a/b": np.arange(6, dtype=np.float32)})
        for path in (folder / "new").iterdir():
            path.rename(folder / path.name)
        (folder / "new").rmdir()
    (folder / "ckpt-0.index").write_bytes(data)
    with tf2.opened(folder / "ckpt-0") as checkpoint:
        for key in checkpoint.shapes:
            checkpoint.read(key)


def tf2_seeds() -> Iterator[bytes]:
    """Yield the index of a small checkpoint."""
    from converters import tf2

    with tempfile.TemporaryDirectory() as folder:
        tf2.write_checkpoint(Path(folder) / "new", {"a/b": np.arange(6, dtype=np.float32)})
        yield (Path(folder) / "new" / "ckpt-0.index").read_bytes()
