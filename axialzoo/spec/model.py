"""Models: a backbone and a head."""

from __future__ import annotations

from dataclasses import dataclass

from axialzoo.spec.backbone import Backbone
from axialzoo.spec.check import SpecError, require, require_count
from axialzoo.spec.heads.head import Head


@dataclass(frozen=True)
class Model:
    """Backbone and head of a model.

    Attributes:
        backbone: The feature extractor.
        head: The head, which turns features into outputs; None for a model that returns features.
        input_size: Height and width that the model is meant for; any other works too.
    """

    backbone: Backbone
    head: Head | None = None
    input_size: tuple[int, int] = (224, 224)

    def __post_init__(self):
        ok = self.head is None or isinstance(self.head, Head)
        require(ok, f"Model.head: expected a head of axialzoo.spec.heads or None, found {self.head!r}")
        require(len(self.input_size) == 2, f"Model.input_size: expected (height, width), found {self.input_size!r}")
        for side in self.input_size:
            require_count("Model", "input_size", side)

    @property
    def num_classes(self) -> int:
        """Number of classes of its head, as its outputs have them; 0 without one."""
        return self.head.num_classes if self.head is not None else 0

    @property
    def num_labels(self) -> int:
        """Number of classes that its outputs tell apart: two where the head has one logit for both; 0 without a head."""
        return self.head.num_labels if self.head is not None else 0

    @property
    def task(self) -> str:
        """Task of the head, or ``"features"`` without a head."""
        return self.head.task if self.head is not None else "features"


def size_pair(size) -> tuple[int, int]:
    """Convert ``224``, ``(320, 480)`` or ``"320x480"`` to (height, width)."""
    if isinstance(size, str):
        parts = size.lower().split("x")
        if not all(part.isdigit() for part in parts) or len(parts) > 2:
            raise SpecError(f"input size: expected SIDE or HEIGHTxWIDTH such as 320x480, found {size!r}")
        size = tuple(int(part) for part in parts)
    pair = (size, size) if isinstance(size, int) else tuple(size) * (2 if len(size) == 1 else 1)
    if len(pair) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in pair):
        raise SpecError(f"input size: expected a positive side or (height, width), found {size!r}")
    return pair[0], pair[1]
