"""Functions that build one named model each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from axialzoo.spec.adapt import Changes
from axialzoo.spec.registry import aliases, get_entry


def named_builder(create_model: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return the builder of a registered model, under its name and with every argument in its signature, for ``help()``.

    Args:
        create_model: A framework's: called with `name` and the builder's arguments.
        name: Name or alias in the registry.
    """

    def build(pretrained: Any = False, **changes: Any) -> Any:
        return create_model(name, pretrained, **changes)

    model = get_entry(name)
    also = f" (also {', '.join(aliases(name))})" if name == model.name and aliases(name) else ""
    build.__name__ = build.__qualname__ = name
    build.__module__ = create_model.__module__
    build.__doc__ = f"{model.summary}{also}; arguments as in :func:`create_model`. Source: {model.source}."
    own = [parameter for key, parameter in inspect.signature(create_model).parameters.items() if key not in ("name", "changes")]
    keyword = inspect.Parameter.KEYWORD_ONLY
    more = [inspect.Parameter(key, keyword, default=None, annotation=hint) for key, hint in Changes.__annotations__.items()]
    vars(build)["__signature__"] = inspect.Signature([*own, *more])  # an attribute that functions are not declared to have
    return build
