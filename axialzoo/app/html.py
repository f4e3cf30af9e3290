"""Results as HTML: every name that comes from a checkpoint or a file is escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

from PIL import Image

from axialzoo.app.attention_view import AttentionView, Panel
from axialzoo.app.predictions import FrameworkResult, Prediction
from axialzoo.image.draw import percent
from axialzoo.tasks.results import Classification

ROWS = 8  # listed classes or objects; the rest is counted
MARK = """<svg viewBox="0 0 49 49" aria-hidden="true" focusable="false">{cells}</svg>"""


def header() -> str:
    """Return the header of the page, with its description."""
    return (
        f'<header class="az-head">{_mark()}<div><h1>axialzoo</h1><p class="az-lead">Axial attention has two layers: one '
        "attends along every column, the next along every row. Through both, each point attends to every other, at a fraction of the "
        "cost of comparing all pairs.</p></div></header>"
    )


def failed(message: str) -> str:
    """Return an error message, which screen readers announce."""
    return f'<div class="az-error" role="alert"><strong>That did not work.</strong> {escape(message)}</div>'


def waiting(text: str) -> str:
    """Return a placeholder for a missing result."""
    return f'<p class="az-quiet">{escape(text)}</p>'


def results(prediction: Prediction) -> str:
    """Return a column for each framework, and the facts of the prediction."""
    columns = "".join(_column(column, prediction) for column in prediction.columns)
    said = "".join(f'<p class="az-quiet">{escape(prediction.name)}: {escape(note)}</p>' for note in prediction.notes)
    return f'<div class="az-columns az-of-{len(prediction.columns)}">{columns}</div>{said}{facts(prediction)}'


def facts(prediction: Prediction) -> str:
    """Return model, digest, time and memory."""
    rows = [("model", escape(prediction.config.model)), ("digest of the weights", f"<code>{escape(prediction.config.digest[:23])}…</code>")]
    for column in prediction.columns:
        memory = "" if column.memory is None else f", its process held {column.memory / 2**20:,.0f} MiB at most"
        rows.append((escape(column.title), f"{1000 * column.seconds:,.0f} ms{memory}"))
    return '<dl class="az-facts">' + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows) + "</dl>"


def attention_html(view: AttentionView) -> str:
    """Return the steps of attention, and the other kind of attention."""
    steps = "".join(_figure(panel, f"az-step az-step-{number}") for number, panel in enumerate(view.steps))
    learned = "" if view.weights == "trained" else " Random weights: an untrained model."
    caption = f"{view.layer}, a map of {view.map[0]} x {view.map[1]} positions, mean over the heads.{learned}"
    return (
        f'<div class="az-attention">{steps}{_figure(view.other, "az-other")}</div><p class="az-quiet">{escape(caption)} '
        "Bright: large attention weight; dark: none. Each picture is scaled to its own largest weight.</p>"
    )


def _column(column: FrameworkResult, prediction: Prediction) -> str:
    rows = column.result.summary()
    picture = ""
    if not isinstance(column.result, Classification):
        alt = f"{prediction.name} with the result of {column.title} drawn over it"
        picture = f'<img src="{_data(column.drawn)}" alt="{escape(alt)}">'
    heading = f'<h3>{escape(column.title)} <span class="az-quiet">{1000 * column.seconds:,.0f} ms</span></h3>'
    return f'<section class="az-column">{heading}{picture}{_rows(rows)}</section>'


def _rows(rows: Sequence[tuple[str, float]]) -> str:
    if not rows:
        return waiting("Nothing found.")
    bars = "".join(
        f'<li><span class="az-name">{escape(name)}</span><span class="az-score">{percent(score)}</span>'
        f'<span class="az-bar" aria-hidden="true"><span style="width:{100 * min(max(score, 0.0), 1.0):.1f}%"></span></span></li>'
        for name, score in rows[:ROWS]
    )
    more = len(rows) - ROWS
    return f'<ol class="az-rows">{bars}</ol>' + (waiting(f"and {more} more, in the JSON") if more > 0 else "")


def _figure(panel: Panel, kind: str) -> str:
    title, note = escape(panel.title), escape(panel.note)
    picture = "" if panel.picture is None else f'<img src="{_data(panel.picture)}" alt="{title}: {note}">'
    return f'<figure class="{kind}"><figcaption>{title}<span>{note}</span></figcaption>{picture}</figure>'


def _data(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _mark() -> str:
    """Return the logo: a point, its row and its column."""
    cells = ""
    for row in range(7):
        for column in range(7):
            kind = "p" if row == 4 and column == 2 else "r" if row == 4 else "c" if column == 2 else "o"
            cells += f'<rect class="{kind}" x="{column * 7 + 0.5}" y="{row * 7 + 0.5}" width="6" height="6" rx="1.4"/>'
    return MARK.format(cells=cells)
