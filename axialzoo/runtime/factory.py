"""Factory of the named models in either framework."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from axialzoo.runtime.frameworks import FRAMEWORKS, choose
from axialzoo.spec import Changes, SpecError, did_you_mean

if TYPE_CHECKING:
    from axialzoo.keras.model import AxialModel as KerasModel
    from axialzoo.torch.model import AxialModel as TorchModel

Weights = bool | str | os.PathLike[str]


@overload
def create_model(name: str, pretrained: Weights = False, *, framework: Literal["torch"], **changes: Unpack[Changes]) -> TorchModel[Any]: ...
@overload
def create_model(name: str, pretrained: Weights = False, *, framework: Literal["keras"], **changes: Unpack[Changes]) -> KerasModel: ...
@overload
def create_model(name: str, pretrained: Weights = False, *, framework: str | None = None, **options: Any) -> Any: ...
def create_model(name: str, pretrained: Weights = False, *, framework: str | None = None, **options: Any) -> Any:
    """Build a registered model in a framework.

    Args:
        name, pretrained, **options: See :func:`axialzoo.torch.create_model` and :func:`axialzoo.keras.create_model`.
        framework: ``"torch"`` or ``"keras"``; default the first installed.

    Raises:
        SpecError: for an unknown framework, name or argument.
        ModuleNotFoundError: for a framework that is not installed; the message says how to install it.

    Example:
        >>> import axialzoo
        >>> axialzoo.create_model("axial_resnet_cifar10_xs", framework="torch", num_classes=5).num_classes
        5
    """
    if framework is not None and framework not in FRAMEWORKS:
        raise SpecError(f"framework: expected one of {', '.join(FRAMEWORKS)}, found {framework!r}{did_you_mean(framework, FRAMEWORKS)}")
    if choose(framework)[0] == "torch":
        from axialzoo.torch import factory
    else:
        from axialzoo.keras import factory
    return factory.create_model(name, pretrained, **options)
