"""The learning rate rises and falls as the recipe says; recipes refuse what they do not know."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from axialzoo.data.augment import ScaleCrop
from axialzoo.spec import SpecError
from axialzoo.train import list_recipes, load_recipe
from axialzoo.train.recipe import RENAMED, Recipe


def test_the_rate_rises_and_falls_to_nothing():
    recipe = load_recipe("cifar10", batch_size=8, epochs=2, holdout=0, progressive_sizes=((0.5, 24),))
    rates = [recipe.lr_at(step, 100) for step in range(100)]
    assert max(rates) == pytest.approx(recipe.learning_rate, rel=0.01) and np.argmax(rates) == 10
    assert rates[0] < 0.02 and rates[-1] < 0.002 and np.all(np.diff(rates[10:]) < 0)


def test_unknown_recipes_and_fields_are_named():
    assert "cifar10" in list_recipes()
    with pytest.raises(SpecError, match="did you mean 'cifar10'"):
        load_recipe("cifar")
    with pytest.raises(SpecError, match="did you mean 'learning_rate'"):
        load_recipe("cifar10", learning_rat=1.0)
    with pytest.raises(SpecError, match=r"Recipe\.progressive_sizes: expected pairs"):
        load_recipe("cifar10", progressive_sizes="((0.5,24),)")
    with pytest.raises(SpecError, match=r"Recipe\.optimizer"):
        load_recipe("cifar10", optimizer="sdg")
    with pytest.raises(SpecError, match=r"Recipe\.scale_crop\.color_jiter: unknown field; did you mean 'color_jitter'"):
        load_recipe("nuclei", scale_crop={"color_jiter": 0.1})


def test_settings_of_settings_change_one_by_one():
    plain = load_recipe("nuclei")
    changed = load_recipe("nuclei", scale_crop={"scales": [1.0, 2.0]})
    assert changed.scale_crop == replace(plain.scale_crop, scales=(1.0, 2.0)) != plain.scale_crop
    assert replace(changed, scale_crop=plain.scale_crop) == plain


@pytest.mark.parametrize("name", RENAMED)
def test_an_earlier_name_of_a_field_is_refused_with_the_new_one(name):
    known = {field.name for cls in (Recipe, ScaleCrop) for field in fields(cls)}
    assert name not in known and set(RENAMED[name].split(" or ")) <= known
    for overrides in ({name: 1}, {"scale_crop": {name: 1}}):
        with pytest.raises(SpecError, match=f"has no field '{name}': its name is {RENAMED[name]} now"):
            load_recipe("nuclei", **overrides)
