"""axialzoo: axial attention networks in PyTorch and Keras 3, from one spec and one checkpoint file."""

from typing import TYPE_CHECKING, Any

from axialzoo.info import model_info
from axialzoo.spec import SpecError, list_models

if TYPE_CHECKING:
    from axialzoo.runtime import create_model, load_runner, publish

__version__ = "0.1.0"
_LAZY = ("create_model", "load_runner", "publish")
__all__ = ["SpecError", "__version__", "create_model", "list_models", "load_runner", "model_info", "publish"]


def __getattr__(name: str) -> Any:
    """Import names that need numpy when they are first used."""
    if name in _LAZY:
        from axialzoo import runtime

        return getattr(runtime, name)
    raise AttributeError(f"module 'axialzoo' has no attribute {name!r}; models and their layers are in axialzoo.torch and axialzoo.keras")


def __dir__() -> list[str]:
    """Return all public names, those that are imported when first used too."""
    return sorted({*globals(), *__all__})
