"""Photographs of waste in six classes: TrashNet, and the network of CIFAR-10 at 48 x 64 pixels, begun from its weights.

    axialzoo train trashnet --data FOLDER --out runs/trashnet
    axialzoo train trashnet --data FOLDER --out runs/trashnet_scratch --set init_from=

The second line begins from random weights. Photographs are 256 x 192, so that 64 x 48 keeps their proportions; training begins
with 48 x 36. The attention of CIFAR-10 reaches 32 pixels; on longer axes it stays local. On a busy CPU core a step of 32 photographs takes
about 2.4 seconds at 48 x 64, and 18 at 96 x 128.
"""

from axialzoo.data.augment import ScaleCrop
from axialzoo.spec import Preprocessing
from axialzoo.train.recipe import Recipe

RECIPE = Recipe(
    model="axial_resnet_cifar10",
    preprocessing=Preprocessing(size=(48, 64), resize="squash", crop=1.0, mean=(0.5,) * 3, std=(0.25,) * 3),
    epochs=30,
    progressive_sizes=((0.4, 36),),
    batch_size=32,
    optimizer="adamw",
    learning_rate=1e-3,
    warmup=0.1,
    momentum=0.9,
    weight_decay=0.05,
    ema_decay=0.99,
    loss={"label_smoothing": 0.1},
    augment="scale_crop",
    scale_crop=ScaleCrop(scales=(1.0, 1.8), color_jitter=0.3, color_cast=0.1),
    precision="bfloat16",
    eval_every=10,
    init_from="axial_resnet_cifar10.cifar10",
)
