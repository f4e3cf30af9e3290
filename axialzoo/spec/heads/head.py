"""Base class of heads: each declares its tensors, the endpoints that it reads and its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar, Literal, TypeVar, cast

from axialzoo.spec.backbone import Backbone
from axialzoo.spec.block import Block
from axialzoo.spec.check import SpecError, did_you_mean, require
from axialzoo.spec.primitives import Layer

H = TypeVar("H", bound="Head")
T = TypeVar("T")
E = TypeVar("E")


@dataclass(frozen=True)
class Output:
    """One output of a head.

    Attributes:
        channels: Number of channels.
        stride: Stride of a map; None for one vector an image, or a token.
        tokens: Number of tokens, each of which has a vector; None without tokens.
        training: Whether the output is given in training alone.
    """

    channels: int
    stride: int | None
    tokens: int | None = None
    training: bool = False


@dataclass(frozen=True)
class Head:
    """Turns features into outputs: one member of a tagged union, whose tag in JSON is ``"kind"``.

    A head lives in four rooms: its spec in ``axialzoo/spec/heads``, its layers in ``axialzoo/torch/heads`` and
    ``axialzoo/keras/heads``, its targets, decoding and metrics in ``axialzoo/tasks``.

    Attributes:
        kind: Its tag.
        task: Name of its task, as in ``list_models(task=...)``.
        pipeline_tag: Name of that task on the Hugging Face Hub.
        output_structure: Result of the model's forward: its one output as it is (``"tensor"``), a dictionary of maps (``"maps"``) or
            of lists of maps, one for each level (``"pyramids"``).
        unactivated: Whether it takes in features before their activation, and the backbone's memory tokens after them.
        num_classes: Number of classes.
    """

    kind: ClassVar[str]
    task: ClassVar[str]
    pipeline_tag: ClassVar[str]
    unactivated: ClassVar[bool] = False
    output_structure: ClassVar[Literal["tensor", "maps", "pyramids"]] = "maps"
    num_classes: int

    @property
    def takes_image(self) -> bool:
        """Tell whether the head takes in the image too, after the endpoints."""
        return False

    @property
    def num_labels(self) -> int:
        """Number of classes that its outputs tell apart."""
        return self.num_classes

    def endpoints(self, backbone: Backbone) -> tuple[int, ...]:
        """Return the indices of the endpoints of `backbone` that the head reads, as :meth:`Backbone.feature_info` counts them."""
        raise NotImplementedError

    def layers(self, backbone: Backbone) -> Iterator[Layer]:
        """Yield the primitive layers in order; their names begin with ``head.``. Parameters and cost follow from them."""
        raise NotImplementedError

    def outputs(self, backbone: Backbone) -> dict[str, Output]:
        """Describe the outputs by name."""
        raise NotImplementedError

    def reconfigured(self: H, num_classes: int | None = None, **options: Any) -> H:
        """Return the head for another number of classes or other options. Tensors whose shape changes are initialised anew.

        Args:
            num_classes: How many; None leaves them.
            options: Other fields of this head that a user may change.

        Raises:
            SpecError: for an option that this head has not.
        """
        known = self.options()
        for name in options:
            if name not in known:
                raise SpecError(
                    f"{name}: not an option of a {self.kind} head{did_you_mean(name, known)}; it has {', '.join(known) or 'none'}"
                )
        changes = self.changed_configs({name: value for name, value in options.items() if value is not None})
        return replace(self, **changes, **({} if num_classes is None else {"num_classes": num_classes}))

    def changed_configs(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return `options` with each mapping of fields of a dataclass, such as ``{"top_k": 100}``, applied to that of this head.

        Raises:
            SpecError: naming the nearest known field.
        """
        changes = dict(options)
        for option, value in options.items():
            config = getattr(self, option, None)
            if isinstance(value, Mapping) and is_dataclass(config) and not isinstance(config, type):
                known = [field.name for field in fields(config)]
                for name in value:
                    require(name in known, f"{option}: unknown field {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}")
                changes[option] = replace(config, **value)
        return changes

    def canonical(self: H) -> H:
        """Return the head with everything that a user may change at fixed values: two heads of one architecture become equal."""
        return self.reconfigured(1)

    def map_blocks(self: H, change: Callable[[Block], Block]) -> H:
        """Return this head with each residual block of its own, if it has any, as `change` makes it."""
        return self

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """Return the names of the fields that :meth:`reconfigured` takes beside the number of classes."""
        return ()


HEADS: dict[str, type[Head]] = {}


def register_head(cls: type[H]) -> type[H]:
    """Add a head to the union, under its kind; a decorator."""
    if HEADS.setdefault(cls.kind, cls) is not cls:
        raise SpecError(f"head kind {cls.kind!r} is taken by {HEADS[cls.kind].__name__}")
    return cls


def head_named(kind: object, path: str) -> type[Head]:
    """Return the class of the union whose tag is `kind`.

    Raises:
        SpecError: naming the nearest known kind, at `path` of the JSON.
    """
    if not isinstance(kind, str) or kind not in HEADS:
        raise SpecError(f"{path}.kind: expected one of {', '.join(HEADS)}, found {kind!r}{did_you_mean(kind, HEADS)}")
    return HEADS[kind]


class HeadRegistry(dict[type[Head], T]):
    """Maps types of heads to their implementations in a framework.

    Args:
        missing: Error message for a head without an entry, and how to add one.
    """

    def __init__(self, missing: str):
        super().__init__()
        self.missing = missing

    def register(self, spec: type[Head]) -> Callable[[E], E]:
        """Return a decorator that registers an implementation for heads of the type `spec`."""

        def enter(entry: E) -> E:
            self[spec] = cast(T, entry)
            return entry

        return enter

    def of(self, head: Head) -> T:
        """Return the entry of a head.

        Raises:
            SpecError: for a head without one.
        """
        if type(head) not in self:
            raise SpecError(f"head {head.kind!r}: {self.missing}({type(head).__name__})")
        return self[type(head)]
