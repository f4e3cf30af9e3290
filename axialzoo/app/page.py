"""The layout and the events of the page. Only this file and `serve` need gradio."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from PIL import Image

from axialzoo.app import html
from axialzoo.app.attention_view import attention_view, blocks, visible
from axialzoo.app.models import Runners, frameworks
from axialzoo.app.predictions import open_uploaded, predict_picture, preview, python_code
from axialzoo.app.samples import samples
from axialzoo.errors import EXPECTED, as_text
from axialzoo.spec import KINDS

TITLE = "axialzoo: see what axial attention sees"
KIND = "axial_local"  # of attention to compare: it uses the same weights as the model
MIDDLE = 50.0  # per cent


def unread(payload: ImageData | None) -> str | None:
    """Return the path of an uploaded file without opening it, so that axialzoo reports errors in its own words."""
    return None if payload is None else payload.path


def build(models: Sequence[str], runners: Runners) -> gr.Blocks:
    """Build the page.

    Args:
        models: Models to choose from: see :func:`axialzoo.app.models.offered`.
        runners: Cache of runners.
    """
    page = _Page(models, runners)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 24 * 3600)) as blocks:
        page.draw()
        page.connect(blocks)
    return blocks


class _Page:
    """The components of the page, and their events."""

    def __init__(self, models: Sequence[str], runners: Runners):
        self.models, self.runners = list(models), runners
        self.frameworks = {title: name for name, title in frameworks().items()}
        self.first = next((sample for sample in samples() if sample.model in self.models), samples()[0])
        self.start = self.first.model if self.first.model in self.models else self.models[0]

    def draw(self) -> None:
        """Lay out the components, from top to bottom."""
        gr.HTML(html.header())
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=300):
                gr.HTML('<div class="az-section"><h2>Choose a picture</h2></div>')
                self.picture = gr.Image(
                    str(self.first.path), sources=["upload", "webcam", "clipboard"], type="filepath", label="Picture", height=330,
                    buttons=["fullscreen"], elem_id="az-picture",
                )  # fmt: skip
                vars(self.picture)["preprocess"] = unread  # that of gradio opens the file
                self.preview = gr.Image(
                    label="As it is read", interactive=False, visible=False, buttons=[], elem_id="az-preview", type="pil", format="png",
                )  # fmt: skip
                with gr.Accordion("Page and channel of a TIFF", open=False, elem_classes="az-more"):
                    self.page = gr.Number(0, label="Page (0: the first)", precision=0, minimum=0, elem_id="az-page")
                    self.channel = gr.Number(0, label="Channel (0: all)", precision=0, minimum=0, elem_id="az-channel")
                with gr.Row(elem_classes="az-samples"):
                    self.samples = [gr.Button(sample.title, icon=sample.path, size="sm") for sample in samples()]
            with gr.Column(scale=6, min_width=300):
                gr.HTML('<div class="az-section"><h2>Predict it with a model</h2></div>')
                self.model = gr.Dropdown(self.models, value=self.start, label="Model", elem_id="az-model")
                titles = list(self.frameworks)
                self.chosen = gr.CheckboxGroup(titles, value=titles[:1], label="Computed by", elem_id="az-frameworks")
                self.button = gr.Button("Predict", variant="primary", elem_id="az-predict")
                self.result = gr.HTML(html.waiting("Computing …"), elem_id="az-result")
        with gr.Row(elem_classes="az-take"):
            self.as_json = gr.DownloadButton("Result as JSON", size="sm", interactive=False, elem_id="az-json")
            self.as_picture = gr.DownloadButton("Result as picture", size="sm", interactive=False, elem_id="az-drawn")
        self.code = gr.Textbox(
            python_code(self.start, self.first.path.name, next(iter(self.frameworks.values()))), label="This prediction in Python",
            lines=3, max_lines=9, interactive=False, buttons=["copy"], elem_id="az-code",
        )  # fmt: skip
        self._draw_attention()

    def _draw_attention(self) -> None:
        gr.HTML(
            '<div class="az-section"><h2>Attention from a point</h2><p>Click anywhere in the picture, which shows the part that the model '
            "sees. Axial attention takes two steps: the point attends to its row, and each position of the row to its column.</p></div>"
        )
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=260):
                self.point = gr.Image(
                    label="Click a point",
                    interactive=False,
                    buttons=[],
                    elem_id="az-point",
                    alt_text="The part of the picture that the model sees: click a point",
                    type="pil",
                    format="png",
                )
                with gr.Accordion("Point, layer and kind", open=False, elem_classes="az-more"):
                    self.across = gr.Slider(0, 100, MIDDLE, step=1, label="Point: % from the left", elem_id="az-across")
                    self.down = gr.Slider(0, 100, MIDDLE, step=1, label="Point: % from the top", elem_id="az-down")
                    self.layer = gr.Dropdown([], label="Layer", elem_id="az-layer")
                    self.kind = gr.Dropdown(list(KINDS), value=KIND, label="Kind of attention to compare", elem_id="az-kind")
            with gr.Column(scale=8, min_width=300):
                self.attention = gr.HTML(html.waiting("Computing …"), elem_id="az-attention")

    def connect(self, blocks: gr.Blocks) -> None:
        """Connect the events of the components."""
        place = [self.page, self.channel]
        prediction_inputs = [self.picture, self.model, self.chosen, self.across, self.down, self.kind, *place]
        point_inputs = [self.picture, self.model, self.layer, self.across, self.down, self.kind, *place]
        attention_outputs = [self.point, self.attention]
        all_outputs = [self.result, self.as_json, self.as_picture, self.code, self.preview, self.layer, *attention_outputs]
        # of the events during a computation the last one runs afterwards; by default gradio drops them all
        quiet: dict[str, Any] = {"show_progress": "minimal", "concurrency_id": "compute", "concurrency_limit": 1}
        quiet["trigger_mode"] = "always_last"

        for button, sample in zip(self.samples, samples()):
            model = sample.model if sample.model in self.models else gr.skip()
            chosen = button.click(
                lambda sample=sample, model=model: (str(sample.path), model, 0, 0), None, [self.picture, self.model, *place], queue=False
            )
            chosen.then(self.everything, prediction_inputs, all_outputs, **quiet)
        # the browser reports the removal of a picture before it is gone: an empty step lets it go first
        changed = self.picture.input(lambda: (0, 0), None, place, queue=False, trigger_mode="always_last")
        fields = (self.model.input, self.chosen.input, self.page.input, self.channel.input)
        for event in (changed.then, *fields, self.button.click, blocks.load):
            event(self.everything, prediction_inputs, all_outputs, **quiet)
        self.point.select(self.clicked, self.point, [self.across, self.down], queue=False).then(
            self.see, point_inputs, attention_outputs, **quiet
        )
        for event in (self.across.release, self.down.release, self.layer.input, self.kind.input):
            event(self.see, point_inputs, attention_outputs, **quiet)

    def everything(
        self, path: str | None, model: str, titles: Sequence[str], across: float, down: float, kind: str, page: int = 0, channel: int = 0
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the result, then the attention; one event, so that no other event runs between them."""
        predicted = *self.predict(path, model, titles, page, channel), self.layers(model)
        yield *predicted, gr.skip(), html.waiting("Computing …")
        yield *(gr.skip() for _ in predicted), *self.see(path, model, None, across, down, kind, page, channel)

    def predict(self, path: str | None, model: str, titles: Sequence[str], page: int = 0, channel: int = 0) -> tuple[Any, ...]:
        """Return the result, its downloads, the code, and the picture as it is read where browsers show it otherwise."""
        names = [name for title, name in self.frameworks.items() if title in titles]
        nothing = (gr.DownloadButton(interactive=False), gr.DownloadButton(interactive=False))
        if path is None:
            return html.waiting("Choose a picture, or take one with the camera."), *nothing, gr.skip(), gr.Image(visible=False)
        try:
            prediction = predict_picture(self.runners, model, Path(path), names, page, channel)
            shown = preview(Path(path), page, channel)
        except EXPECTED as error:
            return html.failed(as_text(error)), *nothing, gr.skip(), gr.Image(visible=False)
        files = prediction.write(Path(tempfile.mkdtemp(prefix="axialzoo_")))
        buttons = [gr.DownloadButton(value=str(file), interactive=True) for file in files]
        code = python_code(model, prediction.name, names[0], page, channel)
        return html.results(prediction), *buttons, code, gr.Image(shown, visible=shown is not None)

    def layers(self, model: str) -> Any:
        """Return the choice of blocks with attention, with the middle one selected."""
        try:
            known = blocks(model)
        except EXPECTED:
            known = []
        return gr.Dropdown(known, value=known[len(known) // 2] if known else None)

    def clicked(self, shown: Image.Image, event: gr.SelectData) -> tuple[float, float]:
        """Return the clicked point, in per cent from the left and from the top."""
        x, y = event.index
        return 100 * x / shown.width, 100 * y / shown.height

    def see(
        self, path: str | None, model: str, layer: str | None, across: float, down: float, kind: str, page: int = 0, channel: int = 0
    ) -> tuple[Any, str]:
        """Return the part of the picture that the model sees, and the attention from the point."""
        if path is None:
            return None, html.waiting("Choose a picture first.")
        share = (across / 100, down / 100)
        try:
            picture = open_uploaded(Path(path), page, channel)
            return visible(model, picture, share), html.attention_html(attention_view(model, picture, share, layer, kind))
        except EXPECTED as error:
            return None, html.failed(as_text(error))
