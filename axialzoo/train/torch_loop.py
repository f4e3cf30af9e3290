"""Training in PyTorch, through accelerate: one process or several, float32 or bfloat16, on what there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from axialzoo.checkpoint import Config
from axialzoo.data.batches import TrainBatches
from axialzoo.data.prefetch import prefetched
from axialzoo.files import written_beside
from axialzoo.runtime import Runner
from axialzoo.tasks import batch_targets
from axialzoo.torch.losses import loss_of, totals_of
from axialzoo.torch.model import AxialModel
from axialzoo.torch.models import create_model
from axialzoo.torch.places import draw_by_place
from axialzoo.torch.weights import describe
from axialzoo.train.evaluation import score
from axialzoo.train.job import Job
from axialzoo.train.log import Log
from axialzoo.train.optimizer import make_optimizer, set_rate, shrink
from axialzoo.train.progress import progress
from axialzoo.train.torch_average import Average

EVERY = 20  # steps between records


def train(job: Job) -> AxialModel[Any] | None:
    """Train and return the model; its state lies in the run's folder all the while, so that a stopped run resumes at its last save.

    Returns:
        The model, or its running average where the recipe has one; None in all processes but the first.
    """
    recipe = job.recipe
    # its precision is one for the whole process, the recipe's is set below; on CPUs it makes one of several processes only if told
    accelerator = Accelerator(mixed_precision="no", cpu=not torch.accelerator.is_available())
    if accelerator.num_processes != job.processes:
        raise RuntimeError(
            f"expected {job.processes} processes that train together, found {accelerator.num_processes} by accelerate's count"
        )
    torch.manual_seed(recipe.seed)
    model = create_model(recipe.model, recipe.start or False, features_only=False, **job.changes)
    model.set_sync_norms(accelerator.num_processes > 1)  # several processes train as one does
    dtype = torch.float64 if recipe.precision == "float64" else torch.float32
    model.to(dtype)
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # PyTorch's overload of `to` is not declared
    optimizer, decayed = make_optimizer(recipe, model)
    average = Average(model, recipe.average) if recipe.average else None
    spec, head = model.spec, model.spec.head
    assert head is not None  # it has a task
    loss_function = loss_of(head)
    state_file, step = job.folder / "state.pth", 0
    if job.resume and state_file.exists():
        state = torch.load(state_file, weights_only=True, map_location="cpu")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
        if average is not None:
            average.load(state["average"])
    trained, optimizer = accelerator.prepare(model, optimizer)
    begins = cast(Tensor, accelerator.gather(torch.tensor([step], device=accelerator.device))).tolist()
    if len(set(begins)) > 1:
        raise RuntimeError(
            f"{job.folder}: expected every process to begin at one step, found steps {', '.join(map(str, begins))}; the folder of the run "
            "has to be one that all of them see, as on a shared disk"
        )
    device, main = accelerator.device, accelerator.is_main_process
    shared = totals_of(head) if accelerator.num_processes > 1 else None  # what the loss divides by, of the whole batch
    batches = TrainBatches(job.training, recipe, accelerator.process_index, accelerator.num_processes)
    log = Log(job.folder, step, job.figure) if main else None

    def save() -> None:
        if main:
            held = {} if average is None else {"average": average.tensors}
            with written_beside(state_file) as beside:
                torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, **held}, beside)

    def make(number: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        x, truths = batches[number]
        return x, batch_targets(job.task, truths, spec, x.shape[1:3])

    def watched(one: AxialModel[Any], config: Config) -> Runner:
        return Runner.of_model(one, config, "float64" if dtype == torch.float64 else "float32")

    def finished() -> AxialModel[Any]:
        return model if average is None else average.model(model)

    trained.train()
    with progress(f"training {recipe.model}", batches.steps, step, main) as bar:
        for x, targets in prefetched(make, range(step, batches.steps), threads=1):
            rate = recipe.rate(step, batches.steps)
            set_rate(optimizer, rate)
            with draw_by_place(recipe.seed, step, accelerator.process_index, accelerator.num_processes):
                images = torch.from_numpy(x).permute(0, 3, 1, 2).to(device, dtype)  # (n, 3, H, W), channels last in memory
                with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                    outputs = trained(images)
            wanted = on_device(targets, device, dtype)
            whole = {} if shared is None else {"totals": accelerator.reduce(shared(wanted), "mean")}
            parts = loss_function(outputs, wanted, head, **whole, **recipe.loss)
            accelerator.backward(parts["total"])
            shrink(recipe, decayed, rate)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if average is not None:
                average.update(model)
            if log and (step % EVERY == 0 or step == batches.steps):
                values = {name: float(value.detach()) for name, value in parts.items() if name != "total"}
                loss = float(parts["total"].detach())
                log.write(step=step, epoch=step / batches.per_epoch, loss=loss, **values, learning_rate=rate, size=x.shape[1])
                bar(step, f"loss {loss:.3f}")
            if step == batches.steps or (step % batches.per_epoch == 0 and step // batches.per_epoch % recipe.score_every == 0):
                if log and len(job.held_out):
                    config = describe(finished(), job.labels, recipe.preprocessing)
                    log.write(step=step, epoch=step / batches.per_epoch, **score(watched(finished(), config), job.held_out))
                    log.draw()
                save()
            elif step % job.save_every == 0:
                save()
    accelerator.wait_for_everyone()
    return finished() if main else None


def on_device(targets: Mapping[str, np.ndarray], device: torch.device, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Targets as tensors, fractions in `dtype` where one is given; maps with channels, (n, H, W, C), as PyTorch has them, (n, C, H, W)."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)).to(device) for name, array in targets.items()}
    if dtype is not None:
        tensors = {name: one.to(dtype) if one.is_floating_point() else one for name, one in tensors.items()}
    return {name: one.permute(0, 3, 1, 2) if one.dim() == 4 else one for name, one in tensors.items()}
