"""Names of a model's classes."""

from __future__ import annotations

from dataclasses import dataclass

from axialzoo.spec.check import require


@dataclass(frozen=True)
class Label:
    """Name and colour of a class.

    Attributes:
        name: Its name.
        thing: Whether it can be counted (a nucleus, a car), so that its instances are told apart; False for stuff such as sky.
        colour: Red, green and blue, 0 to 255, of pictures; None leaves the choice to who draws.
    """

    name: str
    thing: bool = True
    colour: tuple[int, int, int] | None = None

    def __post_init__(self):
        require(isinstance(self.name, str), f"Label.name: expected text, found {self.name!r}")
        require(isinstance(self.thing, bool), f"Label.thing: expected a bool, found {self.thing!r}")
        ok = self.colour is None or all(isinstance(value, int) and 0 <= value <= 255 for value in self.colour)
        require(ok, f"Label.colour: expected red, green, blue from 0 to 255 or null, found {self.colour!r}")


def label_name(labels: tuple[Label, ...], index: int) -> str:
    """Return the name of class `index`, or ``"class 7"`` where the classes have no names."""
    return labels[index].name if labels else f"class {index}"
