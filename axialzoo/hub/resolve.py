"""Locates a checkpoint: in a folder, the package, or on the Hub."""

from __future__ import annotations

import os
from pathlib import Path

from axialzoo.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from axialzoo.checkpoint.folder import FILES
from axialzoo.hub.address import Address
from axialzoo.hub.catalogue import OFFICIAL
from axialzoo.hub.fetch import fetch, fetch_card_files
from axialzoo.hub.pulled import check_first_digest, pulled_dir
from axialzoo.spec import SpecError, did_you_mean, get_entry, list_models

PACKAGE = "package:"


def fetch_checkpoint(source: str | os.PathLike[str], *, verify: bool = True, beside: bool = False) -> Checkpoint:
    """Load the checkpoint of `source`: see :func:`resolve` and :func:`axialzoo.checkpoint.load_checkpoint`.

    Args:
        source: As for :func:`resolve`.
        verify: Whether to look for values that are not finite and to compute the digest.
        beside: Whether to fetch what was published beside it too: golden activations, labels, pictures.

    Example:
        >>> fetch_checkpoint("axial_resnet_cifar10").config.spec.input_size
        (32, 32)
    """
    location = locate(source)
    if isinstance(location, Path):
        checkpoint = load_checkpoint(location, verify=verify)
        if location == pulled_dir(location.name):
            check_first_digest(location.name, checkpoint.config.digest, str(location))
        return checkpoint
    checkpoint = fetch(location, verify=verify)
    if beside:
        fetch_card_files(location, checkpoint.folder)
    return checkpoint


def resolve(source) -> Path:
    """Return the local folder of `source`, fetched from the Hub and checked if necessary: see :func:`locate`."""
    location = locate(source)
    return location if isinstance(location, Path) else fetch(location).folder


def locate(source) -> Path | Address:
    """Return the folder, or the address on the Hub, that `source` means.

    Args:
        source: In this order: a path to a folder; ``"package:NAME"`` (ships with axialzoo); a registered ``"name.tag"``, or
            ``"name"`` for its first tag (official weights once they are pulled); ``"org/repo"`` or ``"org/repo@revision"`` on the
            Hub, with ``"#sha256:..."`` behind where the digest of the weights is known.

    Raises:
        CheckpointError: for nothing of these.
        SpecError: for an unknown model or tag.
    """
    if isinstance(source, os.PathLike):
        return Path(source)
    if not isinstance(source, str) or not source:
        raise CheckpointError(f"checkpoint: expected a folder, name.tag or org/repo[@revision], found {source!r}")
    reject_url_scheme(source)
    if source.startswith(PACKAGE):
        return Path(__file__).parent.parent / "weights" / source.removeprefix(PACKAGE)
    if source.startswith((".", "~", os.sep)) or os.path.exists(source) or source.lower().endswith((*FILES, ".h5", ".onnx")):
        return Path(source).expanduser()
    address = Address.parsed(source)
    if address is not None:
        organisation = source.partition("/")[0]
        if "@" not in source and os.path.isdir(organisation):
            raise CheckpointError(
                f"{source}: expected a folder, found {organisation!r} without it; for a repository on the Hub of that name write "
                f"'{source}@main'"
            )
        return address
    if os.sep in source:
        return Path(source)
    return locate(weights_of(source))


def reject_url_scheme(name: str) -> None:
    """Refuse names as timm and others write repositories on the Hub."""
    scheme, colon, rest = name.partition(":")
    if colon and scheme in ("hf-hub", "hf_hub", "hf", "timm"):
        raise SpecError(f"{name!r}: weights on the Hub are named without {scheme + colon!r}: pretrained={rest.lstrip('/')!r}")


def weights_of(name: str, tag: str | None = None, kind: str | None = None) -> str:
    """Return the location of a registered model's weights: those of `tag`, of the tag in `name`, or the first.

    If `kind` is set, return the weights with that kind of attention instead, where they exist.

    Raises:
        SpecError: naming the tags that exist, and for official weights that nobody has pulled yet.
    """
    base, _, own = name.partition(".")
    entry, tag = get_entry(base), tag or own
    if tag and tag not in entry.weights and f"{entry.name}.{tag}" in OFFICIAL:
        folder = pulled_dir(f"{entry.name}.{tag}")
        if not folder.exists():
            raise SpecError(f"{entry.name}.{tag}: official weights, not here yet: `axialzoo pull {folder.name}` fetches and imports them")
        return str(folder)
    if not entry.weights:
        have = ", ".join(list_models(pretrained=True)) or "none yet"
        raise SpecError(f"model {entry.name!r} has no weights to load; models that have some: {have}; a folder or org/repo works too")
    if tag and tag not in entry.weights:
        raise SpecError(
            f"model {entry.name!r} has no weights tagged {tag!r}{did_you_mean(tag, entry.weights)}; it has {', '.join(entry.weights)}"
        )
    tag = tag or next(iter(entry.weights))
    return entry.weights[tag if kind is None else entry.tag_of_kind(kind, tag) or tag]
