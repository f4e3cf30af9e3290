"""Panoptic segmentation of COCO's photographs by a mask transformer: MaX-DeepLab-S's published settings at 641 pixels.

    axialzoo train coco_panoptic --data FOLDER --out runs/coco
    axialzoo train coco_panoptic --model kmax_deeplab_resnet50 --data FOLDER --out runs/kmax

The settings are those of deeplab2's configs/coco/max_deeplab/max_deeplab_s_os16_res641_100k.textproto: 100,000 steps of 64 images, 54
epochs, at a rate of 3e-4; PQ 45.9 is published for them. Theirs starts from ImageNet weights, decays the rate as a polynomial, trains the
backbone at a tenth of it and adds colour policies; the rate here falls linearly and is one for all. kMaX-DeepLab's own settings: 1281
pixels, 150,000 steps, a rate of 5e-4 and a weight decay of 0.05.
"""

from axialzoo.data.augment import ScaleCrop
from axialzoo.spec import Preprocessing
from axialzoo.train.recipe import Recipe

RECIPE = Recipe(
    model="max_deeplab_s",
    preprocessing=Preprocessing(size=(641, 641), resize="longer", interpolation="bilinear", crop=1.0, mean=(0.5,) * 3, std=(0.5,) * 3),
    epochs=54,
    batch_size=64,
    optimizer="adamw",
    learning_rate=3e-4,
    warmup=0.05,
    momentum=0.9,
    weight_decay=0.0,
    augment="scale_crop",
    scale_crop=ScaleCrop(scales=(0.5, 1.5), hflip=True, rot90=False, color_jitter=0.2),
    precision="bfloat16",
    eval_every=2,
)
