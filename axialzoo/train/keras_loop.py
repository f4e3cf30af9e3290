"""Training in Keras, through `fit`: the recipe that PyTorch follows, on the tensorflow, jax or torch back end."""

from __future__ import annotations

# pyright: reportArgumentType=false, reportOperatorIssue=false, reportOptionalOperand=false
# (Keras declares few types, and what is inferred of its defaults is too narrow.)
from pathlib import Path

import keras
import numpy as np
from keras import ops

from axialzoo.checkpoint import Config
from axialzoo.data.batches import TrainBatches
from axialzoo.files import written_beside
from axialzoo.keras.distribution import data_parallel
from axialzoo.keras.models import create_model
from axialzoo.keras.projection import PositionAttention
from axialzoo.keras.weights import describe, variables
from axialzoo.runtime import Runner
from axialzoo.runtime.local import Outputs
from axialzoo.spec import Model, SpecError
from axialzoo.tasks import Task, batch_targets
from axialzoo.train.evaluation import score
from axialzoo.train.job import Job
from axialzoo.train.keras_average import Average
from axialzoo.train.log import Log
from axialzoo.train.progress import progress
from axialzoo.train.recipe import Recipe


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
    try:
        return _train(job)
    finally:
        if job.devices > 1:
            keras.distribution.set_distribution(None)


def _train(job: Job) -> keras.Model:
    recipe = job.recipe
    keras.utils.set_random_seed(recipe.seed)
    dtype = "mixed_bfloat16" if recipe.precision == "bfloat16" else "float32"
    model = create_model(recipe.model, recipe.start or False, features_only=False, dtype=dtype, **job.changes)
    batches = TrainBatches(job.training, recipe)
    optimizer = make_optimizer(recipe, batches.steps, model)
    jit = False if keras.backend.backend() == "tensorflow" else "auto"
    model.compile(optimizer=optimizer, loss_options=dict(recipe.loss), jit_compile=jit)
    optimizer.build(model.trainable_variables)
    average = Average(model, recipe.average) if recipe.average else None
    state_file = job.folder / "state.weights.h5"
    if job.resume and state_file.exists():
        model.load_weights(state_file)
        if average is not None:
            average.load(state_file)
    step = int(ops.convert_to_numpy(optimizer.iterations))
    log = Log(job.folder, step, job.figure)

    def finished() -> keras.Model:
        return model if average is None else average.model(model)

    with progress(f"training {recipe.model}", batches.steps, step) as bar:
        while step < batches.steps:
            epoch = step // batches.per_epoch
            set_train_gates(model, recipe.trains_gates(epoch))
            watcher = Watcher(step, batches, log, bar, average, state_file, job.save_every)
            model.fit(Epoch(batches, step, job.task, model.spec), epochs=1, verbose=0, shuffle=False, callbacks=[watcher])
            step = (epoch + 1) * batches.per_epoch
            if step == batches.steps or (epoch + 1) % recipe.score_every == 0:
                if len(job.held_out):
                    scored = finished()
                    config = describe(scored, job.labels, recipe.preprocessing)
                    log.write(step=step, epoch=step / batches.per_epoch, **score(Shared(scored, config, job.devices), job.held_out))
                    log.draw()
                save_state(model, average, state_file)
    return finished()


class Shared:
    """A runner of a model on several devices, which takes batches that do not divide among them."""

    def __init__(self, model: keras.Model, config: Config, devices: int):
        self.runner, self.config, self.devices = Runner.of_model(model, config), config, devices

    def outputs(self, x: np.ndarray) -> Outputs:
        more = -len(x) % self.devices
        found = self.runner.outputs(np.concatenate([x, x[:1].repeat(more, 0)]) if more else x)
        return {name: [one[: len(x)] for one in value] if isinstance(value, list) else value[: len(x)] for name, value in found.items()}


class Epoch(keras.utils.PyDataset):
    """The batches from `step` to the end of its epoch: images, and the targets of the task by name."""

    def __init__(self, batches: TrainBatches, step: int, task: Task, spec: Model):
        super().__init__()
        self.batches, self.step, self.task, self.spec = batches, step, task, spec

    def __len__(self) -> int:
        return self.batches.per_epoch - self.step % self.batches.per_epoch

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, truths = self.batches[self.step + index]
        return layout(x), batch_targets(self.task, truths, self.spec, x.shape[1:3])


class Watcher(keras.callbacks.Callback):
    """Follows the average, writes the log, moves the progress bar and saves the state."""

    def __init__(self, step: int, batches: TrainBatches, log: Log, bar, average: Average | None, state_file: Path, save_every: int):
        super().__init__()
        self.step, self.batches, self.log, self.bar = step, batches, log, bar
        self.average, self.state_file, self.save_every = average, state_file, save_every

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        step, batches = self.step, self.batches
        if self.average is not None:
            self.average.update(self.model)
        if step % 20 == 0 or step == batches.steps:
            loss = float((logs or {})["loss"])  # the mean since the epoch began
            rate, size = batches.recipe.rate(step - 1, batches.steps), batches.recipe.size(step - 1, batches.steps)
            self.log.write(step=step, epoch=step / batches.per_epoch, loss=loss, learning_rate=rate, size=size)
            self.bar(step, f"loss {loss:.3f}")
        if step % self.save_every == 0 and step % batches.per_epoch:
            save_state(self.model, self.average, self.state_file)


@keras.saving.register_keras_serializable(package="axialzoo")
class Rate(keras.optimizers.schedules.LearningRateSchedule):
    """`Recipe.rate` as a Keras schedule: linear up, then linear down."""

    def __init__(self, peak: float, warm: float, steps: int):
        self.peak, self.warm, self.steps = peak, warm, steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        return self.peak * ops.minimum((step + 1) / (self.warm + 1), (self.steps - step) / (self.steps - self.warm))

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
    """Keeps weight decay from what does not decay, as :attr:`axialzoo.spec.Parameter.decays` says; before the optimizer is built."""
    optimizer.exclude_from_weight_decay(var_list=[variable for parameter, variable in variables(model) if not parameter.decays])


def make_optimizer(recipe: Recipe, steps: int, model: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer, with the recipe's learning rate and decay for `model`."""
    rate = Rate(recipe.learning_rate, recipe.warmup * steps, steps)
    if recipe.optimizer == "sgd":
        nesterov, decay = recipe.momentum > 0, recipe.weight_decay or None
        optimizer = keras.optimizers.SGD(rate, recipe.momentum, nesterov=nesterov, weight_decay=decay)
    else:
        optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, beta_1=recipe.momentum, epsilon=1e-7)
    decay_by_role(optimizer, model)
    return optimizer


def save_state(model: keras.Model, average: Average | None, path: Path) -> None:
    with written_beside(path) as beside:
        model.save_weights(beside)
        if average is not None:
            average.save(beside)


def layout(x: np.ndarray) -> np.ndarray:
    """(n, H, W, 3) as the back end wants its images."""
    return x if keras.config.image_data_format() == "channels_last" else x.transpose(0, 3, 1, 2)
