"""Objects of one's own in boxes: size, proportions and epochs follow the data and the model.

    axialzoo train --model axial_fcos_blood_cells --data FOLDER --out runs/mine

A model that has weights begins from them, and its epochs show about 2,400 pictures; one without begins at random and sees 16,000.
"""

from typing import Any

from axialzoo.data.augment import ScaleCrop
from axialzoo.spec import Preprocessing
from axialzoo.train.automatic import DataSummary
from axialzoo.train.recipe import Recipe

TASK = "detection"
RECIPE = Recipe(
    model="axial_fcos_blood_cells",
    preprocessing=Preprocessing(size=(288, 384), resize="longer"),
    batch_size=8,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.05,
    ema_decay=0.99,
    augment="scale_crop",
    scale_crop=ScaleCrop(scales=(0.8, 1.5), color_jitter=0.2),
    holdout_share=0.2,
)


def suits(kind: str, things: bool) -> bool:
    """Tell whether annotations of this kind are boxes."""
    return kind == "boxes"


def fields_for(data: DataSummary) -> dict[str, Any]:
    """Return the fields that follow the data: input size in the pictures' proportions, normalisation of the weights, epochs."""
    height, width = data.spec.input_size
    size = data.input_size(height * width, 32)
    preprocessing = data.inputs(size=size, resize="longer")
    epochs = data.epochs(2400 if data.pretrained else 16000, at_most=200)
    return {"preprocessing": preprocessing, "epochs": epochs, "eval_every": max(epochs // 20, 1)}
