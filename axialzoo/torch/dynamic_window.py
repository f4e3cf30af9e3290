"""Windows of an axis whose length is known only when the model runs (what torch.export records with free sizes)."""

from __future__ import annotations

from typing import Any

import torch

from axialzoo.spec import Attention
from axialzoo.spec.window import AnyLengthWindow


class SymbolicWindow(AnyLengthWindow):
    """A window of which nothing is asked when it is recorded, so that one recording serves every size."""

    @classmethod
    def of(cls, length: Any, spec: Attention) -> SymbolicWindow:
        """The windows of an axis; `length` is a torch.SymInt."""
        return cls.trim(length, spec, lambda span: torch.sym_min(torch.sym_max(length - span, 0), 1))

    @property
    def count(self) -> Any:
        return 1 if self.queries is self.length else (self.length + self.offset - 1) // self.queries + 1  # so written, known to be positive
