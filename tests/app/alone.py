"""``python -m tests.app.alone``: serves the page, and says ``outside: ADDRESS`` of every connection to another machine, which fails."""

from __future__ import annotations

import socket

from axialzoo.app import serve

real = socket.socket.connect


def connect(self, address):
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "localhost", "::1"):
        print(f"outside: {address}", flush=True)
        raise ConnectionRefusedError(f"{address}: no network here")
    return real(self, address)


if __name__ == "__main__":
    socket.socket.connect = connect
    serve(port=0, log=lambda text: print(text, flush=True))
