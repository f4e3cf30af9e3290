"""Nuclei of fluorescence microscopy by a small mask transformer, beside the recipe `nuclei`.

    axialzoo train nuclei_masks --data FOLDER --out runs/nuclei_masks
    axialzoo train nuclei_masks --model kmax_deeplab_nuclei --data FOLDER --out runs/nuclei_kmax

An image has as many masks as the model has slots, 128, so that images with more nuclei lose the smallest, and say so.
"""

from axialzoo.data.augment import ScaleCrop
from axialzoo.spec import Preprocessing
from axialzoo.train.recipe import Recipe

RECIPE = Recipe(
    model="max_deeplab_nuclei",
    preprocessing=Preprocessing(size=(256, 256), resize="none", crop=1.0, mean=(0.5,) * 3, std=(0.5,) * 3, per_image=True),
    epochs=140,
    batch_size=8,
    optimizer="adamw",
    learning_rate=1e-3,
    warmup=0.05,
    momentum=0.9,
    weight_decay=0.05,
    ema_decay=0.998,
    augment="scale_crop",
    scale_crop=ScaleCrop(scales=(0.75, 1.75), hflip=True, rot90=True, color_jitter=0.3),
    precision="bfloat16",
    holdout=24,
    eval_every=10,
)
