"""Ends of a run before its last step: a loss that is not finite, Ctrl-C, SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class DivergedError(RuntimeError):
    """Error about a loss or weights that are not finite: names the step and the setting to lower."""


class Interrupted(KeyboardInterrupt):
    """A run that was stopped by a signal after a whole step, whose state is saved.

    Attributes:
        signal: Number of the signal.
    """

    def __init__(self, text: str, number: int):
        super().__init__(text)
        self.signal = number


class StopRequest:
    """The first Ctrl-C or SIGTERM, remembered until the step is done; the second one stops at once.

    Attributes:
        signal: Its number, or 0.
    """

    signal = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number

    @property
    def name(self) -> str:
        return SIGNALS[signal.Signals(self.signal)]

    @contextmanager
    def listening(self, enable: bool = True) -> Iterator[None]:
        """Remember signals; not in other threads than the main one, nor signals that are ignored (as under nohup)."""
        if not enable or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        before = {number: handler for number, handler in before.items() if handler is not None and handler != signal.SIG_IGN}
        for number in before:
            signal.signal(number, self)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
