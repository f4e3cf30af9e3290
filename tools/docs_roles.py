"""Griffe extension that turns roles in docstrings, such as ``:func:`x` ``, into links to the reference, or into code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from griffe import Extension, Object

ROLE = re.compile(r":(?:func|class|meth|mod|attr):`~?([^`]+)`")
EXAMPLE = re.compile(r"^( *)Example:\n", re.MULTILINE)  # griffe expects the plural
REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"
LISTED = re.compile(r"^::: (\S+)", re.MULTILINE)
KNOWN = {name for page in REFERENCE.glob("*.md") for name in LISTED.findall(page.read_text())}


def linked(text: str) -> str:
    """Return `text` with its roles as Markdown, and its examples as the section that griffe expects."""

    def link(match: re.Match[str]) -> str:
        name = match[1]
        parts = name.split(".")
        near = [known for known in KNOWN if known.split(".")[-1] == parts[-1] and known.split(".")[:2] == parts[:2]]
        return f"[`{name}`][{min(near)}]" if near and name.startswith("axialzoo.") else f"`{name}`"

    return EXAMPLE.sub(r"\1Examples:\n", ROLE.sub(link, text))


class Roles(Extension):
    """Extension that rewrites the roles of every docstring."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = linked(obj.docstring.value)
