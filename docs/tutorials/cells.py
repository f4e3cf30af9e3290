# %% [markdown]
# # Segment cells
#
# `axial_deeplab_nuclei` ships with weights: it gives every pixel of a fluorescence picture to a nucleus or to the background, and tells
# touching nuclei apart. Each pixel says how likely it is a nucleus, how close it is to a centre, and where its centre lies; nuclei
# are read off those maps ([how](../tasks/segmentation.md)).

# %%
from axialzoo import load_runner

runner = load_runner("axial_deeplab_nuclei", framework="torch")
result = runner.predict("docs/photos/nuclei.png")
nuclei = [segment for segment in result.segments_info if result.categories[segment["label_id"]].thing]
print(len(nuclei), "nuclei; the largest have", sorted((nucleus["area"] for nucleus in nuclei), reverse=True)[:5], "pixels")
assert 20 < len(nuclei) < 120

# %%
from PIL import Image
from axialzoo.tasks import task_of

picture = Image.open("docs/photos/nuclei.png").convert("RGB")
task_of(runner.config.spec.head).draw(picture, {"axial_deeplab_nuclei": result})

# %% [markdown]
# A result is plain numbers: `map` has the number of each pixel's segment, `masks` one mask a segment, `boxes` their boxes. What a biologist
# asks of a picture is then a line or two:

# %%
import numpy as np

grey = np.asarray(picture.convert("L"), float)
areas = np.array([nucleus["area"] for nucleus in nuclei])
light = np.array([grey[result.segmentation == nucleus["id"]].mean() for nucleus in nuclei])
print(f"area: median {np.median(areas):.0f}, from {areas.min()} to {areas.max()} pixels")
print(f"brightness inside {light.mean():.1f}, outside {grey[result.class_map == 0].mean():.1f} of 255")
assert light.mean() > 1.5 * grey[result.class_map == 0].mean()

# %% [markdown]
# ## A picture too large for memory
#
# Slides are cut tile by tile. Maps are blended where tiles overlap and objects are read off once, at the end, so that a nucleus on a seam
# is one nucleus. Here is a slide of four pictures, mirrored into one another, looked at whole and in tiles:

# %%
pixels = np.asarray(picture)
slide = np.vstack([np.hstack([pixels, pixels[:, ::-1]]), np.hstack([pixels[::-1], pixels[::-1, ::-1]])])
whole, tiled = runner.predict(slide), runner.predict(slide, tile=256, overlap=64)
agree = (whole.class_map == tiled.class_map).mean()
print(slide.shape, len(whole), "segments at once,", len(tiled), f"in tiles; {100 * agree:.2f} % of the pixels have the same class")
assert agree > 0.98 and abs(len(whole) - len(tiled)) < 0.1 * len(whole)

# %% [markdown]
# ## How good is it?
#
# On the 50 validation pictures of its data PQ is 86.1 % and mask AP50 86.2 %. On pictures of your own you find out with a folder of
# `images/` and `labels/`, where a label is a PNG with a number for each object and 0 for the background. Here the ground truth is made: bright ellipses
# on a dark, noisy ground, which the network has never seen.

# %%
from pathlib import Path
from PIL import ImageDraw
from axialzoo.train import evaluate

random = np.random.default_rng(1)
for number in range(4):
    annotation, shown = Image.new("I;16", (256, 256)), np.zeros((256, 256))
    pen = ImageDraw.Draw(annotation)
    for cell in range(1, 31):
        (x, y), (a, b) = random.integers(20, 236, 2), random.integers(7, 13, 2)
        pen.ellipse((x - a, y - b, x + a, y + b), fill=cell)
    ids = np.asarray(annotation)
    shown = np.where(ids > 0, random.uniform(60, 110, 31)[ids], 12) + random.normal(0, 4, ids.shape)
    for folder, image in (("images", Image.fromarray(shown.clip(0, 255).astype("uint8"))), ("labels", annotation)):
        (Path("cells/val") / folder).mkdir(parents=True, exist_ok=True)
        image.save(Path("cells/val") / folder / f"{number}.png")
Path("cells/labels.json").write_text('{"maps": "instances", "labels": ["background", "nucleus"]}')

figures = evaluate("axial_deeplab_nuclei", "cells", framework="torch", save_vis="runs/worst")
print(f"PQ of nuclei {figures['pq_things']:.3f}, mIoU {figures['miou']:.3f}")
assert figures["miou"] > 0.8 and figures["pq_things"] > 0.5

# %% [markdown]
# `pictures=` has written each picture with its truth beside it, the worst first:

# %%
Image.open(sorted(Path("runs/worst").iterdir())[0])

# %% [markdown]
# On a stain of yours the network may be worse than on its own: then fine-tune it on your own folder, from these weights:
#
#     axialzoo train nuclei --data FOLDER --out runs/cells --set init_from=axial_deeplab_nuclei --dry-run
#     axialzoo predict slide.png --model runs/cells/model --tile 512x512 --overlap 64 --out overlay.png
