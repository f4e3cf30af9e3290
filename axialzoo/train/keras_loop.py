"""Training in Keras, through `fit`: the recipe that PyTorch follows, on the tensorflow, jax or torch back end."""

from __future__ import annotations

# pyright: reportArgumentType=false, reportOperatorIssue=false, reportOptionalOperand=false
# (Keras declares few types, and what is inferred of its defaults is too narrow.)
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from axialzoo.checkpoint import Config
from axialzoo.keras.distribution import data_parallel
from axialzoo.keras.factory import create_model
from axialzoo.keras.projection import PositionAttention
from axialzoo.keras.weights import describe, save_model, to_tensors, variables
from axialzoo.runtime import Runner
from axialzoo.runtime.device import AUTO, find_device, keras_device
from axialzoo.runtime.local import Outputs
from axialzoo.spec import SpecError
from axialzoo.train.job import Job
from axialzoo.train.keras_ema import EMA
from axialzoo.train.keras_optimizer import SGD, AdamW, smaller
from axialzoo.train.keras_state import ema_of, seeds_of, slots_of, take_earlier, take_state
from axialzoo.train.loop import TrainLoop
from axialzoo.train.recipe import Recipe, warmup_linear
from axialzoo.train.state import Notes, TrainState


def train(job: Job) -> keras.Model:
    """Train and return the model; its state lies in the run's folder all the while, so that a stopped run resumes at its last save.

    Returns:
        The model, or its running average where the recipe has one.
    """
    recipe = job.recipe
    if recipe.precision == "float64" and "64" not in str(getattr(ops.convert_to_tensor(np.zeros(1), "float64"), "dtype", "")):
        raise SpecError("precision: expected JAX_ENABLE_X64=1 in the environment for float64 on JAX, found it off")
    if recipe.batch_size % job.devices:
        raise SpecError(f"batch_size: expected a multiple of the {job.devices} devices, found {recipe.batch_size}")
    if job.devices > 1:
        keras.distribution.set_distribution(data_parallel(job.devices))
    backend = keras.backend.backend()
    device = None if job.device == AUTO else find_device(job.device, backend)
    try:
        with keras_device(device, backend):
            return _train(job)
    finally:
        if job.devices > 1:
            keras.distribution.set_distribution(None)


