"""Bad labels: collected over a file set, then refused together or left out and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

ACTIONS = ("error", "skip")
LISTED = 20  # faults that a message spells out


class DataError(ValueError):
    """Data that cannot be used as they are; the message names the file and the value."""


class Fault(NamedTuple):
    """A bad label.

    Attributes:
        kind: Kind of fault, to count by.
        message: The file, the label and its values.
        can_skip: Whether the label can be left out, so that the picture stays usable.
    """

    kind: str
    message: str
    can_skip: bool = True


class BadLabelError(DataError):
    """Bad labels of a sample or of a whole file set.

    Args:
        faults: At least one.
    """

    def __init__(self, faults: Sequence[Fault]):
        self.faults = tuple(faults)
        super().__init__(_describe(self.faults))

    def __reduce__(self):
        return BadLabelError, (self.faults,)


def _describe(faults: tuple[Fault, ...]) -> str:
    """Return the faults with counts by kind, and the switch that leaves them out."""
    lines = [fault.message for fault in faults[:LISTED]]
    if len(faults) > LISTED:
        lines.append(f"... and {len(faults) - LISTED:,} more")
    if len(faults) > 1:
        lines = [f"data: found {len(faults):,} bad labels: {count_text(faults)}", *(f"  {line}" for line in lines)]
    if any(fault.can_skip for fault in faults):
        lines.append("(--on-bad-label skip, in Python on_bad_label='skip', leaves bad labels out and counts them)")
    return "\n".join(lines)


def count_text(faults: Sequence[Fault]) -> str:
    """Return ``"3 x box without width or height, 1 x ..."``, the most frequent kind first."""
    return ", ".join(f"{count:,} x {kind}" for kind, count in Counter(fault.kind for fault in faults).most_common())


class LabelPolicy:
    """Decides about bad labels: they are refused, or left out and counted.

    Args:
        action: ``"error"`` or ``"skip"``.

    Attributes:
        skip: Whether bad labels are left out.

    Raises:
        DataError: for another action.
    """

    def __init__(self, action: str = "error"):
        if action not in ACTIONS:
            raise DataError(f"on_bad_label: expected {' or '.join(ACTIONS)}, found {action!r}")
        self.skip = action == "skip"
        self._skipped: dict[Fault, None] = {}  # a sample may be opened several times

    @property
    def skipped(self) -> tuple[Fault, ...]:
        """Faults whose labels were left out so far, each once."""
        return tuple(self._skipped)

    def handle(self, faults: Sequence[Fault]) -> None:
        """Raise the faults together, or record them.

        Raises:
            BadLabelError: naming all of them, where they are not skipped or cannot be.
        """
        if faults and not (self.skip and all(fault.can_skip for fault in faults)):
            raise BadLabelError(faults)
        self._skipped.update(dict.fromkeys(faults))

    @contextmanager
    def gather(self) -> Iterator[LabelPolicy]:
        """Collect the faults of the block and handle them together at its end."""
        gathered = LabelPolicy("skip")
        yield gathered
        self.handle(gathered.skipped)


STRICT = LabelPolicy()
