"""Everything that is published of a checkpoint, put together before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axialzoo.checkpoint import CheckpointError, Config, load_checkpoint, read_small
from axialzoo.checkpoint.config import MAX_BYTES
from axialzoo.checkpoint.folder import CONFIG, WEIGHTS
from axialzoo.checkpoint.migrate import VERSION
from axialzoo.files import check_output, written_beside
from axialzoo.hub.address import Address
from axialzoo.hub.golden import GOLDEN
from axialzoo.hub.manifest import MANIFEST, manifest
from axialzoo.hub.published import published_card

CARD, LABELS = "README.md", "labels.txt"
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
MAX_PICTURE = 20 << 20  # bytes


@dataclass(frozen=True)
class Publication:
    """What becomes one commit.

    Attributes:
        repo_id: ``"org/repo"``.
        config: Of the weights.
        files: Name in the repository -> content, or where it lies.
    """

    repo_id: str
    config: Config
    files: Mapping[str, bytes | Path]


def prepare(
    folder: Path,
    repo_id: str,
    *,
    golden: str | None = None,
    report: Mapping[str, Any] | None = None,
    evaluations: Sequence[Mapping[str, Any]] = (),
    base_model: str | None = None,
) -> Publication:
    """The publication of a checkpoint folder, once it is sure that the folder is whole.

    Args:
        folder: With ``config.json`` and ``model.safetensors``, perhaps a card and pictures, there or in ``pictures/``.
        repo_id: ``"org/repo"``.
        golden: The text of ``golden.json``.
        report, evaluations, base_model: For the card: see :func:`axialzoo.hub.published.published_card`.

    Raises:
        CheckpointError: where the folder is not a whole checkpoint of the current version, and for a name that is no repository's.
    """
    address = Address.parsed(repo_id)
    if address is None or address.repo != repo_id:
        raise CheckpointError(
            f"{repo_id!r}: expected the name of a repository on the Hub, org/name; revision and tag are told apart from it"
        )
    checkpoint = load_checkpoint(folder)
    config = checkpoint.config
    version = Config.from_json(read_small(folder / CONFIG, MAX_BYTES)).version
    if version != VERSION:
        raise CheckpointError(
            f"{folder}: is of version {version}, and version {VERSION} is published; bring it up to date: axialzoo convert {folder} NEW"
        )
    for one in evaluations:
        if one.get("digest") != config.digest:
            raise CheckpointError(
                f"{folder}: figures of other weights: expected digest {config.digest}, found {str(one.get('digest'))[:80]}; "
                "evaluate these weights (axialzoo evaluate --json)"
            )
    files: dict[str, bytes | Path] = {CONFIG: folder / CONFIG, WEIGHTS: folder / WEIGHTS}
    if golden is not None:
        files[GOLDEN] = golden.encode()
    if config.labels:
        files[LABELS] = "".join(f"{' '.join(label.name.split())}\n" for label in config.labels).encode()
    files |= {path.relative_to(folder).as_posix(): path for path in _pictures(folder)}
    own = folder / CARD
    text = own.read_text(encoding="utf-8") if own.is_file() else None
    names = [*files, MANIFEST]
    card = published_card(config, repo_id, text, files=names, report=report, evaluations=evaluations, base_model=base_model)
    return Publication(repo_id, config, {CARD: card.encode(), **files, MANIFEST: manifest(files).encode()})


def write_publication(publication: Publication, folder: Path, *, overwrite: bool = False) -> Path:
    """Writes what would be published to `folder`.

    Raises:
        FileExistsError: where `folder` has something in it and `overwrite` is not said.
    """
    empty = folder.is_dir() and not any(folder.iterdir())
    check_output(folder, overwrite=overwrite or empty)
    for name, content in publication.files.items():
        with written_beside(folder / name) as beside:
            beside.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    return folder


def _pictures(folder: Path) -> list[Path]:
    """Pictures beside the card and in ``pictures/``; hidden files, links and whatever is larger than a picture stay here."""
    found = [path for place in (folder, folder / "pictures") if place.is_dir() for path in sorted(place.iterdir())]
    return [
        path
        for path in found
        if path.suffix.lower() in PICTURES and path.is_file() and not path.name.startswith(".") and path.stat().st_size <= MAX_PICTURE
    ]
