"""The named models: name -> spec, aliases, weights, wildcard listing."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from axialzoo.spec.check import SpecError, did_you_mean
from axialzoo.spec.kinds import KINDS, with_kind
from axialzoo.spec.model import Model
from axialzoo.spec.preprocessing import Preprocessing


@dataclass(frozen=True)
class ModelEntry:
    """A registered model.

    Attributes:
        name: What users write.
        spec: The model's spec.
        summary: One line.
        source: Paper or code that defines it.
        published: Numbers from that source, by name: ``parameters``, ``multiply_adds``, ``top1`` (ImageNet), ``cityscapes_pq``
            (PQ on Cityscapes' validation images, of this backbone and the decoder of arXiv:1911.10194).
        preprocessing: What its weights expect of a picture; the size is the spec's.
        rebuild: The spec for another output stride, of a model whose layers depend on it (a stacked decoder's do).
        weights: tag -> where its weights are: ``"package:FOLDER"`` or ``"org/repo[@revision]"``. The first is
            what ``pretrained=True`` loads. Tagged ``TAG_KIND`` are weights like those tagged ``TAG``, of another kind of attention.
    """

    name: str
    spec: Model
    summary: str
    source: str
    published: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    rebuild: Callable[[int], Model] | None = None

    def at(self, output_stride: int | None) -> Model:
        """Return the spec with the layers that it has at `output_stride`."""
        if output_stride is None or self.rebuild is None or output_stride == self.spec.backbone.output_stride:
            return self.spec
        return self.rebuild(output_stride)

    def kind_of(self, tag: str) -> str | None:
        """Return the kind of attention of the weights tagged `tag`, None for the model's own."""
        return self._split_tag(tag)[1]

    def tag_of_kind(self, kind: str, tag: str | None = None) -> str | None:
        """Return the tag of weights of another kind of attention, like those tagged `tag` (default: the first); None where there are none.

        Raises:
            SpecError: for an unknown kind, or a model without attention.
        """
        same = with_kind(self.spec.backbone, kind) == self.spec.backbone
        base, _ = self._split_tag(tag or next(iter(self.weights), ""))
        candidate = base if same else f"{base}_{kind}"
        return candidate if candidate in self.weights else None

    def _split_tag(self, tag: str) -> tuple[str, str | None]:
        """Split a tag into the tag of the model's own kind and a kind: ``"cifar10_global"`` into ``("cifar10", "global")``."""
        return next(((base, kind) for base in self.weights for kind in KINDS if tag == f"{base}_{kind}"), (tag, None))


_entries: dict[str, ModelEntry] = {}
_aliases: dict[str, str] = {}


def register(entry: ModelEntry, *aliases: str) -> ModelEntry:
    """Add a model under its name and its aliases; a name that is taken is refused."""
    for name in (entry.name, *aliases):
        if name in _entries or name in _aliases:
            raise SpecError(f"model {name!r} is registered already")
    _entries[entry.name] = entry
    _aliases.update(dict.fromkeys(aliases, entry.name))
    return entry


def get_entry(name: str) -> ModelEntry:
    """Return the model called `name`, an alias, or either with a tag of its weights (``name.tag``).

    Raises:
        SpecError: naming the nearest known name.
    """
    base, _, tag = name.partition(".")
    entry = _entries.get(_aliases.get(base, base))
    if entry is None:
        raise SpecError(f"unknown model {name!r}{did_you_mean(base, [*_entries, *_aliases])}; `axialzoo list` shows all")
    if tag and tag not in entry.weights:
        raise SpecError(
            f"model {entry.name!r} has no weights tagged {tag!r}{did_you_mean(tag, entry.weights)}; "
            f"it has {', '.join(entry.weights) or 'none'}"
        )
    return entry


def is_registered(name: str) -> bool:
    """Tell whether `name` is a model or an alias."""
    return name in _entries or name in _aliases


def list_models(*patterns: str, task: str | None = None, pretrained: bool = False) -> list[str]:
    """Return the names of models that match one of the wildcard `patterns` (none: all), in order of registration.

    Args:
        patterns: As in a shell: ``"axial_resnet*_s"``.
        task: Only models of this task.
        pretrained: Only models whose weights can be loaded.

    Example:
        >>> import axialzoo
        >>> axialzoo.list_models("axial_resnet26*")
        ['axial_resnet26_s']
    """
    return [
        name
        for name, entry in _entries.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns or ("*",))
        and task in (None, entry.spec.task)
        and (entry.weights or not pretrained)
    ]


def aliases(name: str) -> list[str]:
    """Return the other names of the model called `name`."""
    return [alias for alias, target in _aliases.items() if target == name]