def _train(job: Job) -> keras.Model:
    keras.utils.set_random_seed(job.recipe.seed)
    loop = KerasLoop(job)
    with loop.followed(loop.load_state() if job.resume else 0):
        while loop.step < loop.batches.steps:
            set_train_gates(loop.model, job.recipe.trains_gates(loop.step // loop.batches.per_epoch))
            loop.model.fit(Epoch(loop), epochs=1, verbose=0, shuffle=False, callbacks=[loop])
            loop.score_if_due()
    return loop.finished()


class KerasLoop(TrainLoop, keras.callbacks.Callback):
    """Steps of a run in Keras: a callback of `fit`, whose `model` has JAX's state written back."""

    framework = "keras"

    def __init__(self, job: Job):
        recipe, jit = job.recipe, False if keras.backend.backend() == "tensorflow" else "auto"
        dtype = "mixed_bfloat16" if recipe.precision == "bfloat16" else recipe.precision
        model = create_model(recipe.model, recipe.init_from or False, features_only=False, dtype=dtype, **job.changes)
        keras.callbacks.Callback.__init__(self)
        super().__init__(job)
        if recipe.freeze:
            freeze_backbone(model)
        self.optimizer = make_optimizer(recipe, self.batches.steps, model)
        model.compile(optimizer=self.optimizer, loss_options=dict(recipe.loss), jit_compile=jit)
        self.optimizer.build(model.trainable_variables)
        self.ema = EMA(model, recipe.ema_decay) if recipe.ema_decay else None
        self.set_model(model)

    def state(self, notes: Notes) -> TrainState:
        model = self.model  # first: on JAX this writes the state of the step back
        slots, counts = slots_of(model, self.optimizer, notes.optimizer)
        ema, updates = ema_of(model, self.ema)
        return TrainState(replace(notes, counts=counts, ema_updates=updates, seeds=seeds_of(model)), to_tensors(model), slots, ema)

    def take_state(self, state: TrainState) -> None:
        take_state(state, self.model, self.optimizer, self.ema)

    def take_earlier(self, path: Path) -> int:
        return take_earlier(path, self.model, self.optimizer, self.ema)

    def is_finite(self) -> bool:
        tensors = [variable.value for variable in (*self.model.variables, *self.optimizer.variables)]
        tensors += [] if self.ema is None else self.ema.tensors
        arrays: list[Any] = [ops.convert_to_numpy(tensor) for tensor in tensors]
        return all(bool(np.isfinite(array).all()) for array in arrays if np.issubdtype(array.dtype, np.floating))

    def save_model(self, folder: Path, about: Mapping[str, Any]) -> None:
        begun = self.model.config.based_on() if self.model.config is not None else {}
        how: dict[str, Any] = {"labels": self.job.labels, "preprocessing": self.recipe.preprocessing}
        save_model(self.finished(), folder, **how, provenance={**about, **begun}, overwrite=True)

    def runner(self) -> PaddedRunner:
        model = self.finished()
        precision = "float64" if self.recipe.precision == "float64" else "float32"
        return PaddedRunner(model, describe(model, self.job.labels, self.recipe.preprocessing), self.job.devices, precision)

    def step_seconds(self) -> float:
        x, runner = self.batch(self.step)[0][:8], self.runner()
        for _ in range(2):  # the second one is compiled
            started = time.perf_counter()
            runner.outputs(x)
        return 3 * (time.perf_counter() - started) * max(self.recipe.batch_size / 8, 1.0)  # a backward pass takes twice a forward pass

    def epoch_loss(self) -> float:
        return float(self.losses[-1])  # `fit` gives the mean of the epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {})["loss"]  # the mean since the epoch began
        self.check_loss(float(loss), self.step)
        self.after_step({"total": loss})


class PaddedRunner:
    """A runner of a model on several devices, which takes batches that do not divide among them."""

    def __init__(self, model: keras.Model, config: Config, devices: int, precision: str = "float32"):
        self.runner, self.config, self.devices = Runner.of_model(model, config, precision), config, devices

    def outputs(self, x: np.ndarray) -> Outputs:
        more = -len(x) % self.devices
        outputs = self.runner.outputs(np.concatenate([x, x[:1].repeat(more, 0)]) if more else x)
        return {
            name: [level[: len(x)] for level in value] if isinstance(value, list) else value[: len(x)] for name, value in outputs.items()
        }


class Epoch(keras.utils.PyDataset):
    """The batches from a loop's next step to the end of its epoch: images, and the targets of the task by name."""

    def __init__(self, loop: TrainLoop):
        super().__init__()
        self.loop, self.step = loop, loop.step

    def __len__(self) -> int:
        return self.loop.batches.per_epoch - self.step % self.loop.batches.per_epoch

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, targets = self.loop.batch(self.step + index)
        return layout(x), targets


@keras.saving.register_keras_serializable(package="axialzoo")
class WarmupLinearSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """`Recipe.rate` as a Keras schedule: linear up, then linear down."""

    def __init__(self, peak: float, warm: float, steps: int, dtype: str = "float32"):
        self.peak, self.warm, self.steps, self.dtype = peak, warm, steps, dtype

    def __call__(self, step):
        return warmup_linear(ops.cast(step, self.dtype), self.peak, self.warm, self.steps, smaller)

    def get_config(self):
        return {"peak": self.peak, "warm": self.warm, "steps": self.steps, "dtype": self.dtype}


def freeze_backbone(model: keras.Model) -> None:
    """Keep the weights and the moving statistics of all but the head."""
    for layer in model.layers:
        if layer.variables and not any(variable.path.startswith("head/") for variable in layer.variables):
            layer.trainable = False


def set_train_gates(model: keras.Model, train_gates: bool) -> None:
    """Give the factors of gated attention their gradients, or zeros; the training step is traced again if that changes."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, PositionAttention) and layer.gates is not None]
    if any(layer.train_gates != train_gates for layer in layers):
        for layer in layers:
            layer.train_gates = train_gates
        model.make_train_function(force=True)


def decay_by_role(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> None:
    """Exclude variables from weight decay as :attr:`axialzoo.spec.Parameter.decays` says; call it before the optimizer is built."""
    optimizer.exclude_from_weight_decay(var_list=[variable for parameter, variable in variables(model) if not parameter.decays])


def make_optimizer(recipe: Recipe, steps: int, model: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer, with the recipe's learning rate and decay for `model`."""
    dtype = "float64" if recipe.precision == "float64" else "float32"
    rate = WarmupLinearSchedule(recipe.learning_rate, recipe.warmup * steps, steps, dtype)
    if recipe.optimizer == "sgd":
        nesterov, decay = recipe.momentum > 0, recipe.weight_decay or None
        optimizer = SGD(rate, recipe.momentum, nesterov=nesterov, weight_decay=decay)
    else:
        optimizer = AdamW(rate, weight_decay=recipe.weight_decay, beta_1=recipe.momentum, epsilon=1e-7)
    decay_by_role(optimizer, model)
    return optimizer


def layout(x: np.ndarray) -> np.ndarray:
    """(n, H, W, 3) as the back end wants its images."""
    return x if keras.config.image_data_format() == "channels_last" else x.transpose(0, 3, 1, 2)
