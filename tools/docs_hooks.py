"""Hooks of the MkDocs build: pages of the tutorials, tables of models, and a check of the built site.

``tools/tutorials.py`` runs the tutorials before the build; an outdated page of a tutorial ends the build.
"""

from __future__ import annotations

import html.parser
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from axialzoo import list_models, model_info

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from tutorials import PAGES, SOURCES, stamp  # noqa: E402

MODELS = re.compile(r"^<!-- models: (.+) -->$", re.MULTILINE)
TITLES = {"top1": "ImageNet top-1", "cityscapes_pq": "Cityscapes PQ"}


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the page and the pictures of each tutorial."""
    for source in sorted(SOURCES.glob("*.py")):
        page = PAGES / f"{source.stem}.md"
        if not page.exists() or stamp(source.read_text()) not in page.read_text():
            raise PluginError(f"{source}: has not been run as it stands; run `python tools/tutorials.py {source.relative_to(ROOT)}`")
        for file in (page, *sorted(PAGES.glob(f"{source.stem}_[0-9]*.png"))):
            files.append(File.generated(config, f"tutorials/{file.name}", abs_src_path=str(file)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace ``<!-- models: PATTERN ... -->`` by the table of these models."""
    return MODELS.sub(lambda match: table(match[1].split()), markdown)


def table(patterns: list[str]) -> str:
    """Return a table of models with our figures and the published ones."""
    lines = ["| model | parameters | published | multiply-adds | published | at | published figure |", "|---|--:|--:|--:|--:|---|---|"]
    for name in list_models(*patterns):
        info = model_info(name)
        said, (height, width) = info["published"], info["input_size"]
        names = ", ".join(f"`{model_name}`" for model_name in (name, *info["aliases"]))
        count = f"{said['parameters']:,}" if "parameters" in said else "-"
        spent = f"{said['multiply_adds'] / 1e9:.3f} B" if "multiply_adds" in said else "-"
        figure = ", ".join(f"{title} {100 * said[key]:.1f} %" for key, title in TITLES.items() if key in said) or "-"
        ours = f"{info['parameters']:,} | {count} | {info['multiply_adds'] / 1e9:.3f} B | {spent}"
        lines.append(f"| {names} | {ours} | {height} x {width} | {figure} |")
    return "\n".join(lines)


class Fetched(html.parser.HTMLParser):
    """Parser that collects addresses on other servers that a page makes a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        for name in ("src", "srcset", "data", "poster") + (("href",) if tag == "link" and attributes.get("rel") != "canonical" else ()):
            value = attributes.get(name) or ""
            if value.startswith(("http:", "https:", "//")):
                self.found.append(value)


def on_post_build(config: Any, **_: Any) -> None:
    """End the build where a page would load something from another server."""
    for page in sorted(Path(config.site_dir).rglob("*.html")):
        parser = Fetched()
        parser.feed(page.read_text())
        if parser.found:
            raise PluginError(f"{page}: fetches {', '.join(parser.found)} from elsewhere")
