"""Folders of pictures and of labels whose files pair by name, optionally by split: either order of ``train`` and ``images``."""

from __future__ import annotations

from axialzoo.data.dataset import SUFFIXES, DataError
from axialzoo.data.faults import STRICT, Fault, LabelPolicy
from axialzoo.data.file_tree import Files
from axialzoo.data.readers.reader import SPELLINGS

IMAGES = ("images", "image", "imgs", "img", "jpegimages", "pictures")  # folders of pictures, in lower case
LABELS = ("labels", "label", "masks", "mask", "annotations", "instances", "gt", "ground_truth")  # of their labels
ENDINGS = ("_masks", "_mask", "_labels", "_label", "_cp_masks", "_instances", "_gt")  # of the stem of a map
NO_LABELS = ("classes.txt", "notes.json", "_readme.txt")  # files that tools leave beside labels
PICTURE_ENDINGS = ("_img", "_image", "_raw", "")  # of the stem of its picture


def paired_folders(files: Files, labels: tuple[str, ...], suffixes: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Return the folder of pictures and the folder of labels of each split; ``""`` for a folder without splits.

    Args:
        labels: Names of folders of labels, in lower case.
        suffixes: Endings of labels, in lower case; folders without such files are passed over.

    Raises:
        DataError: for two folders of one split.
    """
    splits: dict[str, tuple[str, str]] = {}
    for split, spellings in SPELLINGS.items():
        pairs = []
        for name in files.folders():
            if _base(name) in spellings:  # train/images
                pairs += _pairs(files, _named(files, name, IMAGES), _named(files, name, labels), suffixes)
        for images in _named(files, "", IMAGES):  # images/train
            for there in _named(files, "", labels):
                both = [
                    (picture, label)
                    for picture in files.folders(images)
                    for label in files.folders(there)
                    if _base(picture) in spellings and _base(picture) == _base(label)
                ]
                pairs += [pair for picture, label in both for pair in _pairs(files, [picture], [label], suffixes)]
        if len(pairs) > 1:
            raise DataError(f"data: {files.where!r} has two folders for {split!r}: {pairs[0][0]} and {pairs[1][0]}; remove one")
        if pairs:
            splits[split] = pairs[0]
    if not splits and (pairs := _pairs(files, _named(files, "", IMAGES), _named(files, "", labels), suffixes)):
        splits[""] = pairs[0]
    return splits


def _named(files: Files, folder: str, names: tuple[str, ...]) -> list[str]:
    """Return the folders directly in `folder` that have one of `names`."""
    return [name for name in files.folders(folder) if _base(name) in names]


def _base(name: str) -> str:
    return name.rpartition("/")[2].lower()


def _pairs(files: Files, images: list[str], labels: list[str], suffixes: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return the pairs of folders that hold pictures and labels."""
    return [
        (picture, label)
        for picture in images
        for label in labels
        if any(name.lower().endswith(SUFFIXES) for name in files.listing(picture))
        and any(name.lower().endswith(suffixes) for name in files.listing(label))
    ]


def stems(files: Files, folder: str, suffixes: tuple[str, ...]) -> dict[str, str]:
    """Return the files of these suffixes in `folder`, by name without suffix.

    Raises:
        DataError: for two of one name.
    """
    by_stem: dict[str, str] = {}
    for name in files.listing(folder):
        if name.lower().endswith(suffixes) and _base(name) not in NO_LABELS:
            stem = name.rpartition("/")[2].rpartition(".")[0]
            if stem in by_stem:
                raise DataError(
                    f"data: {files.path(by_stem[stem])!r} and {files.path(name)!r} have one name; their labels cannot be told apart"
                )
            by_stem[stem] = name
    return by_stem


def paired(
    files: Files, images: str, labels: str, suffixes: tuple[str, ...], optional: bool = False, policy: LabelPolicy = STRICT
) -> list[tuple[str, str | None]]:
    """Return (picture, label) files by name; a label may be called as its picture with one of `ENDINGS`.

    Args:
        suffixes: Endings of labels.
        optional: Whether a picture may have no label: it is paired with None.
        policy: Decides about labels and pictures without the other.

    Raises:
        DataError: naming a label without picture, or a picture without label.
    """
    pictures, annotations = stems(files, images, SUFFIXES), stems(files, labels, suffixes)
    annotations = {stem if stem in pictures else _picture_stem(stem, pictures) or stem: name for stem, name in annotations.items()}
    if alone := sorted(annotations.keys() - pictures.keys()):
        message = f"data: {files.path(annotations[alone[0]])!r} has no picture in {files.path(images)!r} ({len(alone)} such files)"
        policy.handle([Fault("label without picture", message)])
    if not optional and (alone := sorted(pictures.keys() - annotations.keys())):
        expected = f"{files.path(labels)}/{alone[0]}{suffixes[0]}"
        message = f"data: {files.path(pictures[alone[0]])!r} has no label {expected!r} ({len(alone)} such files)"
        policy.handle([Fault("picture without label", message)])
        pictures = {stem: name for stem, name in pictures.items() if stem in annotations}
    if not pictures or not annotations:
        raise DataError(
            f"data: no pairs of pictures in {files.path(images)!r} and labels ({', '.join(suffixes)}) in {files.path(labels)!r}"
        )
    return [(pictures[stem], annotations.get(stem)) for stem in sorted(pictures)]


def _picture_stem(stem: str, pictures: dict[str, str]) -> str | None:
    """Return the stem of the picture that a map called ``STEM_mask`` belongs to, among `pictures`."""
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if stem.lower().endswith(ending):
            for more in PICTURE_ENDINGS:
                if stem[: -len(ending)] + more in pictures:
                    return stem[: -len(ending)] + more
    return None


def pairs_in_folder(files: Files, folder: str, suffixes: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return (picture, map) of one folder that holds both, as Cellpose has them: ``1.tif`` and ``1_masks.tif``."""
    names = {name.rpartition("/")[2].rpartition(".")[0]: name for name in files.listing(folder) if name.lower().endswith(SUFFIXES)}
    pairs = [(stem, _picture_stem(stem, names)) for stem, name in names.items() if name.lower().endswith(suffixes)]
    return [(names[picture], names[stem]) for stem, picture in pairs if picture is not None]
