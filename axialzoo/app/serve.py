"""The page as a server on this machine. It loads nothing from other servers, and sends no telemetry."""

from __future__ import annotations

import importlib.util
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PORT = 7860
LARGEST = "64mb"  # of an uploaded file
QUIET = {  # turns off telemetry of gradio and of the Hub's client
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")


def serve(
    models: Sequence[str] = (),
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    wait: bool = True,
    log: Callable[[str], None] = lambda text: None,
) -> Callable[[], None]:
    """Serve the page until it is interrupted.

    Args:
        models: Names, folders or ``org/repo``; default every model with weights on this machine.
        host: Address to listen on; the default accepts connections from this machine only.
        port: Port to listen on; 0 for any free port.
        wait: Whether to wait until the server ends.
        log: Gets the address.

    Returns:
        A function that ends the server, for `wait` False.

    Raises:
        ModuleNotFoundError: where gradio is not installed; the message says how to install it.
        OSError: where the port is taken.
        CheckpointError, SpecError: for a model that cannot be loaded.
    """
    if importlib.util.find_spec("gradio") is None:
        raise ModuleNotFoundError("the page needs gradio, which is not installed; pip install 'axialzoo[app]'", name="gradio")
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from axialzoo.app.models import Runners, frameworks, offered
    from axialzoo.app.page import build

    chosen = offered(models)
    if not frameworks():
        raise ModuleNotFoundError("neither PyTorch nor Keras is installed; pip install 'axialzoo[torch]' or 'axialzoo[keras-tensorflow]'")
    runners = Runners()
    listener = _bind(host, port)
    server = _server(build(chosen, runners))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.02)
    log(f"the page: http://{host if host != '0.0.0.0' else '127.0.0.1'}:{listener.getsockname()[1]}")
    threading.Thread(target=_warm, args=(runners, chosen[0]), daemon=True).start()

    def end() -> None:
        server.should_exit = server.force_exit = True
        thread.join(10)
        runners.close()

    if wait:
        try:
            thread.join()
        except KeyboardInterrupt:
            log("ended")
        finally:
            end()
    return end


def _bind(host: str, port: int) -> socket.socket:
    """Return a bound socket.

    Raises:
        OSError: where binding fails, such as for a port that is taken.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"port {port} of {host}: {error.strerror or error}; choose another with --port, such as {port + 1}") from None
    return listener


def _server(page: Any) -> Any:
    """Return the HTTP server of the page."""
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI

    app = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None), page, path="", ssr_mode=False, footer_links=[], run_history=False,
        theme=_theme(), css_paths=Path(__file__).with_name("page.css"), max_file_size=LARGEST, enable_monitoring=False, pwa=False,
    )  # fmt: skip
    return uvicorn.Server(uvicorn.Config(_WithContentPolicy(app), log_level="warning", ws="none"))


class _WithContentPolicy:
    """An application that adds a content security policy, which forbids the browser to load from other servers."""

    def __init__(self, app: Any):
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"content-security-policy", POLICY.encode())]}
            await send(message)

        await self._app(scope, receive, send_with_policy)


def _warm(runners: Any, source: str) -> None:
    """Load the first model while the browser draws the page; an error appears again at the first prediction."""
    from axialzoo.app.models import frameworks
    from axialzoo.errors import EXPECTED

    try:
        runners.get(source, next(iter(frameworks())))
    except EXPECTED:
        return


def _theme() -> Any:
    import gradio as gr

    return gr.themes.Base(
        primary_hue="teal", neutral_hue="slate", radius_size="md", font=SANS, font_mono=MONO
    ).set(
        body_background_fill="#f6f7f9", body_background_fill_dark="#10141b",
        body_text_color_subdued="#565e6c", body_text_color_subdued_dark="#aab3c2",
        background_fill_primary_dark="#171c25",
        block_background_fill="#ffffff", block_background_fill_dark="#171c25",
        block_border_width="1px", block_label_text_color="#4b5563", block_label_text_color_dark="#c5ccd8",
        button_primary_background_fill="#0b6e73", button_primary_background_fill_dark="#0b6e73",
        button_primary_background_fill_hover="#095a5e", button_primary_background_fill_hover_dark="#0d8187",
        button_primary_text_color="#ffffff",
    )  # fmt: skip
