"""A checkpoint as a function of arrays and pictures: in any framework, back end and precision. Library code: nothing is printed."""

from typing import TYPE_CHECKING, Any

from axialzoo.runtime.factory import create_model
from axialzoo.runtime.runner import Runner, load_runner

if TYPE_CHECKING:
    from axialzoo.runtime.publishing import publish

__all__ = ["Runner", "create_model", "load_runner", "publish"]


def __getattr__(name: str) -> Any:
    """Import `publish`, which needs much that predictions do not, when it is first used."""
    if name == "publish":
        from axialzoo.runtime.publishing import publish

        return publish
    raise AttributeError(f"module 'axialzoo.runtime' has no attribute {name!r}")
