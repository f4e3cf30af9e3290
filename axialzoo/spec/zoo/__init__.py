"""The named models as data: importing this registers them. One file a family; `deeplab2` makes those of that code base."""

from axialzoo.spec.zoo import axial_resnet, axial_resnet_cifar, axial_deeplab, axial_swidernet, max_deeplab, resnet, deeplab2  # isort: skip

__all__ = ["axial_deeplab", "axial_resnet", "axial_resnet_cifar", "axial_swidernet", "deeplab2", "max_deeplab", "resnet"]
