"""Windows of an axis whose length is known only when the model runs (a TensorFlow graph with dynamic shapes)."""

from __future__ import annotations

from keras import ops

from axialzoo.spec import Attention
from axialzoo.spec.window import AnyLengthWindow, pairs_within


class SymbolicWindow(AnyLengthWindow):
    """A window whose sizes are tensors."""

    @classmethod
    def of(cls, length, spec: Attention) -> SymbolicWindow:
        """Return the windows of an axis; `length` is an integer tensor."""
        return cls.trim(length, spec, lambda span: ops.cast(length > span, "int32"))

    @property
    def count(self):
        return 1 if self.queries is self.length else -(-(self.length + self.offset) // self.queries)

    @property
    def padding(self):
        return self.offset, self.count * self.queries - self.length - self.offset

    @property
    def pairs(self):
        if self.flange or self.queries is self.length:
            return _within(self.length, self.reach)
        before, after = self.padding
        ends = _within(self.queries - before, self.reach) + _within(self.queries - after, self.reach)
        several = ends + (self.count - 2) * _within(self.queries, self.reach)
        return ops.where(self.count > 1, several, _within(self.length, self.reach))


def _within(length, reach):
    """Count the pairs of an axis of `length` positions that lie at most `reach` apart; both are integers or tensors of one integer."""
    known = isinstance(length, int) and isinstance(reach, int)
    reach = min(reach, length - 1) if known else ops.minimum(reach, length - 1)
    return pairs_within(length, reach)
