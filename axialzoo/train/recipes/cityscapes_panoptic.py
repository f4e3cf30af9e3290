"""Panoptic segmentation of Cityscapes' street scenes by kMaX-DeepLab on ResNet-50: its published settings.

    axialzoo train cityscapes_panoptic --data FOLDER --out runs/cityscapes

The settings are those of deeplab2's configs/cityscapes/kmax_deeplab/kmax_meta_r50_os32.textproto: 60,000 steps of 32 images of 1025 x
2049, about 645 epochs, at a rate of 3e-4 with a weight decay of 0.05; PQ 64.3 is published for them. Theirs starts from ImageNet weights
and trains the encoder at a tenth of the rate; the rate here falls linearly and is one for all.
"""

from axialzoo.data.augment import ScaleCrop
from axialzoo.spec import Preprocessing
from axialzoo.train.recipe import Recipe

RECIPE = Recipe(
    model="kmax_deeplab_resnet50_cityscapes",
    preprocessing=Preprocessing(size=(1025, 2049), resize="none", crop=1.0, mean=(0.5,) * 3, std=(0.5,) * 3),
    epochs=645,
    batch_size=32,
    optimizer="adamw",
    learning_rate=3e-4,
    warmup=0.08,
    momentum=0.9,
    weight_decay=0.05,
    loss={"top_k": (1.0, 1.0, 0.2), "sample_temperature": 0.6},
    augment="scale_crop",
    scale_crop=ScaleCrop(scales=(0.5, 2.0), hflip=True, rot90=False, color_jitter=0.2),
    precision="bfloat16",
    eval_every=10,
)
