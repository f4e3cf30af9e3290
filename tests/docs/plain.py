"""The models that ship, computed in numpy from what docs/format.md says, without a word of axialzoo."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def convolve(x: Array, weight: Array, stride: int = 1, bias: Array | None = None) -> Array:
    """(C, H, W) to (O, ceil(H / stride), ceil(W / stride)); where `weight` is (C, 1, k, k), each channel by itself."""
    side = weight.shape[2]
    x = np.pad(x, ((0, 0), (side // 2, side // 2), (side // 2, side // 2)))
    seen = np.lib.stride_tricks.sliding_window_view(x, (side, side), (1, 2))[:, ::stride, ::stride]  # (C, H', W', k, k)
    alone = weight.shape[1] == 1 and len(x) > 1
    y = np.einsum("chwij,cij->chw", seen, weight[:, 0]) if alone else np.tensordot(weight, seen, ((1, 2, 3), (0, 3, 4)))
    return y if bias is None else y + bias[:, None, None]


class Plain:
    """A checkpoint as a function.

    Args:
        config, tensors: As the page's reader gives them.
    """

    def __init__(self, config: dict[str, Any], tensors: dict[str, Array]):
        self.backbone, self.head = config["spec"]["backbone"], config["spec"]["head"]
        self.t = {name: np.asarray(tensor, np.float64) for name, tensor in tensors.items()}
        for part in (self.backbone, self.head):
            assert part.get("activation", "relu") == "relu", "no other activation ships"

    def __call__(self, x: Array) -> Any:
        """(C, H, W) to logits, a dictionary of maps, or one of lists of maps."""
        stride, ends = 1, []
        for number, conv in enumerate(self.backbone["stem"]["convs"]):
            x, stride = relu(self.conv(f"stem.{number}", x, conv["stride"])), stride * conv["stride"]
        for number, stage in enumerate(self.backbone["stages"]):
            if number == 0 and (stage["pool"] or any(block["stride"] > 1 for block in stage["blocks"])):
                ends.append((stride, x))
            if stage["pool"]:
                stride, x = 2 * stride, max_pool(x)
            for at, block in enumerate(stage["blocks"]):
                x, stride = self.block(f"stages.{number}.blocks.{at}", x, block), stride * block["stride"]
            ends.append((stride, x))
        return {"classifier": self.classify, "panoptic": self.panoptic, "fcos": self.fcos}[self.head["kind"]](ends)

    def norm(self, name: str, x: Array) -> Array:
        """Normalise channels, the first axis."""
        weight, bias, mean, variance = (
            self.t[f"{name}.{part}"].reshape(-1, *(1,) * (x.ndim - 1)) for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + self.backbone["norm"]["epsilon"]) * weight + bias

    def conv(self, name: str, x: Array, stride: int = 1) -> Array:
        return self.norm(f"{name}.norm", convolve(x, self.t[f"{name}.conv.weight"], stride))

    def biased(self, name: str, x: Array) -> Array:
        return convolve(x, self.t[f"{name}.weight"], 1, self.t[f"{name}.bias"])

    def separable(self, name: str, x: Array) -> Array:
        return relu(self.conv(f"{name}.pointwise", relu(self.conv(f"{name}.depthwise", x))))

    def block(self, name: str, x: Array, spec: dict[str, Any]) -> Array:
        stride = spec["stride"]
        if spec["kind"] == "basic":
            r = self.conv(f"{name}.spatial2", relu(self.conv(f"{name}.spatial1", x, stride)))
        else:
            assert (spec["kind"], stride) == ("axial", 1), "no other block ships"
            r = relu(self.conv(f"{name}.reduce", x))
            r = self.attend(f"{name}.height", r, spec["attention"])
            r = self.attend(f"{name}.width", r.swapaxes(1, 2), spec["attention"]).swapaxes(1, 2)
            r = self.conv(f"{name}.expand", relu(r))
        has_conv = f"{name}.shortcut.conv.weight" in self.t
        return relu((self.conv(f"{name}.shortcut", x, stride) if has_conv else x[:, ::stride, ::stride]) + r)

    def attend(self, name: str, x: Array, spec: dict[str, Any]) -> Array:
        """Along the height: (C, L, W) to (V, L, W)."""
        keys, values, heads, reach = spec["key_channels"], spec["value_channels"], spec["heads"], spec["max_length"]
        qkv = self.norm(f"{name}.norm_qkv", np.tensordot(self.t[f"{name}.qkv.weight"], x, 1))  # (2 K + V, L, W)
        q, k, v = (part.reshape(heads, -1, *x.shape[1:]) for part in np.split(qkv, (keys, 2 * keys)))  # (G, D, L, W)
        distance = np.arange(x.shape[1]) - np.arange(x.shape[1])[:, None]  # (L, L), the key's place less the query's
        rq, rk, rv = (
            self.t[f"{name}.{term}_position"][np.clip(distance + reach - 1, 0, 2 * reach - 2)] for term in ("query", "key", "value")
        )  # (L, L, D)
        terms = (
            np.einsum("gdpw,gdsw->gpsw", q, k),
            np.einsum("gdpw,psd->gpsw", q, rq),
            np.einsum("gdsw,psd->gpsw", k, rk),
        )
        logits = self.norm(f"{name}.norm_similarity", np.concatenate(terms)).reshape(3, heads, *terms[0].shape[1:]).sum(0)
        logits[:, abs(distance) >= reach] = -np.inf
        weights = np.exp(logits - logits.max(2, keepdims=True))
        weights /= weights.sum(2, keepdims=True)  # (G, L, L, W)
        actual = (np.einsum("gpsw,gdsw->gdpw", weights, v), np.einsum("gpsw,psd->gdpw", weights, rv))
        actual = np.concatenate([item.reshape(values, *x.shape[1:]) for item in actual])  # (2 V, L, W)
        return self.norm(f"{name}.norm_output", actual).reshape(2, values, *x.shape[1:]).sum(0)

    def classify(self, ends: list[tuple[int, Array]]) -> Array:
        return self.t["head.fc.weight"] @ ends[-1][1].mean((1, 2)) + self.t["head.fc.bias"]

    def panoptic(self, ends: list[tuple[int, Array]]) -> dict[str, Array]:
        decoders = {"semantic": self.head["semantic"], "instance": self.head["instances"]["decoder"]}
        actual = {}
        for name, decoder in decoders.items():
            assert not decoder["rates"], "no decoder with rates ships"
            x = relu(self.conv(f"head.{name}.aspp.project", ends[-1][1]))
            for number, skip in enumerate(decoder["skips"]):
                feature = next(item for stride, item in ends if stride == skip["stride"])
                fine = relu(self.conv(f"head.{name}.skips.{number}", feature))
                x = self.separable(f"head.{name}.fuse.{number}", np.concatenate([resize(x, fine.shape[1:]), fine]))
            actual[name] = x
        reads = {"semantic": ("classes", "semantic"), "center": ("center", "instance"), "offset": ("offset", "instance")}
        return {map: self.biased(f"head.{name}.out", self.separable(f"head.{name}.mix", actual[of])) for map, (name, of) in reads.items()}

    def fcos(self, ends: list[tuple[int, Array]]) -> dict[str, list[Array]]:
        strides, last = self.head["pyramid"]["strides"], dict(ends)
        read = [last[stride] for stride in strides if stride in last]
        merged = [self.conv(f"head.pyramid.lateral.{number}", x) for number, x in enumerate(read)]
        for at in range(len(merged) - 1, 0, -1):
            height, width = merged[at - 1].shape[1:]
            merged[at - 1] = merged[at - 1] + merged[at].repeat(2, 1).repeat(2, 2)[:, :height, :width]
        levels = [self.conv(f"head.pyramid.output.{number}", x) for number, x in enumerate(merged)]
        for number in range(len(strides) - len(read)):
            levels.append(self.conv(f"head.pyramid.extra.{number}", relu(levels[-1]) if number else levels[-1], 2))
        maps: dict[str, list[Array]] = {"classes": [], "boxes": [], "centerness": []}
        for level, x in enumerate(levels):
            classes, boxes = (self.tower(f"head.levels.{name}_tower", x, level) for name in ("class", "box"))
            maps["classes"].append(self.biased("head.levels.classes", classes))
            maps["boxes"].append(relu(self.biased("head.levels.boxes", boxes) * self.t[f"head.levels.scales.{level}"]))
            maps["centerness"].append(self.biased("head.levels.centerness", boxes))
        return maps

    def tower(self, name: str, x: Array, level: int) -> Array:
        for number in range(self.head["depth"]):
            x = relu(self.norm(f"{name}.norms.{number}.{level}", convolve(x, self.t[f"{name}.convs.{number}.weight"])))
        return x


def max_pool(x: Array) -> Array:
    """3 x 3, stride 2."""
    x = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))[:, ::2, ::2].max((3, 4))


def resize(x: Array, size: tuple[int, ...]) -> Array:
    """Bilinear with corners aligned: (C, H, W) to (C, *size)."""
    for axis, length in ((1, size[0]), (2, size[1])):
        before = x.shape[axis]
        place = np.arange(length) * (before - 1) / max(length - 1, 1)
        low = np.minimum(place.astype(int), max(before - 2, 0))
        share = (place - low).reshape(-1, 1) if axis == 1 else place - low
        x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, before - 1), axis) * share
    return x
