"""axialzoo: axial attention networks in PyTorch and Keras 3, from one spec and one checkpoint file."""

from axialzoo.info import model_info
from axialzoo.spec import SpecError, list_models

__version__ = "0.1.0"
__all__ = ["SpecError", "__version__", "list_models", "model_info"]
