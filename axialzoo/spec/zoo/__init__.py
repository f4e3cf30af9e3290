"""The named models as data: importing this registers them. One file a family; `deeplab2` makes those of that code base."""

from axialzoo.spec.zoo import (  # isort: skip
    axial_resnet,
    axial_resnet_full,
    axial_resnet_cifar,
    stand_alone,
    axial_deeplab,
    axial_swidernet,
    max_deeplab,
    resnet,
    panoptic_deeplab,
    axial_deeplab_nuclei,
    axial_deeplab_camvid,
    fcos_axial_resnet,
    axial_fcos_blood_cells,
    mask_transformers,
    deeplab2,
)

__all__ = [
    "axial_deeplab", "axial_deeplab_camvid", "axial_deeplab_nuclei", "axial_fcos_blood_cells", "axial_resnet", "axial_resnet_cifar",
    "axial_resnet_full", "axial_swidernet", "deeplab2", "fcos_axial_resnet", "mask_transformers", "max_deeplab", "panoptic_deeplab",
    "resnet", "stand_alone",
]  # fmt: skip
