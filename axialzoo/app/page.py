"""The page: what is where, and what happens when something is pressed. The only file beside `serve` that needs gradio."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from PIL import Image

from axialzoo.app import parts
from axialzoo.app.answers import answer, code, opened
from axialzoo.app.looks import attention_view, blocks, visible
from axialzoo.app.models import Runners, frameworks
from axialzoo.app.samples import samples
from axialzoo.errors import EXPECTED, as_text
from axialzoo.spec import KINDS

TITLE = "axialzoo: see what axial attention sees"
KIND = "axial_local"  # of attention, beside the model's own: it takes the same weights
MIDDLE = 50.0  # per cent


def unread(payload: ImageData | None) -> str | None:
    """Where a picture lies as the user gave it: whether it is one, and what is wrong with it, axialzoo says in its own words."""
    return None if payload is None else payload.path


def build(models: Sequence[str], runners: Runners) -> gr.Blocks:
    """The page.

    Args:
        models: What can be chosen: see :func:`axialzoo.app.models.offered`.
        runners: What computes.
    """
    page = _Page(models, runners)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 24 * 3600)) as blocks:
        page.draw()
        page.connect(blocks)
    return blocks


class _Page:
    """The parts of the page, and what they do."""

    def __init__(self, models: Sequence[str], runners: Runners):
        self.models, self.runners = list(models), runners
        self.frameworks = {title: name for name, title in frameworks().items()}
        self.first = next((sample for sample in samples() if sample.model in self.models), samples()[0])
        self.start = self.first.model if self.first.model in self.models else self.models[0]

    def draw(self) -> None:
        """Everything, from top to bottom."""
        gr.HTML(parts.header())
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=300):
                gr.HTML('<div class="az-section"><h2>Choose a picture</h2></div>')
                self.picture = gr.Image(
                    str(self.first.path), sources=["upload", "webcam", "clipboard"], type="filepath", label="Picture", height=330,
                    buttons=["fullscreen"], elem_id="az-picture",
                )  # fmt: skip
                vars(self.picture)["preprocess"] = unread  # gradio's own opens it
                with gr.Row(elem_classes="az-samples"):
                    self.samples = [gr.Button(sample.title, icon=sample.path, size="sm") for sample in samples()]
            with gr.Column(scale=6, min_width=300):
                gr.HTML('<div class="az-section"><h2>See what a model says of it</h2></div>')
                self.model = gr.Dropdown(self.models, value=self.start, label="Model", elem_id="az-model")
                titles = list(self.frameworks)
                self.chosen = gr.CheckboxGroup(titles, value=titles[:1], label="Computed by", elem_id="az-frameworks")
                self.button = gr.Button("Predict", variant="primary", elem_id="az-predict")
                self.result = gr.HTML(parts.waiting("Computing …"), elem_id="az-result")
        with gr.Row(elem_classes="az-take"):
            self.as_json = gr.DownloadButton("Result as JSON", size="sm", interactive=False, elem_id="az-json")
            self.as_picture = gr.DownloadButton("Result as a picture", size="sm", interactive=False, elem_id="az-drawn")
        self.code = gr.Textbox(
            code(self.start, self.first.path.name, next(iter(self.frameworks.values()))), label="The same in Python", lines=3, max_lines=9,
            interactive=False, buttons=["copy"], elem_id="az-code",
        )  # fmt: skip
        self._draw_looks()

    def _draw_looks(self) -> None:
        gr.HTML(
            '<div class="az-section"><h2>What attention sees from a point</h2><p>Click anywhere in the picture, which is what the model '
            "sees of it. First the point looks along its row; then, from everything there, along the columns.</p></div>"
        )
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=260):
                self.point = gr.Image(
                    label="Click a point",
                    interactive=False,
                    buttons=[],
                    elem_id="az-point",
                    alt_text="What the model sees: click a point",
                    type="pil",
                    format="png",
                )
                with gr.Accordion("Point, layer and kind", open=False, elem_classes="az-more"):
                    self.across = gr.Slider(0, 100, MIDDLE, step=1, label="Point: % from the left", elem_id="az-across")
                    self.down = gr.Slider(0, 100, MIDDLE, step=1, label="Point: % from the top", elem_id="az-down")
                    self.layer = gr.Dropdown([], label="Layer", elem_id="az-layer")
                    self.kind = gr.Dropdown(list(KINDS), value=KIND, label="Kind of attention beside it", elem_id="az-kind")
            with gr.Column(scale=8, min_width=300):
                self.looks = gr.HTML(parts.waiting("Computing …"), elem_id="az-looks")

    def connect(self, blocks: gr.Blocks) -> None:
        """What happens when."""
        prediction_inputs = [self.picture, self.model, self.chosen, self.across, self.down, self.kind]
        point_inputs = [self.picture, self.model, self.layer, self.across, self.down, self.kind]
        attention_outputs = [self.point, self.looks]
        all_outputs = [self.result, self.as_json, self.as_picture, self.code, self.layer, *attention_outputs]
        # what is asked while an answer is on its way is answered after it, the last alone; gradio's default is to drop it
        quiet: dict[str, Any] = {"show_progress": "minimal", "concurrency_id": "compute", "concurrency_limit": 1}
        quiet["trigger_mode"] = "always_last"

        for button, sample in zip(self.samples, samples()):
            model = sample.model if sample.model in self.models else gr.skip()
            chosen = button.click(lambda sample=sample, model=model: (str(sample.path), model), None, [self.picture, self.model], queue=False)
            chosen.then(self.everything, prediction_inputs, all_outputs, **quiet)
        # the browser says that a picture was taken away while it is still there: a step that does nothing lets it go first
        changed = self.picture.input(lambda: None, None, None, queue=False, trigger_mode="always_last")
        for event in (changed.then, self.model.input, self.chosen.input, self.button.click, blocks.load):
            event(self.everything, prediction_inputs, all_outputs, **quiet)
        self.point.select(self.clicked, self.point, [self.across, self.down], queue=False).then(self.see, point_inputs, attention_outputs, **quiet)
        for event in (self.across.release, self.down.release, self.layer.input, self.kind.input):
            event(self.see, point_inputs, attention_outputs, **quiet)

    def everything(
        self, path: str | None, model: str, titles: Sequence[str], across: float, down: float, kind: str
    ) -> Iterator[tuple[Any, ...]]:
        """The result as soon as it is there, then what attention sees: one event, so that nothing comes between."""
        predicted = *self.predict(path, model, titles), self.layers(model)
        yield *predicted, gr.skip(), parts.waiting("Computing …")
        yield *(gr.skip() for _ in predicted), *self.see(path, model, None, across, down, kind)

    def predict(self, path: str | None, model: str, titles: Sequence[str]) -> tuple[Any, ...]:
        """The result, what to take away, and the code."""
        names = [name for title, name in self.frameworks.items() if title in titles]
        nothing = (gr.DownloadButton(interactive=False), gr.DownloadButton(interactive=False))
        if path is None:
            return parts.waiting("Choose a picture, or take one with the camera."), *nothing, gr.skip()
        try:
            prediction = answer(self.runners, model, Path(path), names)
        except EXPECTED as error:
            return parts.failed(as_text(error)), *nothing, gr.skip()
        files = prediction.write(Path(tempfile.mkdtemp(prefix="axialzoo_")))
        buttons = [gr.DownloadButton(value=str(file), interactive=True) for file in files]
        return parts.results(prediction), *buttons, code(model, prediction.name, names[0])

    def layers(self, model: str) -> Any:
        """The blocks of the model that attend, the middle one chosen."""
        try:
            known = blocks(model)
        except EXPECTED:
            known = []
        return gr.Dropdown(known, value=known[len(known) // 2] if known else None)

    def clicked(self, shown: Image.Image, event: gr.SelectData) -> tuple[float, float]:
        """The point, in per cent from the left and from the top."""
        x, y = event.index
        return 100 * x / shown.width, 100 * y / shown.height

    def see(self, path: str | None, model: str, layer: str | None, across: float, down: float, kind: str) -> tuple[Any, str]:
        """What the model sees of the picture, and what attention sees from the point."""
        if path is None:
            return None, parts.waiting("Choose a picture first.")
        share = (across / 100, down / 100)
        try:
            picture = opened(Path(path))
            return visible(model, picture, share), parts.attention_html(attention_view(model, picture, share, layer, kind))
        except EXPECTED as error:
            return None, parts.failed(as_text(error))
