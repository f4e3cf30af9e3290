"""Axial attention networks in PyTorch. Needs neither Keras nor TensorFlow."""

from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.backbone import AxialBackbone
from axialzoo.torch.classifier import AxialClassifier
from axialzoo.torch.models import (
    axial_resnet26_s,
    axial_resnet50,
    axial_resnet50_l,
    axial_resnet50_m,
    axial_resnet50_s,
    axial_resnet_cifar10,
    axial_resnet_cifar10_xs,
    build,
    create_model,
)
from axialzoo.torch.native import read_native, write_native
from axialzoo.torch.preprocessing import Preprocess
from axialzoo.torch.weights import load_tensors, save_model, to_tensors

__all__ = [
    "AxialAttention", "AxialBackbone", "AxialClassifier", "Preprocess", "axial_resnet26_s", "axial_resnet50", "axial_resnet50_l",
    "axial_resnet50_m", "axial_resnet50_s", "axial_resnet_cifar10", "axial_resnet_cifar10_xs", "build", "create_model", "load_tensors",
    "read_native", "save_model", "to_tensors", "write_native",
]  # fmt: skip
