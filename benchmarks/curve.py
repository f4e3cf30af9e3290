"""The CIFAR-10 recipe trained with the fused kernel and without, batch by batch the same: how far the losses are apart.

    python benchmarks/curve.py --data FOLDER [--steps 200] [--batch 128] [--precision float32]

A third run is the plain form with its weights changed by a rounding error (1e-7 of themselves): what it and the plain form are apart
is the noise that float32 has anyway. Prints the losses, smoothed over a tenth of the steps, and the largest differences so far.
"""

from __future__ import annotations

import argparse
import copy
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from axialzoo.data import open_data  # noqa: E402
from axialzoo.data.batches import TrainBatches  # noqa: E402
from axialzoo.ops.kernels import kernel_status, use_kernel  # noqa: E402
from axialzoo.tasks import task_of  # noqa: E402
from axialzoo.torch import create_model  # noqa: E402
from axialzoo.train.optimizer import apply_weight_decay, make_optimizer, set_lr  # noqa: E402
from axialzoo.train.recipe import load_recipe  # noqa: E402


class Run:
    """A model in training, on one path of the kernel."""

    def __init__(self, model: torch.nn.Module, path: str, recipe):
        self.model, self.path, self.recipe = model.train(), path, recipe
        self.optimizer, self.decayed = make_optimizer(recipe, model)
        self.losses: list[float] = []

    def step(self, x: torch.Tensor, labels: torch.Tensor, rate: float) -> None:
        set_lr(self.optimizer, rate)
        with use_kernel(self.path), torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            loss = F.cross_entropy(self.model(x).float(), labels, **self.recipe.loss)
            loss.backward()
        apply_weight_decay(self.recipe, self.decayed, rate)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.losses.append(float(loss.detach()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="CIFAR-10's folder")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    args = parser.parse_args()
    recipe = load_recipe("cifar10", batch_size=args.batch, precision=args.precision)
    torch.manual_seed(recipe.seed)
    model = create_model(recipe.model)
    batches = TrainBatches(open_data(args.data, task_of(model.spec.head).annotation_type).split("train"), recipe)
    noisy = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in noisy.parameters():
            parameter *= 1 + 1e-7 * torch.randn_like(parameter)
    path = kernel_status().path
    runs = {"fused": (copy.deepcopy(model), path), "plain": (model, "plain"), "rounded": (noisy, "plain")}
    made = {name: Run(one, way, recipe) for name, (one, way) in runs.items()}
    every = max(1, args.steps // 10)
    print(f"# {path} against plain, {args.precision}, batches of {args.batch}")
    for step in range(args.steps):
        x, labels = batches[step]
        images, classes = torch.from_numpy(x).permute(0, 3, 1, 2), torch.from_numpy(labels).long()
        for run in made.values():
            run.step(images, classes, recipe.lr_at(step, args.steps))
        if (step + 1) % every == 0:
            losses = {name: torch.tensor(run.losses) for name, run in made.items()}
            shown = ", ".join(f"{name} {float(one[-every:].mean()):.4f}" for name, one in losses.items())
            apart = {name: float((losses[name] - losses["plain"]).abs().max()) for name in ("fused", "rounded")}
            print(
                f"step {step + 1}: loss {shown}; largest difference fused {apart['fused']:.1e}, rounded {apart['rounded']:.1e}", flush=True
            )


if __name__ == "__main__":
    main()
