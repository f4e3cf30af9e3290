"""Axial attention networks in Keras 3, on the tensorflow, jax or torch back end. Needs no PyTorch on the first two."""

import os

try:
    import keras  # noqa: F401
except ModuleNotFoundError as error:
    if error.name not in ("keras", "tensorflow", "jax", "torch"):
        raise
    chosen = (
        "" if error.name == "keras" else f", which KERAS_BACKEND={os.environ.get('KERAS_BACKEND', 'tensorflow')!r} (or keras.json) asks for"
    )
    raise ModuleNotFoundError(
        f"axialzoo.keras needs {error.name}{chosen}; it is not installed: pip install 'axialzoo[keras-tensorflow]' or "
        "'axialzoo[keras-jax]', or set KERAS_BACKEND to one of tensorflow, jax, torch that is",
        name=error.name,
    ) from error

from axialzoo.keras.attention import AxialAttention
from axialzoo.keras.attention2d import Attention2D
from axialzoo.keras.backbone import AxialBackbone
from axialzoo.keras.classifier import AxialClassifier
from axialzoo.keras.models import (
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
from axialzoo.keras.native import read_native, write_native
from axialzoo.keras.preprocessing import Preprocess
from axialzoo.keras.weights import load_tensors, save_model, to_tensors

__all__ = [
    "Attention2D", "AxialAttention", "AxialBackbone", "AxialClassifier", "Preprocess", "axial_deeplab_l_backbone",
    "axial_deeplab_m_backbone",
    "axial_deeplab_s_backbone", "axial_deeplab_xl_backbone", "axial_resnet26_s", "axial_resnet50", "axial_resnet50_full_l",
    "axial_resnet50_full_m", "axial_resnet50_full_s", "axial_resnet50_gelu", "axial_resnet50_l", "axial_resnet50_m", "axial_resnet50_s",
    "axial_resnet_cifar10", "axial_resnet_cifar10_xs", "axial_resnet_l", "axial_resnet_s", "axial_swidernet_1_1_1",
    "axial_swidernet_1_1_3", "axial_swidernet_1_1_4_5", "build", "create_model", "load_tensors", "max_deeplab_l_backbone",
    "max_deeplab_s_backbone", "read_native", "resnet50", "resnet50_beta", "save_model", "stand_alone_resnet50",
    "stand_alone_resnet50_ps", "to_tensors", "write_native",
]  # fmt: skip
