"""A spec is its JSON: there and back is the identity, and nothing unknown is let through."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axialzoo.spec import Model, Preprocessing, SpecError, cost, from_dict, get_entry, list_models, num_parameters, parameters, to_dict
from tests.spec.strategies import models, preprocessings

quick = settings(max_examples=40, deadline=None)


def there_and_back(spec):
    return from_dict(type(spec), json.loads(json.dumps(to_dict(spec), allow_nan=False)))


@quick
@given(models())
def test_any_model_survives_json(spec):
    assert there_and_back(spec) == spec


@quick
@given(preprocessings)
def test_any_preprocessing_survives_json(spec):
    assert there_and_back(spec) == spec


@pytest.mark.parametrize("name", list_models())
def test_registered_models_survive_json(name):
    assert there_and_back(get_entry(name).spec) == get_entry(name).spec


@quick
@given(models())
def test_any_model_has_tensors_of_unique_names_and_a_cost(spec):
    tensors = parameters(spec)
    assert len({tensor.name for tensor in tensors}) == len(tensors)
    assert len({tensor.keras_name for tensor in tensors}) == len(tensors)
    actual = cost(spec)
    assert actual.parameters == num_parameters(spec) > 0 and actual.multiply_adds > actual.attention_multiply_adds >= 0


def paths(data, path=()):
    """Every object in the JSON, by its path."""
    if isinstance(data, dict):
        yield path
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from paths(value, (*path, key))


def at(data, path):
    for key in path:
        data = data[key]
    return data


DATA = to_dict(get_entry("axial_resnet26_s").spec)
OBJECTS = [path for path in paths(DATA) if path[:3] != ("backbone", "stages", 1)][:14]


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: ".".join(map(str, path)) or "model")
def test_an_unknown_field_anywhere_is_refused(path):
    data = copy.deepcopy(DATA)
    at(data, path)["colour"] = 1
    with pytest.raises(SpecError, match="colour: unknown field"):
        from_dict(Model, data)


def test_a_misspelt_field_is_refused_with_the_nearest_name():
    data = copy.deepcopy(DATA)
    data["backbone"]["norm"]["epsilom"] = data["backbone"]["norm"].pop("epsilon")
    with pytest.raises(SpecError, match=r"Model\.backbone\.norm\.epsilom: unknown field; did you mean 'epsilon'\?"):
        from_dict(Model, data)


def test_a_missing_field_is_named():
    data = copy.deepcopy(DATA)
    del data["backbone"]["stem"]
    with pytest.raises(SpecError, match=r"Model\.backbone: missing field stem"):
        from_dict(Model, data)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("num_classes",), "1000"),
        (("num_classes",), True),
        (("num_classes",), -1),
        (("num_classes",), 1.0),
        (("task",), "clasification"),
        (("input_size",), [224]),
        (("input_size",), 224),
        (("input_size",), [224, 0]),
        (("backbone",), None),
        (("backbone", "stages"), []),
        (("backbone", "stages"), {}),
        (("backbone", "activation"), "rellu"),
        (("backbone", "activation"), ["relu"]),
        (("backbone", "pre_activation"), 1),
        (("backbone", "norm", "epsilon"), float("nan")),
        (("backbone", "norm", "epsilon"), float("inf")),
        (("backbone", "norm", "epsilon"), "1e-5"),
        (("backbone", "norm", "momentum"), -0.1),
        (("backbone", "stages", 0, "blocks", 0, "kind"), "axail"),
        (("backbone", "stages", 0, "blocks", 0, "channels"), [64]),
        (("backbone", "stages", 0, "blocks", 0, "stride"), 3),
        (("backbone", "stages", 0, "blocks", 0, "attention"), None),
        (("backbone", "stages", 0, "blocks", 0, "drop_path"), 1.0),
        (("backbone", "stages", 0, "blocks", 0, "attention", "span"), 4),
        (("backbone", "stages", 0, "blocks", 0, "attention", "heads"), 7),
        (("backbone", "stages", 0, "blocks", 0, "attention", "similarity"), ["query", "content"]),
        (("backbone", "stages", 0, "blocks", 0, "attention", "value"), []),
        (("backbone", "stem", "convs", 0, "kernel"), 4),
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_is_refused(path, value):
    data = copy.deepcopy(DATA)
    at(data, path[:-1])[path[-1]] = value
    with pytest.raises(SpecError):
        from_dict(Model, data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["backbone", "stem", "stages", "kind", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([path for path in OBJECTS]), st.data())
def test_any_json_in_any_place_is_a_spec_or_a_spec_error(path, data):
    changed = copy.deepcopy(DATA)
    place = at(changed, path)
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(json_values)
    try:
        assert there_and_back(from_dict(Model, changed)) == from_dict(Model, changed)
    except SpecError:
        pass


@pytest.mark.parametrize("data", [None, [], 1, "model", {}])
def test_what_is_no_object_is_refused(data):
    with pytest.raises(SpecError):
        from_dict(Model, data)


def test_preprocessing_needs_a_deviation_for_every_mean():
    with pytest.raises(SpecError, match="one value per channel"):
        Preprocessing(mean=(0.5,), std=(0.5, 0.5))
