"""Axial attention networks in PyTorch. Needs neither Keras nor TensorFlow."""

from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.attention2d import Attention2D
from axialzoo.torch.backbone import AxialBackbone
from axialzoo.torch.classifier import AxialClassifier
from axialzoo.torch.inference import optimize_for_inference
from axialzoo.torch.models import (
    axial_deeplab_l_backbone,
    axial_deeplab_m_backbone,
    axial_deeplab_s_backbone,
    axial_deeplab_xl_backbone,
    axial_resnet26_s,
    axial_resnet50,
    axial_resnet50_full_l,
    axial_resnet50_full_m,
    axial_resnet50_full_s,
    axial_resnet50_gelu,
    axial_resnet50_l,
    axial_resnet50_m,
    axial_resnet50_s,
    axial_resnet_cifar10,
    axial_resnet_cifar10_xs,
    axial_resnet_l,
    axial_resnet_s,
    axial_swidernet_1_1_1,
    axial_swidernet_1_1_3,
    axial_swidernet_1_1_4_5,
    build,
    create_model,
    max_deeplab_l_backbone,
    max_deeplab_s_backbone,
    resnet50,
    resnet50_beta,
    stand_alone_resnet50,
    stand_alone_resnet50_ps,
)
from axialzoo.torch.native import read_native, write_native
from axialzoo.torch.preprocessing import Preprocess
from axialzoo.torch.weights import load_tensors, save_model, to_tensors

__all__ = [
    "Attention2D", "AxialAttention", "AxialBackbone", "AxialClassifier", "Preprocess", "axial_deeplab_l_backbone",
    "axial_deeplab_m_backbone",
    "axial_deeplab_s_backbone", "axial_deeplab_xl_backbone", "axial_resnet26_s", "axial_resnet50", "axial_resnet50_full_l",
    "axial_resnet50_full_m", "axial_resnet50_full_s", "axial_resnet50_gelu", "axial_resnet50_l", "axial_resnet50_m", "axial_resnet50_s",
    "axial_resnet_cifar10", "axial_resnet_cifar10_xs", "axial_resnet_l", "axial_resnet_s", "axial_swidernet_1_1_1",
    "axial_swidernet_1_1_3", "axial_swidernet_1_1_4_5", "build", "create_model", "load_tensors", "max_deeplab_l_backbone",
    "max_deeplab_s_backbone", "optimize_for_inference", "read_native", "resnet50", "resnet50_beta", "save_model", "stand_alone_resnet50",
    "stand_alone_resnet50_ps", "to_tensors", "write_native",
]  # fmt: skip
