"""Training in PyTorch, through accelerate: one process or several, float32 or bfloat16, on what there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from axialzoo.data.prefetch import prefetched
from axialzoo.files import atomic_write
from axialzoo.runtime import Runner
from axialzoo.runtime.device import find_device
from axialzoo.torch.factory import create_model
from axialzoo.torch.losses import loss_of, normalizer_of
from axialzoo.torch.model import AxialModel
from axialzoo.torch.projection import PositionAttention
from axialzoo.torch.sample_placement import deterministic_drop_path
from axialzoo.torch.weights import describe
from axialzoo.train.job import Job
from axialzoo.train.loop import TrainLoop
from axialzoo.train.optimizer import apply_weight_decay, make_optimizer, set_lr
from axialzoo.train.torch_ema import EMA


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
        self.optimizer, self.decayed = make_optimizer(recipe, model)
        self.ema = EMA(model, recipe.ema_decay) if recipe.ema_decay else None
        self.accelerator, self.state_file = accelerator, job.folder / "state.pth"
        super().__init__(job, accelerator.process_index, processes)

    def load_state(self) -> int:
        """Load the last save, if there is one, and return the number of finished steps."""
        if not self.state_file.exists():
            return 0
        state = torch.load(self.state_file, weights_only=True, map_location="cpu")
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.ema is not None:
            self.ema.load(state["average"])
        return state["step"]

    def save_state(self) -> None:
        held = {} if self.ema is None else {"average": self.ema.tensors}
        with atomic_write(self.state_file) as beside:
            torch.save({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step, **held}, beside)

    def is_finite(self) -> bool:
        tensors = [*self.model.state_dict().values(), *([] if self.ema is None else self.ema.tensors.values())]
        tensors += [value for slots in self.optimizer.state.values() for value in slots.values() if isinstance(value, Tensor)]
        return all(bool(torch.isfinite(tensor).all()) for tensor in tensors if tensor.is_floating_point())

    def runner(self) -> Runner:
        model = self.finished()
        config = describe(model, self.job.labels, self.recipe.preprocessing)
        return Runner.of_model(model, config, "float64" if self.dtype == torch.float64 else "float32")

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
                set_lr(optimizer, rate)
                with deterministic_drop_path(recipe.seed, self.step, accelerator.process_index, processes):
                    images = torch.from_numpy(x).permute(0, 3, 1, 2).to(device, self.dtype)  # (n, 3, H, W), channels last in memory
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


def drop_gate_gradients(model: AxialModel[Any]) -> None:
    """Leave the factors of gated attention out of the next step of the optimizer."""
    for module in model.modules():
        if isinstance(module, PositionAttention) and module.gates is not None:
            module.gates.grad = None


def on_device(targets: Mapping[str, np.ndarray], device: torch.device, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Targets as tensors, fractions in `dtype` where one is given; maps with channels, (n, H, W, C), as PyTorch has them, (n, C, H, W)."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)).to(device) for name, array in targets.items()}
    if dtype is not None:
        tensors = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    return {name: tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor for name, tensor in tensors.items()}
