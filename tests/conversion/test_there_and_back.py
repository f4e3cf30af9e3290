"""Every pair of formats, there and back, keeps every bit of the weights and all that is known about them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from axialzoo.checkpoint import Config, digest, save_checkpoint
from axialzoo.runtime.convert import convert, read_any, write_any
from tests.strategies import preprocessing_of, specs, weights

FILES = {"folder": "folder", "safetensors": "lone.safetensors", "torch": "model.pth", "h5": "model.weights.h5", "keras": "model.keras"}
HERE = ("folder", "safetensors", "torch")  # the formats of this process; Keras's are each back end's own
quick = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


# every pair with a format of Keras's, in both directions
WALK = (
    "h5",
    "folder",
    "h5",
    "safetensors",
    "h5",
    "torch",
    "h5",
    "keras",
    "folder",
    "keras",
    "safetensors",
    "keras",
    "torch",
    "keras",
    "h5",
)


def there_and_back(folder: Path, config: Config, tensors, first: str, second: str) -> None:
    """Writes `first`, converts it to `second` and back, and compares everything with what was written."""
    item, two, three = folder / "one" / FILES[first], folder / "two" / FILES[second], folder / "three" / FILES[first]
    write_any(item, config, tensors)
    reports = [convert(item, two), convert(two, three)]
    assert {report["digest"] for report in reports} == {digest(tensors)}
    for path in (item, two, three):
        assert_same(path, config, tensors)


def walk(folder: Path, config: Config, tensors) -> None:
    """Writes each format of `WALK` from what was read of the one before, and compares each with the first."""
    actual, arrays = config, tensors
    for step, kind in enumerate(WALK):
        path = folder / str(step) / FILES[kind]
        write_any(path, actual, arrays)
        actual, arrays = assert_same(path, config, tensors)


def assert_same(path: Path, config: Config, tensors):
    actual, arrays = read_any(path)
    assert sorted(arrays) == sorted(tensors)
    for name, array in tensors.items():
        assert arrays[name].dtype == array.dtype and arrays[name].tobytes() == array.tobytes(), (path, name)
    assert actual.digest == digest(tensors)
    assert actual.spec == config.spec and actual.labels == config.labels and actual.preprocessing == config.preprocessing
    assert json.dumps(actual.provenance, sort_keys=True) == json.dumps(config.provenance, sort_keys=True)
    return actual, arrays


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(HERE, 2)))
@given(spec=specs(), seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from(("float32", "float32", "float16", "float64")))
@quick
def test_every_pair_of_formats_is_bit_exact_there_and_back(tmp_path_factory, first, second, spec, seed, dtype):
    config = Config("custom", spec, (), preprocessing_of(spec), {"seed": seed, "note": "Ä \u2028 \U0001f600"})
    there_and_back(tmp_path_factory.mktemp("pair"), config, weights(spec, seed, dtype), first, second)


def test_a_lost_bit_is_seen_by_the_comparison_of_every_pair(tmp_path, monkeypatch):
    """The planted error of the test above: a writer that rounds negative zeros away."""
    from tests.conversion import small

    tensors = small.tensors()
    tensors["head.fc.bias"][0] = -0.0
    lossy = {name: array + np.zeros((), array.dtype) for name, array in tensors.items()}  # -0.0 + 0.0 = 0.0, which == says is equal
    assert all(np.array_equal(lossy[name], array) for name, array in tensors.items())
    monkeypatch.setitem(
        there_and_back.__globals__, "write_any", lambda path, config, _, write=write_any, **how: write(path, config, lossy, **how)
    )
    with pytest.raises(AssertionError):
        there_and_back(tmp_path, small.CONFIG, tensors, "folder", "torch")


@pytest.mark.full
@pytest.mark.backends("torch", full=("tensorflow", "jax"))
@pytest.mark.parametrize("examples", [3, pytest.param(25, marks=pytest.mark.full)])
def test_every_pair_with_keras_formats_is_bit_exact_there_and_back(tmp_path, examples):
    """The walk over all pairs, for `examples` random specs."""
    import keras

    count = itertools.count()

    @given(spec=specs(stages=1, blocks_each=1), seed=st.integers(0, 2**32 - 1))
    @settings(quick, max_examples=examples, phases=(Phase.explicit, Phase.generate))  # shrinking would rebuild models for minutes
    def check(spec, seed):
        walk(tmp_path / str(next(count)), Config("custom", spec, (), preprocessing_of(spec), {"seed": seed}), weights(spec, seed))
        keras.backend.clear_session()

    check()
    assert next(count) == examples and len({frozenset(pair) for pair in itertools.pairwise(WALK)}) == 7


def test_a_file_that_does_not_say_what_it_is_takes_the_config_beside_it_then_the_name(tmp_path):
    from axialzoo.checkpoint import CheckpointError, default_config, write_safetensors
    from axialzoo.spec import get_entry

    spec = get_entry("axial_resnet_cifar10_xs").spec
    tensors = weights(spec, 3)
    bare = tmp_path / "bare.safetensors"
    write_safetensors(bare, tensors)
    with pytest.raises(CheckpointError, match="does not say which model it is"):
        convert(bare, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert convert(bare, tmp_path / "named", model="axial_resnet_cifar10_xs")["model"] == "axial_resnet_cifar10_xs"
    with pytest.raises(CheckpointError, match="misshapen"):
        convert(bare, tmp_path / "out", model="axial_resnet_cifar10")
    save_checkpoint(tmp_path / "other", default_config(spec, "axial_resnet_cifar10_xs"), tensors)
    (tmp_path / "other" / "config.json").rename(tmp_path / "config.json")
    assert convert(bare, tmp_path / "beside.pth")["model"] == "axial_resnet_cifar10_xs"
    with pytest.raises(ValueError, match="is read as input"):
        convert(bare, bare)
    with pytest.raises(CheckpointError, match=r"found '\.h5'; Keras wants \.weights\.h5"):
        convert(bare, tmp_path / "model.h5")
    with pytest.raises(CheckpointError, match="leave out the model's name"):
        convert(tmp_path / "named", tmp_path / "out", model="axial_resnet26_s")
