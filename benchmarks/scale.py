"""Cost at scale: measured rates, and the arithmetic of docs/scale.md from them.

    python benchmarks/scale.py               # measures (about three minutes), then prints the tables of docs/scale.md
    python benchmarks/scale.py --rates FILE  # the tables from rates that were measured before (the JSON that the first line prints)

Rates are those of one thread, by processor time, which other programs disturb little.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

IMAGENET, EPOCHS = 1_281_167, 90
MANY = 100_000_000
SIDE = (375, 500)  # ImageNet's pictures, on average
PICTURE = 110_000  # bytes, likewise
CORES = 64  # of a machine
SHARD = 1000  # pictures
DISK = 200e6  # bytes a second that a network file system gives a machine
SYNC = 1.25e9  # bytes a second between machines (10 Gbit/s)
MODELS = ("axial_resnet50_s", "axial_resnet50_l")
BATCH = 8


def seconds(call: Callable[[], object], least: float = 8.0) -> float:
    """Return the processor time of a call: the median of calls over about `least` seconds, after a warm-up."""
    call()
    times, until = [], time.process_time() + least
    while len(times) < 3 or time.process_time() < until:
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return statistics.median(times)


def measure() -> dict[str, float]:
    """Measure pictures per second of one core, and bytes."""
    import torch

    from axialzoo.checkpoint import default_config
    from axialzoo.data.tars import scan_tar
    from axialzoo.engine.results import row_of
    from axialzoo.image import load_image
    from axialzoo.runtime.local import InProcessModel
    from axialzoo.runtime.predict import ImagePrediction, to_input
    from axialzoo.spec import get_entry, parameters
    from axialzoo.tasks.results import Classification
    from axialzoo.torch import create_model, optimize_for_inference

    torch.set_num_threads(1)
    rates: dict[str, float] = {}
    x = np.random.default_rng(0).standard_normal((BATCH, 224, 224, 3)).astype(np.float32)
    for name in MODELS:
        network = InProcessModel(optimize_for_inference(create_model(name).eval()))
        rates[f"{name} predict"] = BATCH / seconds(lambda network=network: network.outputs(x))
        model = create_model(name).train()
        optimizer, labels = torch.optim.SGD(model.parameters(), 1e-3), torch.arange(BATCH)
        images = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())

        def step(model=model, optimizer=optimizer, images=images, labels=labels) -> None:
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()

        rates[f"{name} train"] = BATCH / seconds(step)
        rates[f"{name} parameters"] = sum(parameter.size for parameter in parameters(get_entry(name).spec) if parameter.trainable)
    pixels = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)).resize(SIDE[::-1], Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    pixels.save(stream, "jpeg", quality=96)
    config = default_config(get_entry(MODELS[0]).spec, MODELS[0])
    content = stream.getvalue()
    rates["read and prepare"] = 1 / seconds(lambda: to_input(load_image(io.BytesIO(content)), config), 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tar"
        with tarfile.open(path, "w") as archive:
            for index in range(SHARD):
                member = tarfile.TarInfo(f"{index:09}.jpg")
                member.size = 512
                archive.addfile(member, io.BytesIO(bytes(512)))
        rates["headers"] = SHARD / seconds(lambda: scan_tar(path), 1)
    result = Classification(np.random.default_rng(0).dirichlet(np.ones(1000)))
    row = row_of(ImagePrediction(Path("shards/train-000000.tar:000000000.jpg"), pixels, results=(result,)))
    rates["row bytes"] = len(json.dumps(row))
    return {name: round(value, 3) for name, value in rates.items()}


def tables(rates: dict[str, float]) -> str:
    """Return the arithmetic of docs/scale.md as Markdown."""
    lines = ["| one core of this machine | a second |", "|---|--:|"]
    shown = [f"{name} {what}" for name in MODELS for what in ("predict", "train")] + ["read and prepare", "headers"]
    lines += [f"| {name} | {rates[name]:,.1f} |" for name in shown]
    lines += ["", "| ImageNet, 90 epochs | core-hours | days of one machine of 64 cores | machines for one week |", "|---|--:|--:|--:|"]
    for name in MODELS:
        hours = IMAGENET * EPOCHS * (1 / rates[f"{name} train"] + 1 / rates["read and prepare"]) / 3600
        lines.append(f"| `{name}` | {hours:,.0f} | {hours / CORES / 24:,.1f} | {hours / CORES / 24 / 7:,.1f} |")
    lines += [
        "",
        "| 100 million pictures | core-hours | machines of 64 cores, one day | read a second by each |",
        "|---|--:|--:|--:|",
    ]
    for name in MODELS:
        each = 1 / rates[f"{name} predict"] + 1 / rates["read and prepare"]
        hours = MANY * each / 3600
        lines.append(f"| `{name}` | {hours:,.0f} | {hours / CORES / 24:,.1f} | {CORES / each * PICTURE / 1e6:,.0f} MB |")
    exchange = [(name, 8 * rates[f"{name} parameters"]) for name in MODELS]  # each machine sends and receives every gradient, float32
    lines += ["", "| bytes | |", "|---|--:|"]
    lines += [
        f"| ImageNet, read an epoch | {IMAGENET * PICTURE / 1e9:,.0f} GB |",
        f"| ImageNet, in shards of {SHARD} | {IMAGENET / SHARD:,.0f} shards of {SHARD * PICTURE / 1e6:,.0f} MB |",
        *(f"| gradients of a step, each machine, `{name}` | {size / 1e6:,.0f} MB, {size / SYNC:.2f} s |" for name, size in exchange),
        f"| 100 million pictures, read | {MANY * PICTURE / 1e12:,.1f} TB |",
        f"| results as JSON lines | {MANY * rates['row bytes'] / 1e9:,.0f} GB |",
        f"| headers of their shards looked through, one core | {MANY / rates['headers'] / 3600:,.1f} h |",
        f"| a shared disk of {DISK / 1e6:,.0f} MB/s a machine serves | {DISK / PICTURE:,.0f} pictures a second, each machine |",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=Path, help="JSON of rates measured before")
    args = parser.parse_args()
    rates = json.loads(args.rates.read_text()) if args.rates else measure()
    print(json.dumps(rates))
    print(tables(rates))


if __name__ == "__main__":
    main()
