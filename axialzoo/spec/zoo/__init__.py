"""The named models as data: importing this registers them. One file a family."""

from axialzoo.spec.zoo import axial_resnet, axial_resnet_cifar

__all__ = ["axial_resnet", "axial_resnet_cifar"]
