"""The official weights of the code bases that our models come from: where they are offered, under what licence, with what figures.

Addresses and figures are as the projects' own pages give them: deeplab2's ``g3doc/projects/axial_deeplab.md`` and
``imagenet_pretrained_checkpoints.md``, and the README of csrhddlam/axial-deeplab. None of the addresses could be reached from where this
was written, so each is unverified; what comes is checked tensor by tensor as it is imported, and by its digest ever after.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from axialzoo.spec import SpecError, did_you_mean, get_entry, parameters

DEEPLAB2 = "https://storage.googleapis.com/gresearch/tf-deeplab/checkpoint/"
CITYSCAPES = "_os16_axial_deeplab_cityscapes_trainfine.tar.gz"
STRONG = "_imagenet1k_strong_training_strategy.tar.gz"
CODE = "code Apache-2.0; the page names no licence of the weights themselves"
OF_CITYSCAPES = f"{CODE}; trained on Cityscapes, whose licence is for non-commercial use"
OF_COCO = f"{CODE}; trained on COCO, whose images have licences of their own"
OF_IMAGENET = f"{CODE}; trained on ImageNet, whose terms are for research"


@dataclass(frozen=True)
class OfficialWeights:
    """Weights that somebody else offers.

    Attributes:
        name: ``"model.tag"``, as ``axialzoo pull`` and ``pretrained=`` take it.
        zoo: The code base, whose converter reads them.
        address: Where the project's page says they are; unverified.
        licence: What is known of it.
        published: Figures of the page, fractions.
        model: The registered model that they are; None where the tensors tell.
        backbone_only: Whether heads are left out.
    """

    name: str
    zoo: str
    address: str
    licence: str
    published: Mapping[str, float] = field(default_factory=dict)
    model: str | None = None
    backbone_only: bool = False

    @property
    def least_bytes(self) -> int:
        """Least size of the download, since no page says it: the bytes of the weights in float32. Optimizers and other heads add to it."""
        spec = get_entry(self.name.partition(".")[0]).spec
        return 4 * sum(math.prod(parameter.shape) for parameter in parameters(spec))


def _of_deeplab2() -> list[OfficialWeights]:
    weights = []
    for theirs, backbone, head, pq, miou in (
        ("axial_swidernet_1_1_1", "axial_swidernet_1_1_1", "axial_deeplab_swidernet_1_1_1", 0.661, 0.828),
        ("axial_swidernet_1_1_3", "axial_swidernet_1_1_3", "axial_deeplab_swidernet_1_1_3", 0.671, 0.835),
        ("axial_swidernet_1_1_4.5", "axial_swidernet_1_1_4_5", "axial_deeplab_swidernet_1_1_4_5", 0.680, 0.830),
        ("max_deeplab_s_backbone", "max_deeplab_s_backbone", "axial_deeplab_max_s", 0.645, 0.822),
        ("max_deeplab_l_backbone", "max_deeplab_l_backbone", "axial_deeplab_max_l", 0.663, 0.831),
    ):
        address, metrics = f"{DEEPLAB2}{theirs}{CITYSCAPES}", {"cityscapes_pq": pq, "cityscapes_miou": miou}
        weights += [
            OfficialWeights(f"{head}.cityscapes", "deeplab2", address, OF_CITYSCAPES, metrics, head),
            OfficialWeights(f"{backbone}.cityscapes", "deeplab2", address, OF_CITYSCAPES, metrics, backbone, backbone_only=True),
            OfficialWeights(
                f"{backbone}.imagenet1k", "deeplab2", f"{DEEPLAB2}{theirs}{STRONG}", OF_IMAGENET, {}, backbone, backbone_only=True
            ),
        ]
    for name, file in (
        ("axial_resnet50_gelu.imagenet22k", "maxs_gelu_imagenet_22k_1k_224.tar.gz"),
        ("resnet50.imagenet1k", "resnet50_imagenet1k.tar.gz"),
        ("resnet50.imagenet1k_strong", f"resnet50{STRONG}"),
        ("resnet50_beta.imagenet1k_strong", f"resnet50_beta{STRONG}"),
    ):
        weights.append(OfficialWeights(name, "deeplab2", DEEPLAB2 + file, OF_IMAGENET, {}, name.partition(".")[0], backbone_only=True))
    return weights


def _mask_transformers() -> list[OfficialWeights]:
    """Return the weights of deeplab2's g3doc/projects/max_deeplab.md and kmax_deeplab.md; PQ by the official script, single scale.

    PyTorch's files of kMaX-DeepLab are on Google Drive: the README of bytedance/kmax-deeplab links to them, but no address
    leads straight to a file.
    """
    weights = []
    for name, size, steps, pq in (
        ("max_deeplab_s", 641, "100k", 0.459), ("max_deeplab_s", 641, "200k", 0.465), ("max_deeplab_s", 641, "400k", 0.470),
        ("max_deeplab_s", 1025, "100k", 0.479), ("max_deeplab_s", 1025, "200k", 0.487), ("max_deeplab_s", 1025, "400k", 0.490),
        ("max_deeplab_l", 1025, "100k", 0.509), ("max_deeplab_l", 1025, "200k", 0.511), ("max_deeplab_l", 1025, "400k", 0.513),
    ):  # fmt: skip
        tag = f"coco_{steps}" if size == 1025 else f"coco_{size}_{steps}"
        address = f"{DEEPLAB2}{name}_os16_res{size}_{steps}_coco_train.tar.gz"
        weights.append(OfficialWeights(f"{name}.{tag}", "deeplab2", address, OF_COCO, {"coco_pq": pq}, name))
    for name, theirs, coco, cityscapes, miou in (
        ("kmax_deeplab_resnet50", "kmax_resnet50", 0.530, 0.643, 0.797),
        ("kmax_deeplab_axial_resnet50", "kmax_maxs_gelu", 0.562, 0.664, 0.821),
    ):
        address = f"{DEEPLAB2}{theirs}_coco_train.tar.gz"
        weights.append(OfficialWeights(f"{name}.coco", "deeplab2", address, OF_COCO, {"coco_pq": coco}, name))
        metrics = {"cityscapes_pq": cityscapes, "cityscapes_miou": miou}
        address = f"{DEEPLAB2}{theirs}_cityscapes_train.tar.gz"
        weights.append(OfficialWeights(f"{name}_cityscapes.cityscapes", "deeplab2", address, OF_CITYSCAPES, metrics, f"{name}_cityscapes"))
    return weights


OFFICIAL: dict[str, OfficialWeights] = {
    one.name: one
    for one in (
        *_of_deeplab2(),
        *_mask_transformers(),
        OfficialWeights(
            "axial_resnet26_s.imagenet1k", "axial-deeplab", "http://www.cs.jhu.edu/~hwang157/axial26s.pth",
            "the repository names none; trained on ImageNet, whose terms are for research", {"top1": 0.758}, "axial_resnet26_s",
        ),
    )
}  # fmt: skip


def official(name: str) -> OfficialWeights:
    """Return the weights called `name`.

    Raises:
        SpecError: naming the nearest.

    Example:
        >>> official("axial_swidernet_1_1_1.cityscapes").published["cityscapes_pq"]
        0.661
    """
    if name not in OFFICIAL:
        raise SpecError(f"no official weights {name!r}{did_you_mean(name, OFFICIAL)}; `axialzoo pull` lists those there are")
    return OFFICIAL[name]
