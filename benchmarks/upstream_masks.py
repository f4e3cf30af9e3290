"""Whole mask transformers beside deeplab2's own code, from a clone of github.com/google-research/deeplab2: outputs, time and memory.

    pip install tf_keras grpcio-tools       # of TensorFlow's version: deeplab2 is written for Keras 2
    cd PATH && python -m grpc_tools.protoc -I. --python_out=. deeplab2/*.proto
    python benchmarks/upstream_masks.py --clone PATH/deeplab2 --model max_deeplab_s --size 641 641

deeplab2 builds the published model from its own config, with random weights, writes a TF2 checkpoint and runs encoder and decoder as one
graph. In a second process the checkpoint is imported and loaded as a user does, and the inference form in PyTorch computes the same image.
Both have one thread; seconds are processor time, the least of the repeats, without post-processing. Memory is the peak resident size.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = {
    "max_deeplab_s": "max_deeplab/max_deeplab_s_os16_res1025_100k",
    "max_deeplab_l": "max_deeplab/max_deeplab_l_os16_res1025_100k",
    "kmax_deeplab_resnet50": "kmax_deeplab/kmax_meta_r50_os32",
    "kmax_deeplab_axial_resnet50": "kmax_deeplab/kmax_meta_axial_r50_os32",
}
OUTPUTS = {
    "class_logits": "transformer_class_logits",
    "mask_logits": "pixel_space_mask_logits",
    "pixel_feature": "pixel_space_normalized_feature",
    "semantic": "semantic_logits",
}


def image(height: int, width: int) -> np.ndarray:
    """Return an image (1, H, W, 3) from -1 to 1."""
    return np.random.default_rng(0).uniform(-1, 1, (1, height, width, 3)).astype("float32")


def draw(variable, random: np.random.Generator) -> np.ndarray:
    """Return random weights with which every layer affects the output."""
    name, g = variable.name, random.standard_normal(variable.shape)
    if "moving_variance" in name:
        return 0.5 + 0.5 * abs(g)
    if "gamma" in name:
        small = 0.1 if "retrieved_value" in name and "kmeans" in name else 0.25 if "similarity" in name else 1.0
        return (0.3 if "block" in name and ("conv3_bn/" in name or "conv2_bn/" in name) else small) * (1 + 0.1 * g)
    if "embeddings" in name:
        return 0.5 * g
    if "memory_feature" in name or "cluster_centers" in name:
        return g
    return 0.1 * g if g.ndim == 1 else g / np.sqrt(np.prod(g.shape[:-1]))


def timed(compute, repeats: int) -> tuple[dict[str, np.ndarray], float]:
    """Return the outputs of the last call, and the least processor time of the calls after the first."""
    outputs, seconds = compute(), []
    for _ in range(repeats):
        start = time.process_time()
        outputs = compute()
        seconds.append(time.process_time() - start)
    return outputs, min(seconds)


def theirs(model: str, size: tuple[int, int], repeats: int, folder: Path, clone: Path) -> dict[str, float]:
    import tensorflow as tf
    from google.protobuf import text_format

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from deeplab2 import config_pb2
    from deeplab2.data import dataset
    from deeplab2.model import deeplab, kmax_deeplab

    text = (clone / "configs" / "coco" / f"{CONFIGS[model]}.textproto").read_text()
    config = text_format.Parse(text, config_pb2.ExperimentOptions())
    config.trainer_options.solver_options.use_sync_batchnorm = False
    config.train_dataset_options.crop_size[:] = config.eval_dataset_options.crop_size[:] = size
    build = kmax_deeplab.KMaXDeepLab if model.startswith("kmax") else deeplab.DeepLab
    network = build(config, dataset.MAP_NAME_TO_DATASET_INFO["coco_panoptic"])
    x = tf.constant(image(*size))

    @tf.function
    def graph(x):
        if model.startswith("kmax"):
            return network._forward_step(x, training=False)
        return network._decoder(network._encoder(x, training=False), training=False)

    graph(x)
    random = np.random.default_rng(0)
    for variable in network.variables:
        variable.assign(draw(variable, random))
    tf.train.Checkpoint(**network.checkpoint_items).write(str(folder / "ckpt"))
    outputs, seconds = timed(lambda: graph(x), repeats)
    np.savez(folder / "theirs.npz", **{name: outputs[key].numpy() for name, key in OUTPUTS.items()})
    return {"theirs_seconds": seconds}


def ours(model: str, size: tuple[int, int], repeats: int, folder: Path, clone: Path) -> dict[str, float]:
    import torch

    from axialzoo.torch import load_model, optimize_for_inference

    torch.set_num_threads(1)
    command = [sys.executable, "-m", "axialzoo", "import", "deeplab2", str(folder / "ckpt"), "--out", str(folder / "model")]
    print(subprocess.run([*command, "--json"], check=True, capture_output=True, text=True).stdout, file=sys.stderr)
    network = optimize_for_inference(load_model(folder / "model").eval())
    x = torch.from_numpy(image(*size).transpose(0, 3, 1, 2).copy()).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        outputs, seconds = timed(lambda: network(x), repeats)
    errors = {}
    with np.load(folder / "theirs.npz", allow_pickle=False) as arrays:
        for name in OUTPUTS:
            y = outputs[name].numpy()
            y = y.transpose(0, 2, 3, 1) if y.ndim == 4 else y
            errors[name] = float(np.abs(y - arrays[name]).max() / np.abs(arrays[name]).max())
    return {"ours_seconds": seconds, **errors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clone", type=Path, required=True, help="your clone, a folder called deeplab2")
    parser.add_argument("--model", choices=CONFIGS, default="max_deeplab_s")
    parser.add_argument("--size", type=int, nargs=2, default=(641, 641), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--run", choices=("theirs", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        sys.path[:0] = [str(args.clone.resolve().parent), str(ROOT)]
        row = {"theirs": theirs, "ours": ours}[args.run](args.model, tuple(args.size), args.repeats, args.folder, args.clone)
        print(json.dumps({**row, f"{args.run}_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))
        return
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1")
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, **threads, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": paths}
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for run in ("theirs", "ours"):
            options = ["--clone", str(args.clone), "--model", args.model, "--size", *map(str, args.size), "--repeats", str(args.repeats)]
            command = [sys.executable, __file__, *options, "--run", run, "--folder", folder]
            rows |= json.loads(
                subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout.splitlines()[-1]
            )
    print(json.dumps({"model": args.model, "size": args.size, **rows, "times": rows["theirs_seconds"] / rows["ours_seconds"]}))


if __name__ == "__main__":
    main()
