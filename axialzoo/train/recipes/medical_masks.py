"""Masks of nuclei (DSB-2018, two classes, 128 x 128): the Medical Transformer and the models that its paper compares it with.

    axialzoo train medical_masks --data FOLDER --out runs/medt --set model=medical_transformer

Adam at 1e-3, cross entropy and flips are the authors'; the pictures are stretched each to its own range and turned by quarters, and the
learning rate falls to 0, which theirs does not. The factors of gated attention are trained after 10 epochs, as in the authors' code.
"""

from axialzoo.data.augment import ScaleCrop
from axialzoo.spec import Preprocessing
from axialzoo.train.recipe import Recipe

RECIPE = Recipe(
    model="medical_transformer",
    preprocessing=Preprocessing(size=(128, 128), resize="squash", crop=1.0, mean=(0.0,) * 3, std=(1.0,) * 3, per_image=True),
    epochs=60,
    batch_size=4,
    optimizer="adamw",
    learning_rate=1e-3,
    warmup=0.05,
    momentum=0.9,
    weight_decay=1e-2,
    augment="scale_crop",
    scale_crop=ScaleCrop(scales=(1.0, 1.0), hflip=True, rot90=True, color_jitter=0.0),
    gate_start=10,
    holdout=24,
    eval_every=10,
)
