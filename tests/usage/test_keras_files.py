"""Compiled models in Keras's own files: what `fit` needs to go on comes back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.backends("torch", full=("tensorflow", "jax"))
X, Y = np.random.default_rng(0).normal(size=(8, 32, 32, 3)).astype("float32"), np.arange(8) % 3


def compiled(**options: Any) -> Any:
    import keras

    from axialzoo.keras import axial_resnet_cifar10_xs

    keras.utils.set_random_seed(0)
    model = axial_resnet_cifar10_xs(num_classes=3)
    model.compile(keras.optimizers.AdamW(1e-3), **options)
    return model


def values(variables) -> list[np.ndarray]:
    import keras

    return [keras.ops.convert_to_numpy(variable.value) for variable in variables]


def equal(left: list[np.ndarray], right: list[np.ndarray]) -> bool:
    return len(left) == len(right) and all(np.array_equal(a, b) for a, b in zip(left, right))


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_file_holds_optimizer_loss_and_metrics(suffix, tmp_path):
    import keras

    model = compiled()
    model.fit(X, Y, verbose=0, epochs=2)
    model.save(tmp_path / f"model.{suffix}")
    again = keras.models.load_model(tmp_path / f"model.{suffix}")
    assert type(again) is type(model) and again.compiled
    assert equal(values(again.optimizer.variables), values(model.optimizer.variables))
    assert not equal(values(again.optimizer.variables), values(compiled().optimizer.variables))
    assert again.evaluate(X, Y, verbose=0, return_dict=True) == model.evaluate(X, Y, verbose=0, return_dict=True)
    again.fit(X, Y, verbose=0, shuffle=False)
    model.fit(X, Y, verbose=0, shuffle=False)
    assert int(again.optimizer.iterations) == 3 and equal(values(again.weights), values(model.weights))
    again.compile("sgd")  # without a loss: that of the head
    again.fit(X, Y, verbose=0, shuffle=False)


def test_options_of_the_heads_own_loss_come_back_or_are_refused(tmp_path):
    import keras

    model = compiled(loss_options={"label_smoothing": 0.3})
    model.fit(X, {"labels": Y}, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert (again.loss_options, again.own_loss) == ({"label_smoothing": 0.3}, True)
    assert again.evaluate(X, {"labels": Y}, verbose=0) == model.evaluate(X, {"labels": Y}, verbose=0)
    with pytest.raises(ValueError, match=r"loss_options; save the model as \.keras"):
        model.save(tmp_path / "model.h5")


@pytest.mark.full
def test_a_run_that_was_cut_goes_on_from_its_backup(tmp_path):
    import keras

    class Cut(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def fit(model: Any, *callbacks: Any) -> Any:
        return model.fit(X, Y, epochs=4, verbose=0, shuffle=False, callbacks=list(callbacks))

    def backup() -> Any:
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    whole, begun, resumed = compiled(), compiled(), compiled()
    fit(whole)
    with pytest.raises(KeyboardInterrupt):
        fit(begun, backup(), Cut())
    history = fit(resumed, backup(), keras.callbacks.ModelCheckpoint(tmp_path / "best.keras"))
    assert len(history.history["loss"]) == 2 and int(resumed.optimizer.iterations) == 4
    assert equal(values(resumed.weights), values(whole.weights))
    best = keras.models.load_model(tmp_path / "best.keras")
    assert equal(values(best.optimizer.variables), values(whole.optimizer.variables))
