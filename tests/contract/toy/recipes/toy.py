"""A recipe that the tests make known: pictures of bright and dark, ten steps."""

from axialzoo.data.augment import ScaleCrop
from axialzoo.spec import Preprocessing
from axialzoo.train.recipe import Recipe

RECIPE = Recipe(
    model="toy_xs",
    preprocessing=Preprocessing(size=(32, 32), resize="none", crop=1.0, mean=(0.5,) * 3, std=(0.5,) * 3),
    epochs=10,
    batch_size=8,
    learning_rate=0.5,
    augment="scale_crop",
    scale_crop=ScaleCrop(scales=(1.0, 1.0), hflip=True, color_jitter=0.0),
    eval_every=10,
)
