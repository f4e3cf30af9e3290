"""Comparison of our backbones with deeplab2's own code, run from a clone of github.com/google-research/deeplab2.

    pip install tf_keras        # of TensorFlow's version: deeplab2 is written for Keras 2
    python benchmarks/upstream_deeplab2.py --clone PATH/deeplab2

Each case is one of deeplab2's backbones, an eighth as wide and with few blocks, with random weights. Its TF2 checkpoint goes
through `axialzoo import deeplab2`'s converter, and the endpoints are compared with those in PyTorch, in evaluation, on two images.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np

NARROW = {"width_multiplier": 0.125, "stem_width_multiplier": 0.125, "num_blocks": [1, 2, 2, 2]}
EXCITED = {"block_group_config": {"use_squeeze_and_excite": True}}
GELU = {"activation": "gelu", "output_stride": 32}
CASES = {  # title -> (deeplab2's name, its arguments, our builder's where tensors do not show them)
    "resnet50_beta": ("resnet50_beta", {}, {}),
    "resnet50, squeeze and excite": ("resnet50", EXCITED, {}),
    "axial_resnet_l": ("axial_resnet_l", {}, {}),
    "axial_deeplab_l": ("axial_deeplab_l", {}, {}),
    "max_deeplab_s_backbone": ("max_deeplab_s_backbone", {}, {}),
    "max_deeplab_s_backbone, GELU, output stride 32": ("max_deeplab_s_backbone", GELU, GELU),
    "swidernet": ("swidernet", {}, {}),
    "swidernet, squeeze and excite": ("swidernet", EXCITED, {}),
    "axial_swidernet": ("axial_swidernet", {}, {}),
    "axial_swidernet, output stride 32": ("axial_swidernet", {"output_stride": 32}, {"output_stride": 32}),
    "axial_swidernet, output stride 8": ("axial_swidernet", {"output_stride": 8}, {"output_stride": 8}),
    "max_deeplab_l_backbone": ("max_deeplab_l_backbone", {"num_blocks": [1, 1, 2, 1]}, {}),
}


def draw(variable, random: np.random.Generator) -> np.ndarray:
    """Return random weights with which every layer affects the output."""
    name, g = variable.name, random.standard_normal(variable.shape)
    if "moving_variance" in name:
        return 0.5 + 0.5 * abs(g)
    if "gamma" in name:
        last = "block" in name and ("conv3_bn/" in name or "conv2_bn/" in name)
        return (0.25 if "similarity" in name else 0.3 if last else 1.0) * (1 + 0.1 * g)
    if "embeddings" in name:
        return 0.5 * g
    return 0.1 * g if g.ndim == 1 else g / np.sqrt(np.prod(g.shape[:-1]))


def theirs(name: str, arguments: dict, x: np.ndarray, prefix: str) -> dict[str, np.ndarray]:
    """Return the endpoints of their backbone, and write its checkpoint to `prefix`."""
    import tensorflow as tf
    from deeplab2.model.encoder import axial_resnet_instances

    model = axial_resnet_instances.get_model(name, **{**NARROW, **arguments})
    model(tf.zeros(x.shape), training=False)
    random = np.random.default_rng(0)
    for variable in model.variables:
        variable.assign(draw(variable, random))
    tf.train.Checkpoint(encoder=model).write(prefix)
    return {key: value.numpy() for key, value in model(tf.constant(x), training=False).items()}


def ours(prefix: str, options: dict, x: np.ndarray) -> list[np.ndarray]:
    """Return our endpoints, (N, H, W, C) each, from their checkpoint."""
    import torch

    from axialzoo.torch import build, load_tensors
    from converters.deeplab2 import import_checkpoint, infer, sort_keys
    from converters.tf2 import opened

    spec = None
    if options:
        with opened(prefix) as checkpoint:
            spec = infer(sort_keys(checkpoint.shapes).encoder, **options)
    config, tensors = import_checkpoint(prefix, spec)
    model = build(config.spec, features_only=True).eval()
    load_tensors(model, tensors)
    with torch.no_grad():
        return [y.numpy().transpose(0, 2, 3, 1) for y in model(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clone", type=Path, required=True, help="your clone, a folder called deeplab2")
    parser.add_argument("--size", type=int, nargs=2, default=(65, 97), metavar=("HEIGHT", "WIDTH"))
    options = parser.parse_args()
    if options.clone.name != "deeplab2" or not (options.clone / "model" / "encoder").is_dir():
        parser.error(f"--clone: expected a folder called deeplab2 with model/encoder, found {options.clone}")
    os.environ.update(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3")
    sys.path[:0] = [str(options.clone.resolve().parent), str(Path(__file__).resolve().parent.parent)]
    if not (options.clone / "config_pb2.py").exists():  # which protoc would make; the backbones read no configs
        sys.modules["deeplab2.config_pb2"] = MagicMock()
    x = np.random.default_rng(1).standard_normal((2, *options.size, 3)).astype("float32")
    for title, (name, arguments, hidden) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            endpoints = theirs(name, arguments, x, f"{folder}/ckpt")
            output = ours(f"{folder}/ckpt", hidden, x)
        keys = [*(f"res{number}" for number in range(1, 6)), "backbone_output"][: len(output)]
        assert [endpoints[key].shape for key in keys] == [y.shape for y in output], title
        differences = [float(abs(endpoints[key] - y).max()) for key, y in zip(keys, output)]
        spread = float(endpoints[keys[-1]].std())
        print(f"{title:50} {max(differences):.1e}  (last endpoint: standard deviation {spread:.2f})", flush=True)


if __name__ == "__main__":
    main()
