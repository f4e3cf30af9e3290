"""Faults between a client and the Hub, on demand: planned one by one, or drawn at random from a seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

FILES = r"/resolve/|/archives/"  # where bytes of files come from
ANY = ("cut", "429", "500", "slow")
GET = ("cut_body", "short", "long", "flip", "stale")
HEAD = ("wrong_hash",)
POST = ("cut_after",)  # what was asked for is done, and the answer is lost


def fitting(method: str, path: str) -> tuple[str, ...]:
    """The kinds that can happen to a request."""
    of_file = re.search(FILES, path) is not None
    more = (GET if of_file else ()) if method == "GET" else (HEAD if of_file else ()) if method == "HEAD" else POST
    return ANY + more


@dataclass
class Faults:
    """Fault of the next request.

    Attributes:
        planned: (kind, pattern of "METHOD /path", how often), taken in order.
        rate: Share of the requests that something happens to, beyond what is planned.
        seed: Of the draws.
        log: (kind, "METHOD /path") of what happened.
    """

    planned: list[tuple[str, str, int]] = field(default_factory=list)
    rate: float = 0.0
    seed: int = 0
    log: list[tuple[str, str]] = field(default_factory=list)
    allow: Callable[[str], bool] = lambda kind: True

    def __post_init__(self):
        self.random = random.Random(self.seed)

    def plan(self, kind: str, pattern: str, times: int = 1) -> None:
        self.planned.append((kind, pattern, times))

    def take(self, method: str, path: str) -> str:
        """The kind of fault, or ""."""
        requests = f"{method} {path}"
        for index, (kind, pattern, times) in enumerate(self.planned):
            if re.search(pattern, requests) and kind in fitting(method, path):
                self.planned[index : index + 1] = [(kind, pattern, times - 1)] if times > 1 else []
                self.log.append((kind, requests))
                return kind
        if self.random.random() < self.rate:
            kind = self.random.choice([kind for kind in fitting(method, path) if self.allow(kind)])
            self.log.append((kind, requests))
            return kind
        return ""

    def stop(self) -> None:
        self.planned.clear()
        self.rate = 0.0
