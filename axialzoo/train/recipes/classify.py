"""Pictures of classes of one's own: size, proportions and epochs follow the data and the model.

    axialzoo train --model axial_resnet_cifar10 --data FOLDER --out runs/mine

A model that has weights begins from them, and its epochs show about 4,800 pictures; one without begins at random and sees 40,000.
"""

from typing import Any

from axialzoo.data.augment import ScaleCrop
from axialzoo.spec import Preprocessing
from axialzoo.train.automatic import DataSummary
from axialzoo.train.recipe import Recipe

TASK = "classification"
RECIPE = Recipe(
    model="axial_resnet_cifar10",
    preprocessing=Preprocessing(size=(32, 32), resize="squash", crop=1.0, mean=(0.5,) * 3, std=(0.25,) * 3),
    batch_size=32,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.05,
    ema_decay=0.99,
    loss={"label_smoothing": 0.1},
    augment="scale_crop",
    scale_crop=ScaleCrop(scales=(1.0, 1.5), color_jitter=0.3),
    holdout_share=0.2,
)


def suits(kind: str, things: bool) -> bool:
    """Tell whether annotations of this kind are classes of whole pictures."""
    return kind == "classes"


def fields_for(data: DataSummary) -> dict[str, Any]:
    """Return the fields that follow the data: input size in the pictures' proportions, normalisation of the weights, epochs."""
    height, width = data.spec.input_size
    size = data.input_size(height * width, 4 if height < 64 else 32)
    return {"preprocessing": data.inputs(size=size, resize="squash", crop=1.0), "epochs": data.epochs(4800 if data.pretrained else 40000)}
