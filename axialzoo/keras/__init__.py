"""Axial attention networks in Keras 3, on the tensorflow, jax or torch back end. Needs no PyTorch on the first two."""

import os

if (os.environ.get("KERAS_BACKEND") or "tensorflow") not in ("tensorflow", "jax", "torch"):
    raise ValueError(f"KERAS_BACKEND: expected one of tensorflow, jax, torch, found {os.environ['KERAS_BACKEND']!r}")

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

from axialzoo.keras import zoo
from axialzoo.keras.attention import AxialAttention
from axialzoo.keras.attention2d import Attention2D
from axialzoo.keras.backbone import AxialBackbone
from axialzoo.keras.factory import build, create_model, load_model
from axialzoo.keras.inference import optimize_for_inference
from axialzoo.keras.losses import loss_of
from axialzoo.keras.model import AxialModel
from axialzoo.keras.native import read_native, write_native
from axialzoo.keras.preprocessing import Preprocess
from axialzoo.keras.weights import load_tensors, save_model, to_tensors
from axialzoo.keras.zoo import *  # noqa: F403
from axialzoo.spec import list_models

AxialClassifier = AxialModel  # its name while there was but one head

__all__ = [
    "Attention2D", "AxialAttention", "AxialBackbone", "AxialClassifier", "AxialModel", "Preprocess", "build", "create_model", "list_models",
    "load_model", "load_tensors", "loss_of", "optimize_for_inference", "read_native", "save_model", "to_tensors", "write_native",
]  # fmt: skip
__all__ += zoo.__all__
