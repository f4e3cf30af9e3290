"""Street scenes (CamVid, 11 classes, 480 x 360): the classes of all pixels, from random weights.

    axialzoo train camvid --data FOLDER --out runs/camvid

Crops grow as training goes on, from 256 x 192 to 384 x 288, and show pictures at half to twice their size, under other lights: most of
the test pictures are of a drive that no training picture shows. Rare classes (poles, signs, people) count more, by the square root of
how rare they are. All 367 training pictures are trained on; the data's own 101 validation pictures are watched.
"""

from axialzoo.data.augment import ScaleCrop
from axialzoo.spec import Preprocessing
from axialzoo.train.recipe import Recipe

RECIPE = Recipe(
    model="axial_deeplab_camvid",
    preprocessing=Preprocessing(size=(360, 480), resize="none", mean=(0.5,) * 3, std=(0.5,) * 3),
    epochs=280,
    progressive_sizes=((0.5, 192), (0.85, 240), (1.0, 288)),
    batch_size=8,
    optimizer="adamw",
    learning_rate=3e-3,
    warmup=0.05,
    momentum=0.9,
    weight_decay=0.05,
    ema_decay=0.998,
    loss={"top_k": (0.4, 1.0, 1.0), "class_weights": (0.5, 0.43, 2.1, 0.38, 1.0, 0.65, 2.0, 2.0, 0.85, 2.5, 3.0)},
    augment="scale_crop",
    scale_crop=ScaleCrop(scales=(0.9, 2.4), hflip=True, color_jitter=0.4, color_cast=0.2),
    precision="bfloat16",
    eval_every=40,
)
