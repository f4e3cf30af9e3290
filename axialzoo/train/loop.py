"""The part of training that needs no framework: batches, the log, progress, scores and saves."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from axialzoo.data.batches import TrainBatches
from axialzoo.runtime.predict import SupportsOutputs
from axialzoo.tasks import batch_targets
from axialzoo.tasks.results import NotFiniteError
from axialzoo.train.evaluation import score
from axialzoo.train.job import Job
from axialzoo.train.log import BEST, Log
from axialzoo.train.progress import progress
from axialzoo.train.state import FILE, Notes, TrainState, check_earlier, counted, read_state, write_state
from axialzoo.train.stopping import DivergedError, Interrupted, StopRequest
from axialzoo.train.summary import Confusion, duration

LOG_EVERY = 20  # steps between records


class TrainLoop:
    """Steps of a run, counted and followed; a framework's own loop inherits from it and computes them.

    Attributes:
        batches: Training batches by step.
        step: Number of steps that are done.
        model: What is trained; its framework's loop sets it.
        ema: Exponential moving average of its weights, or None.
        framework: Name of its framework.
        state_file: What a run is resumed from.
    """

    model: Any
    ema: Any
    framework: str
    state_file: Path

    def __init__(self, job: Job, process: int = 0, processes: int = 1):
        self.state_file, self.begun, self.before = job.folder / FILE, time.monotonic(), Notes(0, self.framework, job.recipe.optimizer, 0.0)
        self.job, self.recipe, self.step, self.writes_files = job, job.recipe, 0, process == 0
        self.batches = TrainBatches(job.training, job.recipe, process, processes)
        self.losses: list[Any] = []  # of each step since the last report
        self.stop, self.listens = StopRequest(), processes == 1  # several processes would stop at different steps

    def state(self, notes: Notes) -> TrainState:
        """Return the state from which a run resumes, with its counters."""
        raise NotImplementedError

    def take_state(self, state: TrainState) -> None:
        """Load a state that either framework wrote."""
        raise NotImplementedError

    def take_earlier(self, path: Path) -> int:
        """Load the state that an earlier version wrote, and return the number of finished steps."""
        raise NotImplementedError

    def load_state(self) -> int:
        """Load the last save, if there is one, and return the number of finished steps."""
        if self.state_file.exists():
            state = read_state(self.state_file, self.model.spec, self.recipe)
            self.take_state(state)
            self.before = state.notes
            return state.notes.step
        earlier = check_earlier(self.job.folder, self.framework)
        return 0 if earlier is None else self.take_earlier(earlier)

    def save_state(self) -> None:
        """Write the state from which a run resumes."""
        rate = self.recipe.lr_at(self.step - 1, self.batches.steps)
        notes = counted(self.before, self.framework, self.step, rate, time.monotonic() - self.begun)
        write_state(self.state_file, self.state(notes))

    def is_finite(self) -> bool:
        """Return whether all that :meth:`save_state` writes is finite."""
        raise NotImplementedError

    def runner(self) -> SupportsOutputs:
        """Return a runner of the finished model."""
        raise NotImplementedError

    def save_model(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Write the finished model as a checkpoint folder, with a provenance; replace an earlier one."""
        raise NotImplementedError

    def step_seconds(self) -> float:
        """Measure about how long a step takes, in seconds; weights and random numbers of the run stay as they are."""
        raise NotImplementedError

    def finished(self) -> Any:
        """Return the trained model, or its running average if the recipe has one."""
        return self.model if self.ema is None else self.ema.model(self.model)

    @contextmanager
    def followed(self, step: int) -> Iterator[None]:
        """Go on from `step`, with a log and a progress bar; Ctrl-C and SIGTERM wait for the end of a step."""
        self.spec = self.model.spec  # read once: on JAX, a look at the model of a callback while a step runs takes its state away
        self.step, self.log = step, Log(self.job.folder, step, self.job.figure, self.job.tensorboard) if self.writes_files else None
        if self.job.report is not None:
            self.job.report(self._schedule(step))
        shown = progress(f"training {self.recipe.model}", self.batches.steps, step, self.writes_files)
        with self.stop.listening(self.listens), shown as self.bar:
            yield

    def batch(self, step: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return images (n, H, W, C) and the targets of the task by name."""
        x, annotations = self.batches[step]
        return x, batch_targets(self.job.task, annotations, self.spec, x.shape[1:3])

    def after_step(self, losses: Mapping[str, Any]) -> None:
        """Count a step; update the running average, log and save where that is due.

        Args:
            losses: Scalars by name, ``"total"`` among them.
        """
        step, steps, recipe = self.step, self.batches.steps, self.recipe
        self.step += 1
        self.losses.append(losses["total"])
        if self.ema is not None:
            self.ema.update(self.model)
        if self.log and (self.step % LOG_EVERY == 0 or self.step == steps):
            values = {name: float(value) for name, value in losses.items()}
            loss = values.pop("total")
            self._record(loss=loss, **values, learning_rate=recipe.lr_at(step, steps), size=recipe.size(step, steps))
            self.bar(self.step, f"loss {loss:.3f}")
        if self.writes_files and not self._is_score_due() and (self.step % self.job.save_every == 0 or self.stop.signal):
            self.check_state()
            self.save_state()
            self._stop_if_asked()

    def score_if_due(self) -> None:
        """Score the model on the samples held out, draw the learning curve and save, at the end of every so many epochs."""
        if self.log and self._is_score_due():
            self.check_state()
            scores, last, confusion = {}, self.step == self.batches.steps, Confusion(self.job)
            if len(self.job.held_out):
                try:
                    scores = score(self.runner(), self.job.held_out, on_result=confusion.add if last else None)
                except NotFiniteError as error:  # of finite weights that are too large
                    raise self._diverged(f"after step {self.step} outputs are not finite ({error})", self.step - 1) from error
                value, best = scores.get(self.job.figure), self.log.best()
                self._record(**scores)
                self.log.draw()
                if value is not None and (best is None or value > best or not (self.job.folder / BEST).exists()):
                    held_out = {self.job.figure: value, "samples": len(self.job.held_out), "step": self.step}
                    self.save_model(self.job.folder / BEST, {**self.job.about, "held_out": held_out})
            self._report_epoch(scores)
            self.save_state()
            if last and len(self.job.held_out):
                written = [self.log.path.with_name("learning_curve.png"), *confusion.write(self.job.folder)]
                self._report(f"written: {', '.join(map(str, written))}")
        elif self.step % self.batches.per_epoch == 0:
            self._report_epoch({})
        if self.log and self._is_score_due() and self.step < self.batches.steps:
            self._stop_if_asked()

    def epoch_loss(self) -> float:
        """Return the mean loss since the last report."""
        return sum(float(loss) for loss in self.losses) / max(len(self.losses), 1)

    def _report(self, text: str) -> None:
        if self.job.report is not None:
            self.job.report(text)

    def _report_epoch(self, scores: Mapping[str, Any]) -> None:
        """Report the loss of an epoch, and the primary metric where it was scored."""
        if self.losses:
            value = scores.get(self.job.figure)
            metric = "" if value is None else f", {self.job.figure} {value:.2%} of {len(self.job.held_out):,} held out"
            epoch = -(-self.step // self.batches.per_epoch)
            self._report(f"epoch {epoch} of {self.recipe.epochs}: loss {self.epoch_loss():.4f}{metric}")
        self.losses.clear()

    def _schedule(self, step: int) -> str:
        """Return a line about the steps that are left and the time that they take, scores on the samples held out included."""
        seconds, left = self.step_seconds(), self.batches.steps - step
        scores = left // (self.batches.per_epoch * self.recipe.eval_every) + 1
        samples = left * self.recipe.batch_size + scores * len(self.job.held_out) / 3  # a score has no backward pass
        return f"{left:,} steps, about {duration(seconds * samples / self.recipe.batch_size)} on this machine"

    def check_loss(self, loss: float, step: int) -> None:
        """Refuse a loss that is not finite.

        Args:
            loss: Of the step.
            step: Its number, from 0.

        Raises:
            DivergedError: naming the step and what to lower.
        """
        if not math.isfinite(loss):
            raise self._diverged(f"the loss of step {step + 1} is {loss}", step)

    def check_state(self) -> None:
        """Refuse to save or score weights that are not finite.

        Raises:
            DivergedError: naming the step and what to lower.
        """
        if not self.is_finite():
            raise self._diverged(f"after step {self.step} weights or their optimizer's state are not finite", self.step - 1)

    def _diverged(self, text: str, step: int) -> DivergedError:
        recipe = self.recipe
        rate = recipe.lr_at(step, self.batches.steps)
        advice = f"a lower learning_rate (--set learning_rate={recipe.learning_rate / 10:g}; it was {rate:g} here)"
        if recipe.precision == "bfloat16":
            advice += ", or --set precision=float32"
        saved = "nothing of it was saved before" if not self.state_file.exists() else f"{self.state_file} has its last good state"
        return DivergedError(f"{text}: training has diverged and was stopped; {saved}; train in another folder with {advice}")

    def _stop_if_asked(self) -> None:
        """End the run after a signal; its state is saved."""
        if self.stop.signal:
            raise Interrupted(
                f"stopped by {self.stop.name} after step {self.step} of {self.batches.steps}, whose state is saved in {self.state_file}; "
                "go on with the same command and --resume (resume=True)",
                self.stop.signal,
            )

    def _is_score_due(self) -> bool:
        epoch, rest = divmod(self.step, self.batches.per_epoch)
        return self.step == self.batches.steps or (rest == 0 and epoch % self.recipe.eval_every == 0)

    def _record(self, **values: Any) -> None:
        assert self.log is not None
        self.log.write(step=self.step, epoch=self.step / self.batches.per_epoch, **values)
