"""Windows of an axis whose length is known only when the model runs (a graph of torch.export with dynamic shapes)."""

from __future__ import annotations

from typing import Any

import torch

from axialzoo.spec import Attention
from axialzoo.spec.window import AnyLengthWindow


class SymbolicWindow(AnyLengthWindow):
    """A window of symbolic sizes, on which no branch depends, so that one recorded graph fits every size."""

    @classmethod
    def of(cls, length: Any, spec: Attention) -> SymbolicWindow:
        """Return the windows of an axis; `length` is a torch.SymInt."""
        return cls.trim(length, spec, lambda span: torch.sym_min(torch.sym_max(length - span, 0), 1))

    @property
    def count(self) -> Any:
        # PyTorch can tell that this form is positive
        return 1 if self.queries is self.length else (self.length + self.offset - 1) // self.queries + 1
