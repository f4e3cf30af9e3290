"""Axial attention networks in PyTorch. Needs neither Keras nor TensorFlow."""

from axialzoo.spec import list_models
from axialzoo.torch import zoo
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.attention2d import Attention2D
from axialzoo.torch.backbone import AxialBackbone
from axialzoo.torch.factory import build, create_model, load_model
from axialzoo.torch.inference import optimize_for_inference
from axialzoo.torch.losses import loss_of
from axialzoo.torch.model import AxialModel
from axialzoo.torch.native import read_native, write_native
from axialzoo.torch.preprocessing import Preprocess
from axialzoo.torch.weights import load_tensors, save_model, to_tensors
from axialzoo.torch.zoo import *  # noqa: F403

AxialClassifier = AxialModel  # its name while there was but one head

__all__ = [
    "Attention2D", "AxialAttention", "AxialBackbone", "AxialClassifier", "AxialModel", "Preprocess", "build", "create_model", "list_models",
    "load_model", "load_tensors", "loss_of", "optimize_for_inference", "read_native", "save_model", "to_tensors", "write_native",
]  # fmt: skip
__all__ += zoo.__all__
