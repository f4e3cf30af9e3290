"""Our axial attention layer within a span, without positions, against NATTEN's 1-D neighborhood attention: inference on a CPU, float32.

    python benchmarks/neighborhood.py --natten FOLDER [--span 13] [--threads 1] [--batch 8] [--seconds 3] [--json]

FOLDER holds a built `natten`: 0.17.5 is the last release with kernels for CPUs (`pip install --no-build-isolation --target FOLDER
natten==0.17.5`; a PyTorch that wants C++20 needs `-std=c++20` in its csrc/CMakeLists.txt). Both layers have the same weights with the norms
folded; theirs is PyTorch's projection, then `na1d_qk`, a softmax and `na1d_av`. Their attention is also timed alone, with queries, keys and
values ready. Both attend to the same `span` positions, except at the ends of an axis, where NATTEN shifts the window and ours is cut; the
script compares results away from the ends.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from axialzoo.ops.folding import fold_attention  # noqa: E402
from axialzoo.ops.kernels import kernel_status  # noqa: E402
from axialzoo.spec import Attention, Norm  # noqa: E402
from axialzoo.torch.attention import AxialAttention  # noqa: E402
from axialzoo.torch.folded import FoldedAxialAttention, tensors_of  # noqa: E402
from benchmarks.kernel import difference, interleaved, line, row  # noqa: E402

LAYERS = ((56, 64), (28, 128), (14, 256), (56, 512))  # positions, channels: three of axial_resnet50_s, and one of deep heads


def find_natten(folder: Path) -> Any:
    """Import NATTEN's functions; it needs two names of PyTorch's CUDA module that a CPU build or a later release lacks."""
    setattr(torch.cuda, "_device_t", object)  # noqa: B010
    torch.cuda.get_device_capability = lambda device=None: (0, 0)
    sys.path.insert(0, str(folder))
    try:
        functional = importlib.import_module("natten.functional")
    except ImportError as error:
        raise SystemExit(f"--natten: expected a folder with natten 0.17.5, built; found {folder} ({error})") from error
    if not hasattr(functional, "na1d_qk"):
        raise SystemExit(f"--natten: expected a release with na1d_qk, the last is 0.17.5; found another in {folder}")
    return functional


class Neighborhood:
    """The computation of `layer`, on NATTEN."""

    def __init__(self, layer: AxialAttention, natten: Any):
        spec, self.axis, self.natten = layer.spec, layer.axis, natten
        folded = fold_attention(tensors_of(layer), "", spec, layer.norm_qkv.eps)
        self.span, self.heads, self.widths = spec.span, spec.heads, (spec.key_channels, spec.key_channels, spec.value_channels)

        def head_by_head(x: np.ndarray, scale: np.ndarray | float = 1.0) -> Tensor:
            """Reorder (D * G, ...), with the head index fastest, to (G * D, ...), and scale each head."""
            heads = np.moveaxis(x.reshape(-1, spec.heads, *x.shape[1:]), 1, -1) * scale
            return torch.from_numpy(np.moveaxis(heads, -1, 0).reshape(x.shape)).float()

        ends = np.cumsum(self.widths)[:2]
        scales = (folded.scales[0], 1.0, 1.0)
        self.weight = torch.cat([head_by_head(part, scale) for part, scale in zip(np.split(folded.weight, ends), scales)])
        self.bias = torch.cat([head_by_head(part, scale) for part, scale in zip(np.split(folded.bias, ends), scales)])
        self.shift = head_by_head(folded.shift)

    def project(self, x: Tensor) -> list[Tensor]:
        """Project (N, C, H, W) to queries, keys and values: (B, G, L, D)."""
        rows = x.permute(0, 3, 2, 1) if self.axis == 0 else x.permute(0, 2, 3, 1)  # (N, other, L, C)
        parts = F.linear(rows, self.weight, self.bias).flatten(0, 1).split(self.widths, -1)  # (B, L, G * D)
        return [part.unflatten(-1, (self.heads, -1)).transpose(1, 2).contiguous() for part in parts]

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return the attention output, (B, G, L, Dv)."""
        return self.natten.na1d_av(self.natten.na1d_qk(q, k, self.span, 1).softmax(-1), v, self.span, 1)

    def __call__(self, x: Tensor) -> Tensor:
        attended = self.attend(*self.project(x)).transpose(1, 2).flatten(2) + self.shift  # (B, L, V)
        y = attended.unflatten(0, (len(x), -1))  # (N, other, L, V)
        return y.permute(0, 3, 2, 1) if self.axis == 0 else y.permute(0, 3, 1, 2)


def measure(natten: Any, length: int, channels: int, axis: int, span: int, batch: int, seconds: float) -> dict[str, float | str]:
    torch.manual_seed(0)
    content: Any = {"similarity": ("content",), "value": ("content",)}
    spec = Attention(channels // 2, channels, max_length=length, span=span, **content)
    layer = AxialAttention(channels, spec, Norm(), axis).eval()
    ours, theirs = FoldedAxialAttention(layer), Neighborhood(layer, natten)
    x = torch.randn(batch, channels, length, length).contiguous(memory_format=torch.channels_last)
    ready = theirs.project(x)
    reach = span // 2
    apart = difference(*(y.narrow(2 + axis, reach, length - 2 * reach) for y in (ours(x), theirs(x))))
    if apart > 1e-5:
        raise SystemExit(f"L={length}: the layers differ by {apart}; nothing to compare")
    calls = {"ours": lambda: ours(x), "NATTEN": lambda: theirs(x), "NATTEN attention alone": lambda: theirs.attend(*ready)}
    return row(f"L={length}, {channels} channels, axis {axis}, span {span}", interleaved(calls, seconds), apart)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--natten", type=Path, required=True, help="folder that natten 0.17.5 lies in")
    parser.add_argument("--span", type=int, default=13)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each row")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    natten = find_natten(args.natten)
    print(f"# {kernel_status().path}, batch {args.batch}, {args.threads} thread(s), torch {torch.__version__}")
    with torch.inference_mode():
        for length, channels in LAYERS:
            for axis in (0, 1):
                result = measure(natten, length, channels, axis, args.span, args.batch, args.seconds)
                print(json.dumps(result) if args.json else line(result), flush=True)


if __name__ == "__main__":
    main()
