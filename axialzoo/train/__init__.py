"""Training and evaluation: recipes, PyTorch through accelerate, Keras through `fit`. No task is named here but in `recipes`."""

from axialzoo.train.automatic import settle_recipe
from axialzoo.train.evaluation import evaluate, write_metrics
from axialzoo.train.recipe import Recipe, list_recipes, load_recipe
from axialzoo.train.run import check_run, run
from axialzoo.train.stopping import DivergedError, Interrupted

__all__ = [
    "DivergedError", "Interrupted", "Recipe", "check_run", "evaluate", "list_recipes", "load_recipe", "run", "settle_recipe",
    "write_metrics",
]  # fmt: skip
