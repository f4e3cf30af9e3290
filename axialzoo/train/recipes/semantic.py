"""A class for every pixel, in masks of one's own: size and epochs follow the data and the model.

    axialzoo train semantic --data FOLDER --out runs/mine
    axialzoo train --model medical_transformer --data FOLDER --out runs/mine

No weights ship for these models: training begins at random, and its epochs show about 8,000 pictures.
"""

from typing import Any

from axialzoo.data.augment import ScaleCrop
from axialzoo.spec import Preprocessing
from axialzoo.train.automatic import DataSummary
from axialzoo.train.recipe import Recipe

TASK = "semantic_segmentation"
RECIPE = Recipe(
    model="axial_unet",
    preprocessing=Preprocessing(size=(128, 128), resize="squash", crop=1.0, mean=(0.5,) * 3, std=(0.5,) * 3),
    batch_size=4,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=1e-2,
    augment="scale_crop",
    scale_crop=ScaleCrop(scales=(1.0, 1.5), color_jitter=0.2),
    holdout_share=0.2,
)


def suits(kind: str, things: bool) -> bool:
    """Tell whether annotations of this kind are segments, none of them an object."""
    return kind == "segments" and not things


def fields_for(data: DataSummary) -> dict[str, Any]:
    """Return the fields that follow the data: input size in the pictures' proportions, normalisation of the weights, epochs."""
    height, width = data.spec.input_size
    size = data.input_size(height * width, 32)
    preprocessing = data.inputs(size=size, resize="squash", crop=1.0)
    epochs = data.epochs(2400 if data.pretrained else 8000, at_most=200)
    return {"preprocessing": preprocessing, "epochs": epochs, "eval_every": max(epochs // 20, 1)}
