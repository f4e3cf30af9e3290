"""Training in PyTorch, through accelerate: one process or several, float32 or bfloat16, on what there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch.nn import functional as F

from axialzoo.data import Split
from axialzoo.data.batches import TrainBatches
from axialzoo.files import written_beside
from axialzoo.runtime import Runner
from axialzoo.spec import parameters
from axialzoo.torch.models import create_model
from axialzoo.torch.norm import set_sync_norms
from axialzoo.torch.weights import describe
from axialzoo.train.evaluation import accuracy
from axialzoo.train.log import Log
from axialzoo.train.progress import progress
from axialzoo.train.recipe import Recipe


def train(recipe: Recipe, training: Split, held_out: Split, classes: int, folder: Path, resume: bool, save_every: int):
    """Train and return the model; its state lies in `folder` all the while, so that a stopped run resumes at its last save."""
    accelerator = Accelerator(mixed_precision="no")  # its precision is one for the whole process; the recipe's is set below
    torch.manual_seed(recipe.seed)
    model = create_model(recipe.model, recipe.start or False, num_classes=classes, drop_path=recipe.drop_path)
    set_sync_norms(model)  # several processes train as one does
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimizer, decayed = make_optimizer(recipe, model)
    state_file, step = folder / "state.pth", 0
    if resume and state_file.exists():
        state = torch.load(state_file, weights_only=True, map_location="cpu")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    model, optimizer = accelerator.prepare(model, optimizer)
    batches = TrainBatches(training, recipe, accelerator.process_index, accelerator.num_processes)
    log = Log(folder, step) if accelerator.is_main_process else None

    def save() -> None:
        if accelerator.is_main_process:
            plain = accelerator.unwrap_model(model)
            with written_beside(state_file) as beside:
                torch.save({"model": plain.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, beside)

    model.train()
    with progress(f"training {recipe.model}", batches.steps, step, accelerator.is_main_process) as bar:
        while step < batches.steps:
            torch.manual_seed(hash((recipe.seed, step, accelerator.process_index)) % 2**63)  # drop path, the same after a resume
            x, y = batches[step]
            x = torch.from_numpy(x).permute(0, 3, 1, 2).to(accelerator.device)  # (n, 3, H, W), channels last in memory
            rate = recipe.rate(step, batches.steps)
            set_rate(optimizer, rate)
            with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                logits = model(x)  # (n, classes)
            loss = F.cross_entropy(
                logits.float(), torch.from_numpy(np.asarray(y)).to(accelerator.device), label_smoothing=recipe.label_smoothing
            )
            accelerator.backward(loss)
            if recipe.optimizer == "sgd" and recipe.weight_decay:
                with torch.no_grad():
                    for tensor in decayed:
                        tensor.mul_(1 - rate * recipe.weight_decay)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if log and (step % 20 == 0 or step == batches.steps):
                log.write(step=step, epoch=step / batches.per_epoch, loss=loss.item(), learning_rate=rate, size=x.shape[-1])
                bar(step, f"loss {loss.item():.3f}")
            if step % batches.per_epoch == 0 or step == batches.steps:
                if log and len(held_out):
                    log.write(step=step, epoch=step / batches.per_epoch, **score(accelerator.unwrap_model(model), held_out, recipe))
                    log.draw()
                    model.train()
                save()
            elif step % save_every == 0:
                save()
    accelerator.wait_for_everyone()
    return accelerator.unwrap_model(model) if accelerator.is_main_process else None


def by_decay(model: torch.nn.Module) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
    """The parameters that weight decay shrinks, and the others, as :attr:`axialzoo.spec.Parameter.decays` says."""
    decays = {parameter.name: parameter.decays for parameter in parameters(model.spec)}  # pyright: ignore[reportArgumentType]
    named = list(model.named_parameters())
    return [tensor for name, tensor in named if decays[name]], [tensor for name, tensor in named if not decays[name]]


def make_optimizer(recipe: Recipe, model: torch.nn.Module) -> tuple[torch.optim.Optimizer, list[torch.nn.Parameter]]:
    """The optimizer, and the parameters that decay."""
    decayed, others = by_decay(model)
    if recipe.optimizer == "sgd":
        groups = [{"params": decayed}, {"params": others}]
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0), decayed
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.momentum, 0.999), eps=1e-7), decayed


@torch.no_grad()
def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate and keeps the velocity, rate times momentum buffer, as it is.

    PyTorch's buffer holds gradients alone, so that a change of the rate would change the steps already taken; Keras'
    holds rate times gradient. Source: the momentum correction of Goyal et al. 2017, section 2.1.
    """
    for group in optimizer.param_groups:
        for tensor in group["params"]:
            if (buffer := optimizer.state[tensor].get("momentum_buffer")) is not None:
                buffer.mul_(group["lr"] / rate)
        group["lr"] = rate


def score(model: torch.nn.Module, split: Split, recipe: Recipe) -> dict[str, float]:
    """Share of `split` whose class is right, in float32; the model stays in the mode that it is in."""
    return accuracy(Runner.of_model(model, describe(model, preprocessing=recipe.preprocessing)), split, 250)
