"""Blood cells in microscopy (BCCD): red cells, white cells and platelets, each in a box.

    axialzoo train blood_cells --data FOLDER --out runs/blood_cells

On 2 CPU cores with bfloat16 instructions, shared with other work, it takes about 46 minutes and gives an AP50 of 0.923 and an AP of 0.626
on the test pictures.

Pictures of 640 x 480 are seen at 0.6 of their size. They have no up and down: quarter turns and mirror images are as good as the
original. The boxes are noisy (many red cells at borders and in clumps have none), so that 0.9 of AP50 is about what can be had.
"""

from axialzoo.data.augment import ScaleCrop
from axialzoo.spec import Preprocessing
from axialzoo.train.recipe import Recipe

RECIPE = Recipe(
    model="axial_fcos_blood_cells",
    preprocessing=Preprocessing(size=(288, 384), resize="longer"),
    epochs=180,
    batch_size=8,
    optimizer="adamw",
    learning_rate=2e-3,
    warmup=0.05,
    momentum=0.9,
    weight_decay=0.05,
    ema_decay=0.998,
    augment="scale_crop",
    scale_crop=ScaleCrop(scales=(0.8, 1.5), hflip=True, rot90=True, color_jitter=0.2),
    precision="bfloat16",
    holdout=21,
    eval_every=10,
)
