"""Training in Keras, through `fit`: the recipe that PyTorch follows, on the tensorflow, jax or torch back end."""

from __future__ import annotations

# pyright: reportArgumentType=false, reportOperatorIssue=false, reportOptionalOperand=false
# (Keras declares few types, and what is inferred of its defaults is too narrow.)
from pathlib import Path

import keras
import numpy as np
from keras import ops

from axialzoo.data import Split
from axialzoo.data.batches import TrainBatches
from axialzoo.files import written_beside
from axialzoo.keras.models import create_model
from axialzoo.keras.weights import describe, variables
from axialzoo.runtime import Runner
from axialzoo.train.evaluation import accuracy
from axialzoo.train.log import Log
from axialzoo.train.progress import progress
from axialzoo.train.recipe import Recipe


def train(recipe: Recipe, training: Split, held_out: Split, classes: int, folder: Path, resume: bool, save_every: int):
    """Train and return the model; its state lies in `folder` all the while, so that a stopped run resumes at its last save."""
    keras.utils.set_random_seed(recipe.seed)
    dtype = "mixed_bfloat16" if recipe.precision == "bfloat16" else "float32"
    model = create_model(recipe.model, recipe.start or False, num_classes=classes, drop_path=recipe.drop_path, dtype=dtype)
    batches = TrainBatches(training, recipe)
    optimizer = make_optimizer(recipe, batches.steps, model)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing)
    model.compile(optimizer=optimizer, loss=loss, jit_compile=False if keras.backend.backend() == "tensorflow" else "auto")
    optimizer.build(model.trainable_variables)
    state_file = folder / "state.weights.h5"
    if resume and state_file.exists():
        model.load_weights(state_file)
    step = int(ops.convert_to_numpy(optimizer.iterations))
    log = Log(folder, step)
    with progress(f"training {recipe.model}", batches.steps, step) as bar:
        while step < batches.steps:
            epoch = step // batches.per_epoch
            watcher = Watcher(step, batches, log, bar, state_file, save_every)
            model.fit(Epoch(batches, step, classes), epochs=1, verbose=0, shuffle=False, callbacks=[watcher])
            step = (epoch + 1) * batches.per_epoch
            if len(held_out):
                log.write(step=step, epoch=step / batches.per_epoch, **score(model, held_out, recipe))
                log.draw()
            save_state(model, state_file)
    return model


class Epoch(keras.utils.PyDataset):
    """The batches from `step` to the end of its epoch."""

    def __init__(self, batches: TrainBatches, step: int, classes: int):
        super().__init__()
        self.batches, self.step, self.classes = batches, step, classes

    def __len__(self) -> int:
        return self.batches.per_epoch - self.step % self.batches.per_epoch

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        x, y = self.batches[self.step + index]
        return layout(x), np.eye(self.classes, dtype=np.float32)[np.asarray(y)]


class Watcher(keras.callbacks.Callback):
    """Writes the log, moves the progress bar and saves the state."""

    def __init__(self, step: int, batches: TrainBatches, log: Log, bar, state_file: Path, save_every: int):
        super().__init__()
        self.step, self.batches, self.log, self.bar = step, batches, log, bar
        self.state_file, self.save_every = state_file, save_every

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        step, batches = self.step, self.batches
        if step % 20 == 0 or step == batches.steps:
            loss = float((logs or {})["loss"])  # the mean since the epoch began
            rate, size = batches.recipe.rate(step - 1, batches.steps), batches.recipe.size(step - 1, batches.steps)
            self.log.write(step=step, epoch=step / batches.per_epoch, loss=loss, learning_rate=rate, size=size)
            self.bar(step, f"loss {loss:.3f}")
        if step % self.save_every == 0 and step % batches.per_epoch:
            save_state(self.model, self.state_file)


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


def decay_by_role(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> None:
    """Keeps weight decay from what does not decay, as :attr:`axialzoo.spec.Parameter.decays` says; before the optimizer is built."""
    optimizer.exclude_from_weight_decay(var_list=[variable for parameter, variable in variables(model) if not parameter.decays])


def make_optimizer(recipe: Recipe, steps: int, model: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer, with the recipe's learning rate and decay for `model`."""
    rate = Rate(recipe.learning_rate, recipe.warmup * steps, steps)
    if recipe.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, recipe.momentum, nesterov=recipe.momentum > 0, weight_decay=recipe.weight_decay or None)
    else:
        optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, beta_1=recipe.momentum, epsilon=1e-7)
    decay_by_role(optimizer, model)
    return optimizer


def save_state(model: keras.Model, path: Path) -> None:
    with written_beside(path) as beside:
        model.save_weights(beside)


def score(model: keras.Model, split: Split, recipe: Recipe) -> dict[str, float]:
    """Share of `split` whose class is right."""
    return accuracy(Runner.of_model(model, describe(model, preprocessing=recipe.preprocessing)), split, 250)


def layout(x: np.ndarray) -> np.ndarray:
    """(n, H, W, 3) as the back end wants its images."""
    return x if keras.config.image_data_format() == "channels_last" else x.transpose(0, 3, 1, 2)
