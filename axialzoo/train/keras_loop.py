"""Training in Keras, through `fit`: the recipe that PyTorch follows, on the tensorflow, jax or torch back end."""

from __future__ import annotations

# pyright: reportArgumentType=false, reportOperatorIssue=false, reportOptionalOperand=false
# (Keras declares few types, and what is inferred of its defaults is too narrow.)
from typing import Any

import keras
import numpy as np
from keras import ops

from axialzoo.checkpoint import Config
from axialzoo.files import atomic_write
from axialzoo.keras.distribution import data_parallel
from axialzoo.keras.factory import create_model
from axialzoo.keras.projection import PositionAttention
from axialzoo.keras.weights import describe, variables
from axialzoo.runtime import Runner
from axialzoo.runtime.device import AUTO, find_device, keras_device
from axialzoo.runtime.local import Outputs
from axialzoo.spec import SpecError
from axialzoo.train.job import Job
from axialzoo.train.keras_ema import EMA
from axialzoo.train.loop import TrainLoop
from axialzoo.train.recipe import Recipe, warmup_linear


def train(job: Job) -> keras.Model:
    """Train and return the model; its state lies in the run's folder all the while, so that a stopped run resumes at its last save.

    Returns:
        The model, or its running average where the recipe has one.
    """
    recipe = job.recipe
    if recipe.precision == "float64":
        raise SpecError("precision: expected float32 or bfloat16 in Keras, whose optimizers compute in float32, found 'float64'")
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

    def __init__(self, job: Job):
        recipe, jit = job.recipe, False if keras.backend.backend() == "tensorflow" else "auto"
        dtype = "mixed_bfloat16" if recipe.precision == "bfloat16" else "float32"
        model = create_model(recipe.model, recipe.init_from or False, features_only=False, dtype=dtype, **job.changes)
        keras.callbacks.Callback.__init__(self)
        super().__init__(job)
        self.optimizer = make_optimizer(recipe, self.batches.steps, model)
        model.compile(optimizer=self.optimizer, loss_options=dict(recipe.loss), jit_compile=jit)
        self.optimizer.build(model.trainable_variables)
        self.ema = EMA(model, recipe.ema_decay) if recipe.ema_decay else None
        self.state_file = job.folder / "state.weights.h5"
        self.set_model(model)

    def load_state(self) -> int:
        """Load the last save, if there is one, and return the number of finished steps."""
        if self.state_file.exists():
            self.model.load_weights(self.state_file)
            if self.ema is not None:
                self.ema.load(self.state_file)
        return int(ops.convert_to_numpy(self.optimizer.iterations))

    def save_state(self) -> None:
        with atomic_write(self.state_file) as beside:
            self.model.save_weights(beside)
            if self.ema is not None:
                self.ema.save(beside)

    def is_finite(self) -> bool:
        tensors = [variable.value for variable in (*self.model.variables, *self.optimizer.variables)]
        tensors += [] if self.ema is None else self.ema.tensors
        arrays: list[Any] = [ops.convert_to_numpy(tensor) for tensor in tensors]
        return all(bool(np.isfinite(array).all()) for array in arrays if np.issubdtype(array.dtype, np.floating))

    def runner(self) -> PaddedRunner:
        model = self.finished()
        return PaddedRunner(model, describe(model, self.job.labels, self.recipe.preprocessing), self.job.devices)

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {})["loss"]  # the mean since the epoch began
        self.check_loss(float(loss), self.step)
        self.after_step({"total": loss})


class PaddedRunner:
    """A runner of a model on several devices, which takes batches that do not divide among them."""

    def __init__(self, model: keras.Model, config: Config, devices: int):
        self.runner, self.config, self.devices = Runner.of_model(model, config), config, devices

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

    def __init__(self, peak: float, warm: float, steps: int):
        self.peak, self.warm, self.steps = peak, warm, steps

    def __call__(self, step):
        return warmup_linear(ops.cast(step, "float32"), self.peak, self.warm, self.steps, ops.minimum)

    def get_config(self):
        return {"peak": self.peak, "warm": self.warm, "steps": self.steps}


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
    rate = WarmupLinearSchedule(recipe.learning_rate, recipe.warmup * steps, steps)
    if recipe.optimizer == "sgd":
        nesterov, decay = recipe.momentum > 0, recipe.weight_decay or None
        optimizer = keras.optimizers.SGD(rate, recipe.momentum, nesterov=nesterov, weight_decay=decay)
    else:
        optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, beta_1=recipe.momentum, epsilon=1e-7)
    decay_by_role(optimizer, model)
    return optimizer


def layout(x: np.ndarray) -> np.ndarray:
    """(n, H, W, 3) as the back end wants its images."""
    return x if keras.config.image_data_format() == "channels_last" else x.transpose(0, 3, 1, 2)
