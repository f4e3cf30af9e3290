"""Samples, splits of them, and data sets of splits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from PIL import Image

from axialzoo.data.faults import DataError, LabelPolicy
from axialzoo.image.depth import depth_of
from axialzoo.spec.labels import Label
from axialzoo.tasks.results import Detections, Segmentation

Annotation = int | Detections | Segmentation
KINDS = ("classes", "boxes", "segments")
SUFFIXES = (  # of files that are taken for pictures, in lower case
    ".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".avif",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture and its annotation.

    Attributes:
        name: The file, for messages.
        picture: 8-bit RGB, upright.
        annotation: The number of its class; or its objects; or its segments. Coordinates are the upright picture's pixels.
    """

    name: str
    picture: Image.Image
    annotation: Annotation


class Split(Protocol):
    """Samples by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...

    def subset(self, indices: Sequence[int] | np.ndarray) -> Split:
        """Return the samples of these numbers, in this order."""
        ...


@dataclass(frozen=True, eq=False)
class ArraySplit:
    """Pictures of one size in memory, with the class of each: batches of them are cut without a loop.

    Attributes:
        pixels: (n, H, W, 3) uint8.
        labels: (n,) int64.
        name: Name of the samples in messages, before their number.
    """

    pixels: np.ndarray
    labels: np.ndarray
    name: str = "picture"

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        return Sample(f"{self.name} {index}", Image.fromarray(self.pixels[index]), int(self.labels[index]))

    def subset(self, indices: Sequence[int] | np.ndarray) -> ArraySplit:
        return ArraySplit(self.pixels[indices], self.labels[indices], self.name)


@dataclass(frozen=True, eq=False)
class FileSplit:
    """Samples opened on access.

    Attributes:
        items: One value a sample, such as its file.
        open: Returns the sample of an item; safe to call from several threads.
        kinds: Kind of each picture, such as its stain; empty if the data name none. Metrics are also computed for each kind.
        groups: Group of each picture: pictures of one specimen or field, which a split must not part; empty if the data name none.
    """

    items: Sequence[Any]
    open: Callable[[Any], Sample]
    kinds: Sequence[str] = ()
    groups: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        return self.open(self.items[index])

    def subset(self, indices: Sequence[int] | np.ndarray) -> FileSplit:
        kinds, groups = ([values[index] for index in indices] if values else () for values in (self.kinds, self.groups))
        return FileSplit([self.items[index] for index in indices], self.open, kinds, groups)


@dataclass(frozen=True)
class Dataset:
    """The data set of a folder.

    Attributes:
        splits: By name: ``train``, ``val``, ``test``.
        labels: One per class.
        kind: Kind of annotation: ``"classes"``, ``"boxes"`` or ``"segments"``.
        about: Its origin, and each decision of the reader that its user may want to know.
        reader: Name of the format that was recognised.
        generic_labels: Whether the names in `labels` are placeholders, since the data name no class.
        policy: Decides about bad labels, and counts those that were left out.
    """

    splits: dict[str, Split]
    labels: tuple[Label, ...]
    kind: str = "classes"
    about: dict[str, Any] = field(default_factory=dict)
    reader: str = ""
    generic_labels: bool = False
    policy: LabelPolicy = field(default_factory=LabelPolicy, compare=False)

    def split(self, *names: str) -> Split:
        """Return the first of `names` that exists.

        Raises:
            DataError: where there is none.
        """
        for name in names:
            if name in self.splits:
                return self.splits[name]
        advice = "; give the folder of one split to take it as a whole" if self.splits else ""
        raise DataError(f"data: expected a split called {' or '.join(names)}, found {', '.join(self.splits) or 'none'}{advice}")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return tuple(label.name for label in self.labels)


def kinds_of(split: Split) -> Sequence[str]:
    """Return the kind of each picture, or nothing where the data name none."""
    return getattr(split, "kinds", ())


def split_off(split: Split, count: int, seed: int) -> tuple[Split, Split]:
    """Return the split less `count` samples drawn at random, and those samples.

    Groups stay whole where the data name them: random groups are held out as long as they fit into `count`.

    Raises:
        DataError: where nothing would be left to train on, or no group is as small as `count`.
    """
    if count >= len(split):
        raise DataError(f"holdout: expected fewer than the {len(split)} samples to train on, found {count}")
    rng = np.random.default_rng((seed, 0))
    groups = np.array(getattr(split, "groups", ()), str)
    if not len(groups):
        order = rng.permutation(len(split))
        return split.subset(np.sort(order[count:])), split.subset(np.sort(order[:count]))
    held_out = np.zeros(len(split), bool)
    for group in rng.permutation(np.unique(groups)):
        members = groups == group
        if held_out.sum() + members.sum() <= count:
            held_out |= members
    if count and not held_out.any():
        smallest = int(np.unique(groups, return_counts=True)[1].min())
        raise DataError(f"holdout: expected at least the {smallest} samples of the smallest group, which stay together, found {count}")
    return split.subset(np.flatnonzero(~held_out)), split.subset(np.flatnonzero(held_out))


class CachedSplit:
    """A split whose samples stay in memory once they were opened, as long as they fit.

    Args:
        split: Split to cache.
        most_bytes: Limit of memory for pictures and maps; samples beyond it are opened each time.
    """

    def __init__(self, split: Split, most_bytes: int = 1 << 29):
        self.split, self.left = split, most_bytes
        self.kinds, self.groups = kinds_of(split), getattr(split, "groups", ())
        self._samples: dict[int, Sample] = {}

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Sample:
        index = int(index)
        if (cached := self._samples.get(index)) is not None:
            return cached
        sample = self.split[index]
        size = 3 * sample.picture.width * sample.picture.height
        size += sample.annotation.segmentation.nbytes if isinstance(sample.annotation, Segmentation) else 0
        size += depth.values.nbytes if (depth := depth_of(sample.picture)) is not None else 0
        if size <= self.left:  # two threads may open one sample at once: then it is counted twice, and kept once
            self.left -= size
            self._samples[index] = sample
        return sample

    def subset(self, indices: Sequence[int] | np.ndarray) -> CachedSplit:
        return CachedSplit(self.split.subset(indices), self.left)
