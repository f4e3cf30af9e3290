"""Addresses of checkpoints on the Hub: ``org/repo`` or ``org/repo@revision``, either followed by ``#sha256:...``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+?)(@(?P<revision>[\w./-]+))?(#(?P<digest>sha256:[0-9a-f]{12,64}))?", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Address:
    """A repository, and which of its states is meant.

    Attributes:
        repo: ``"org/repo"``.
        revision: Branch, tag or commit; None for the main branch.
        digest: What the weights' digest has to begin with, or "".
    """

    repo: str
    revision: str | None = None
    digest: str = ""

    @classmethod
    def parsed(cls, text: str) -> Self | None:
        """Return the address in `text`, or None if it is none.

        Example:
            >>> Address.parsed("org/repo@v1").revision
            'v1'
        """
        match = HUB_ID.fullmatch(text)
        return cls(match["repo"], match["revision"], match["digest"] or "") if match else None

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}" if self.revision else self.repo
