# %% [markdown]
# # Detect objects
#
# `axial_fcos_blood_cells` ships with weights: it puts red cells, white cells and platelets of a blood smear into boxes.

# %%
from collections import Counter
from PIL import Image
from axialzoo import load_runner
from axialzoo.tasks import task_of

runner = load_runner("axial_fcos_blood_cells", framework="torch")
result = runner.predict("docs/photos/blood_cells.jpg")
sure = [box for box in result.to_json()["boxes"] if box["score"] >= 0.5]
print(Counter(box["label"] for box in sure))
print(sure[0])
assert 10 <= len(sure) <= 40

# %%
picture = Image.open("docs/photos/blood_cells.jpg")
task_of(runner.config.spec.head).draw(picture, {"axial_fcos_blood_cells": result})

# %% [markdown]
# Boxes are `left, top, right, bottom` in pixels of the picture that you gave, whatever size the network worked at. Many doubtful ones come
# along, with low scores: average precision wants them. Where you want to count, choose a score on pictures of your own.
#
# ## Your own objects
#
# YOLO's folders, COCO's JSON and others are read as they are ([formats](../guide/data.md)). Here the objects are drawn: squares and discs on a
# photograph, boxes in YOLO's files.

# %%
import numpy as np
from pathlib import Path
from PIL import ImageDraw

random = np.random.default_rng(0)
ground = Image.open("docs/photos/coffee.jpg").convert("RGB")
Path("shapes").mkdir()
Path("shapes/classes.txt").write_text("square\ndisc\n")
for number in range(48):
    split = "val" if number % 6 == 0 else "train"
    x, y = random.integers(0, 600 - 128), random.integers(0, 400 - 96)
    picture, lines = ground.crop((x, y, x + 128, y + 96)), []
    pen = ImageDraw.Draw(picture)
    for place in range(3):  # one in each third, so that none hides another
        kind, r = int(random.integers(2)), int(random.integers(9, 16))
        cx, cy = 21 + 43 * place + int(random.integers(-4, 5)), int(random.integers(18, 78))
        colour = tuple(int(value) for value in random.integers(120, 256, 3))
        (pen.ellipse if kind else pen.rectangle)((cx - r, cy - r, cx + r, cy + r), fill=colour)
        lines.append(f"{kind} {(cx + 0.5) / 128:.5f} {(cy + 0.5) / 96:.5f} {(2 * r + 1) / 128:.5f} {(2 * r + 1) / 96:.5f}")
    for folder in ("images", "labels"):
        Path("shapes", folder, split).mkdir(parents=True, exist_ok=True)
    picture.save(f"shapes/images/{split}/{number}.png")
    Path(f"shapes/labels/{split}/{number}.txt").write_text("\n".join(lines))

# %% [markdown]
# A recipe is a few numbers, and each can be another one. This run starts from the weights that found blood cells (`start`), on pictures of
# their own size. `check_run` looks at every sample and says what it found, before anything is trained.

# %%
from axialzoo.spec import Preprocessing
from axialzoo.train import check_run, run

settings = dict(
    init_from="axial_fcos_blood_cells",
    preprocessing=Preprocessing(size=(96, 128), resize="longer"),
    epochs=24,
    batch_size=8,
    holdout=0,
    eval_every=24,
    precision="float32",
    ema_decay=0.9,
    learning_rate=2e-3,
)
recipe, task, data, known = check_run("blood_cells", "shapes", **settings)
print(task.name, data.classes, known["train"])

# %%
import contextlib
import json
import os

with contextlib.redirect_stderr(open(os.devnull, "w")):  # the progress bar
    folder = run("blood_cells", "shapes", "runs/shapes", **settings)
losses = [line["loss"] for line in map(json.loads, open("runs/shapes/metrics.jsonl")) if "loss" in line]
print(f"loss {losses[0]:.2f} at the beginning, {losses[-1]:.2f} at the end")
assert losses[-1] < 0.9 * losses[0]

# %%
mine = load_runner(folder, framework="torch")
held_out = data.splits["val"][0]
task.draw(held_out.picture, {"ground truth": held_out.annotation, "prediction": mine.predict(held_out.picture)})

# %%
right = total = 0
for sample in (data.splits["val"][index] for index in range(len(data.splits["val"]))):
    detections = mine.predict(sample.picture)
    for box, kind in zip(sample.annotation.boxes, sample.annotation.labels):
        left, top = np.maximum(detections.boxes[:, :2], box[:2]).T
        stop, below = np.minimum(detections.boxes[:, 2:], box[2:]).T
        shared = np.maximum(stop - left, 0) * np.maximum(below - top, 0)
        sizes = (detections.boxes[:, 2:] - detections.boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
        fits = (shared / (sizes - shared) > 0.5) & (detections.scores > 0.3) & (detections.labels == kind)
        right, total = right + bool(fits.any()), total + 1
print(f"{right} of {total} objects found, in a box that overlaps the true one by half or more, under the right name")
assert right >= 0.6 * total, right

# %% [markdown]
# A minute on one core is enough for squares and discs. The blood cells took 46 minutes on two
# ([their recipe and figures](../tasks/detection.md)).
