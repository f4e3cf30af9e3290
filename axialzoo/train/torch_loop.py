"""Training in PyTorch, through accelerate: one process or several, float32 or bfloat16, on what there is."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from axialzoo.data.prefetch import prefetched
from axialzoo.runtime import Runner
from axialzoo.runtime.device import find_device
from axialzoo.torch.factory import create_model
from axialzoo.torch.losses import loss_of, normalizer_of
from axialzoo.torch.model import AxialModel
from axialzoo.torch.projection import PositionAttention
from axialzoo.torch.sample_placement import deterministic_drop_path
from axialzoo.torch.weights import describe, save_model, to_tensors
from axialzoo.train.job import Job
from axialzoo.train.loop import TrainLoop
from axialzoo.train.optimizer import apply_weight_decay, make_optimizer, set_lr
from axialzoo.train.state import Notes, TrainState
from axialzoo.train.torch_ema import EMA
from axialzoo.train.torch_state import ema_of, slots_of, take_earlier, take_state

FEW = 8  # samples by which the time of a step is measured


def train(job: Job) -> AxialModel[Any] | None:
    """Train and return the model; its state lies in the run's folder all the while, so that a stopped run resumes at its last save.

    Returns:
        The model, or its running average where the recipe has one; None in all processes but the first.
    """
    # its precision is one for the whole process, the recipe's is set below; on CPUs it makes one of several processes only if told
    on_cpu = not torch.accelerator.is_available() or (job.processes > 1 and job.device == "cpu")
    accelerator = Accelerator(mixed_precision="no", cpu=on_cpu)
    if accelerator.num_processes != job.processes:
        raise RuntimeError(
            f"expected {job.processes} processes that train together, found {accelerator.num_processes} by accelerate's count"
        )
    loop = TorchLoop(job, accelerator)
    loop.run(loop.load_state() if job.resume else 0)
    accelerator.wait_for_everyone()
    return loop.finished() if accelerator.is_main_process else None


class TorchLoop(TrainLoop):
    """Steps of a run in PyTorch."""

    framework = "torch"

    def __init__(self, job: Job, accelerator: Accelerator):
        recipe, processes = job.recipe, accelerator.num_processes
        torch.manual_seed(recipe.seed)
        self.model = model = create_model(recipe.model, recipe.init_from or False, features_only=False, **job.changes)
        model.set_sync_norms(processes > 1)  # several processes train as one does
        self.dtype = torch.float64 if recipe.precision == "float64" else torch.float32
        # one process trains where it is told to, of several each where accelerate puts it; the optimizer's state is made there
        precision = str(self.dtype).rpartition(".")[2]
        self.device = accelerator.device if processes > 1 else torch.device(find_device(job.device, precision=precision))
        model.to(self.device, self.dtype)
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # PyTorch's overload of `to` is not declared
        if recipe.freeze:
            freeze_backbone(model)
        self.optimizer, self.decayed = make_optimizer(recipe, model)
        self.ema = EMA(model, recipe.ema_decay) if recipe.ema_decay else None
        self.accelerator = accelerator
        super().__init__(job, accelerator.process_index, processes)

    def state(self, notes: Notes) -> TrainState:
        slots, counts = slots_of(self.model, self.optimizer, notes.optimizer)
        ema, updates = ema_of(self.ema)
        return TrainState(replace(notes, counts=counts, ema_updates=updates), to_tensors(self.model), slots, ema)

    def take_state(self, state: TrainState) -> None:
        take_state(state, self.model, self.optimizer, self.ema)

    def take_earlier(self, path: Path) -> int:
        return take_earlier(path, self.model, self.optimizer, self.ema)

    def is_finite(self) -> bool:
        tensors = [*self.model.state_dict().values(), *([] if self.ema is None else self.ema.tensors.values())]
        tensors += [value for slots in self.optimizer.state.values() for value in slots.values() if isinstance(value, Tensor)]
        return all(bool(torch.isfinite(tensor).all()) for tensor in tensors if tensor.is_floating_point())

    def save_model(self, folder: Path, about: Mapping[str, Any]) -> None:
        begun = self.model.config.based_on() if self.model.config is not None else {}
        how: dict[str, Any] = {"labels": self.job.labels, "preprocessing": self.recipe.preprocessing}
        save_model(self.finished(), folder, **how, provenance={**about, **begun}, overwrite=True)

    def runner(self) -> Runner:
        model = self.finished()
        config = describe(model, self.job.labels, self.recipe.preprocessing)
        return Runner.of_model(model, config, "float64" if self.dtype == torch.float64 else "float32")

    def step_seconds(self) -> float:
        model, head = copy.deepcopy(self.model), self.model.spec.head
        assert head is not None
        x, targets = self.batch(self.step)
        tensors = on_device({name: array[:FEW] for name, array in targets.items()}, self.device, self.dtype)
        started = time.perf_counter()
        with torch.random.fork_rng():
            for _ in range(2):  # the second one is warm
                started = time.perf_counter()
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
                    outputs = model(to_images(x[:FEW], self.device, self.dtype))
                loss_of(head)(outputs, tensors, head, **self.recipe.loss)["total"].backward()
        return (time.perf_counter() - started) * max(len(x) / FEW, 1.0)

    def run(self, step: int) -> None:
        """Train from `step` to the end."""
        accelerator, recipe, steps, head = self.accelerator, self.recipe, self.batches.steps, self.model.spec.head
        assert head is not None  # it has a task
        trained, optimizer = accelerator.prepare(self.model, self.optimizer, device_placement=[False, False])
        begins = cast(Tensor, accelerator.gather(torch.tensor([step], device=accelerator.device))).tolist()
        if len(set(begins)) > 1:
            raise RuntimeError(
                f"{self.job.folder}: expected every process to begin at one step, found steps {', '.join(map(str, begins))}; the folder of "
                "the run has to be one that all of them see, as on a shared disk"
            )
        device, processes = self.device, accelerator.num_processes
        loss_function, shared = (
            loss_of(head),
            normalizer_of(head) if processes > 1 else None,
        )  # what the loss divides by, of the whole batch
        trained.train()
        with self.followed(step):
            for x, targets in prefetched(self.batch, range(step, steps), threads=1):
                rate = recipe.lr_at(self.step, steps)
                if recipe.freeze:  # a score has set the model's mode
                    freeze_backbone(self.model)
                set_lr(optimizer, rate)
                with deterministic_drop_path(recipe.seed, self.step, accelerator.process_index, processes):
                    images = to_images(x, device, self.dtype)
                    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                        outputs = trained(images)
                tensors = on_device(targets, device, self.dtype)
                whole = {} if shared is None else {"normalizer": accelerator.reduce(shared(tensors), "mean")}
                losses = loss_function(outputs, tensors, head, **whole, **recipe.loss)
                self.check_loss(float(losses["total"].detach()), self.step)
                accelerator.backward(losses["total"])
                if not recipe.trains_gates(self.step // self.batches.per_epoch):
                    drop_gate_gradients(self.model)
                apply_weight_decay(recipe, self.decayed, rate)
                optimizer.step()
                optimizer.zero_grad()
                self.after_step({name: value.detach() for name, value in losses.items()})
                self.score_if_due()


def freeze_backbone(model: AxialModel[Any]) -> None:
    """Keep the weights and the moving statistics of all but the head."""
    for name, module in model.named_children():
        if name != "head":
            module.requires_grad_(False).eval()


def drop_gate_gradients(model: AxialModel[Any]) -> None:
    """Leave the factors of gated attention out of the next step of the optimizer."""
    for module in model.modules():
        if isinstance(module, PositionAttention) and module.gates is not None:
            module.gates.grad = None


def to_images(x: np.ndarray, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return images (n, H, W, C) as a tensor (n, C, H, W), channels last in memory."""
    return torch.from_numpy(x).permute(0, 3, 1, 2).to(device, dtype)


def on_device(targets: Mapping[str, np.ndarray], device: torch.device, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Targets as tensors, fractions in `dtype` where one is given; maps with channels, (n, H, W, C), as PyTorch has them, (n, C, H, W)."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)).to(device) for name, array in targets.items()}
    if dtype is not None:
        tensors = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    return {name: tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor for name, tensor in tensors.items()}
