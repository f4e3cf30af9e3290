"""Objects of one's own with a mask each: size, scale and epochs follow the data and the model.

    axialzoo train --model axial_deeplab_nuclei --data FOLDER --out runs/mine

A model that has weights begins from them, and its epochs show about 2,400 pictures; one without begins at random and sees 16,000.
Pictures of up to four times the model's input are seen at their own size, larger ones are made smaller.
"""

from typing import Any

from axialzoo.data.augment import ScaleCrop
from axialzoo.spec import Preprocessing
from axialzoo.train.automatic import DataSummary
from axialzoo.train.recipe import Recipe

TASK = "segmentation"
RECIPE = Recipe(
    model="axial_deeplab_nuclei",
    preprocessing=Preprocessing(size=(256, 256), resize="none", crop=1.0, mean=(0.5,) * 3, std=(0.5,) * 3),
    batch_size=8,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.05,
    ema_decay=0.99,
    augment="scale_crop",
    scale_crop=ScaleCrop(scales=(0.75, 1.5), color_jitter=0.3, tries=4),
    holdout_share=0.2,
)


def suits(kind: str, things: bool) -> bool:
    """Tell whether annotations of this kind are segments, some of them objects."""
    return kind == "segments" and things


def fields_for(data: DataSummary) -> dict[str, Any]:
    """Return the fields that follow the data: input size and scale, normalisation of the weights, epochs."""
    height, width = data.spec.input_size
    large = data.size[0] * data.size[1] > 4 * height * width
    size = data.input_size(height * width, 32) if large else (height, width)
    preprocessing = data.inputs(size=size, resize="longer" if large else "none", crop=1.0)
    epochs = data.epochs(2400 if data.pretrained else 16000, at_most=200)
    return {"preprocessing": preprocessing, "epochs": epochs, "eval_every": max(epochs // 20, 1)}
