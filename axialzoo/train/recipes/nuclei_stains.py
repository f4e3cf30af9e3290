"""Nuclei of every stain and size: all pictures of DSB-2018 and a small Axial-DeepLab that begins as the one of fluorescence alone.

    axialzoo train nuclei_stains --data FOLDER --out runs/nuclei_stains
    axialzoo train nuclei_stains --data FOLDER --out runs/more --epochs 30 --set init_from=runs/nuclei_stains/model --set kind_balance=0.25

The weights that ship are of both runs; the second one draws 256 x 256 fluorescence more often, and had crops of 192 pixels until 1,148 of
its 1,740 steps.

Crops are cut at the pictures' own resolution, near and far by the same range of factors for all kinds; colours, hues and negatives
vary, so that the network learns shapes rather than one stain. Kinds of which there are few pictures are drawn more often.
"""

from axialzoo.data.augment import ScaleCrop
from axialzoo.spec import Preprocessing
from axialzoo.train.recipe import Recipe

RECIPE = Recipe(
    model="axial_deeplab_nuclei",
    preprocessing=Preprocessing(size=(256, 256), resize="none", crop=1.0, mean=(0.5,) * 3, std=(0.5,) * 3, per_image=True),
    epochs=25,
    progressive_sizes=((0.65, 192),),
    batch_size=8,
    optimizer="adamw",
    learning_rate=1.5e-3,
    warmup=0.03,
    momentum=0.9,
    weight_decay=0.05,
    ema_decay=0.998,
    loss={},
    postprocess={"top_k": 1000},
    augment="scale_crop",
    scale_crop=ScaleCrop(
        scales=(0.65, 1.7), native=True, tries=4, rot90=True, color_jitter=0.3, color_cast=0.15, hue=0.06, gray=0.15, invert=0.1
    ),
    kind_balance=0.5,
    precision="bfloat16",
    eval_every=15,
    init_from="axial_deeplab_nuclei.dsb2018",
)
