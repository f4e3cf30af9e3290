"""The learning rate rises and falls as the recipe says; recipes refuse what they do not know."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from axialzoo.spec import SpecError
from axialzoo.train import list_recipes, load_recipe


def test_the_rate_rises_and_falls_to_nothing():
    recipe = load_recipe("cifar10", batch_size=8, epochs=2, holdout=0, sizes=((0.5, 24),))
    rates = [recipe.rate(step, 100) for step in range(100)]
    assert max(rates) == pytest.approx(recipe.learning_rate, rel=0.01) and np.argmax(rates) == 10
    assert rates[0] < 0.02 and rates[-1] < 0.002 and np.all(np.diff(rates[10:]) < 0)


def test_unknown_recipes_and_fields_are_named():
    assert "cifar10" in list_recipes()
    with pytest.raises(SpecError, match="did you mean 'cifar10'"):
        load_recipe("cifar")
    with pytest.raises(SpecError, match="did you mean 'learning_rate'"):
        load_recipe("cifar10", learning_rat=1.0)
    with pytest.raises(SpecError, match=r"Recipe\.optimizer"):
        load_recipe("cifar10", optimizer="sdg")
    with pytest.raises(SpecError, match=r"Recipe\.scale_crop\.colours: unknown field; did you mean 'colour'"):
        load_recipe("nuclei", scale_crop={"colours": 0.1})


def test_settings_of_settings_change_one_by_one():
    plain = load_recipe("nuclei")
    changed = load_recipe("nuclei", scale_crop={"scales": [1.0, 2.0]})
    assert changed.scale_crop == replace(plain.scale_crop, scales=(1.0, 2.0)) != plain.scale_crop
    assert replace(changed, scale_crop=plain.scale_crop) == plain
