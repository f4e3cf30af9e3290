"""Publish checkpoints on the Hugging Face Hub: put everything together first, then send it as one commit."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axialzoo.checkpoint import CheckpointError, Config, load_checkpoint, read_small
from axialzoo.checkpoint.config import MAX_BYTES
from axialzoo.checkpoint.folder import CONFIG, WEIGHTS
from axialzoo.checkpoint.migrate import VERSION
from axialzoo.files import atomic_write_folder, check_output
from axialzoo.hub.address import Address
from axialzoo.hub.golden import GOLDEN
from axialzoo.hub.hub_errors import hub_errors
from axialzoo.hub.manifest import MANIFEST, manifest
from axialzoo.hub.metadata import metrics_of
from axialzoo.hub.published_card import published_card

CARD, LABELS = "README.md", "labels.txt"
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
MAX_PICTURE = 20 << 20  # bytes
ADVICE = "run it again: what has been sent is not sent twice, and nothing is published by halves"


@dataclass(frozen=True)
class Publication:
    """Content of one commit.

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
    """Check that a checkpoint folder is whole, and return its publication.

    Args:
        folder: With ``config.json`` and ``model.safetensors``, perhaps a card and pictures, there or in ``pictures/``.
        repo_id: ``"org/repo"``.
        golden: The text of ``golden.json``.
        report, evaluations, base_model: For the card: see :func:`axialzoo.hub.published_card.published_card`.

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
    recorded = metrics_of(config)
    if recorded and "digest" not in recorded:
        raise CheckpointError(
            f"{folder}: its figures name no digest, so that they may be of other weights; evaluate these weights (axialzoo evaluate "
            f"{folder} --data DATA --update-card), or delete provenance.metrics and the line config_digest from {folder / CONFIG}"
        )
    for evaluation in (*evaluations, *([recorded] if recorded else [])):
        if evaluation.get("digest") != config.digest:
            raise CheckpointError(
                f"{folder}: figures of other weights: expected digest {config.digest}, found {str(evaluation.get('digest'))[:80]}; "
                "evaluate these weights (axialzoo evaluate --json, or --update-card)"
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
    """Write the files of a publication to `folder` instead of publishing them.

    Raises:
        FileExistsError: where `folder` has something in it and `overwrite` is not said.
    """
    empty = folder.is_dir() and not any(folder.iterdir())
    check_output(folder, overwrite=overwrite or empty)
    with atomic_write_folder(folder) as beside:
        if folder.is_dir():
            shutil.copytree(folder, beside)  # other files stay
        for name, content in publication.files.items():
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            (beside / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    return folder


def _pictures(folder: Path) -> list[Path]:
    """Return the pictures beside the card and in ``pictures/``, without hidden files, links and files larger than a picture."""
    paths = [path for place in (folder, folder / "pictures") if place.is_dir() for path in sorted(place.iterdir())]
    return [
        path
        for path in paths
        if path.suffix.lower() in PICTURES and path.is_file() and not path.name.startswith(".") and path.stat().st_size <= MAX_PICTURE
    ]


def push_to_hub(folder, repo_id: str, *, private: bool = False, revision: str | None = None, tag: str | None = None, **about: Any) -> str:
    """Publish a checkpoint folder, its card and pictures, and return the address of the commit.

    Args:
        folder: Checked whole before anything is sent.
        repo_id, private, revision, tag: See :func:`push`.
        about: For the card: see :func:`axialzoo.hub.push.prepare`.

    Raises:
        CheckpointError: where the folder is not a whole checkpoint, or the Hub refuses.
    """
    return push(prepare(Path(folder), repo_id, **about), private=private, revision=revision, tag=tag)


def push_saved(save: Callable[[Path], Any], repo_id: str, came_from: str, **options: Any) -> str:
    """Publish the folder that `save` writes, and return the address of the commit.

    Args:
        save: Writes a checkpoint.
        repo_id, options: As of :func:`push_to_hub`.
        came_from: What its weights were loaded from; another repository on the Hub is named on the card as their base.
    """
    base = Address.parsed(came_from)
    with tempfile.TemporaryDirectory() as place:
        save(Path(place) / "model")
        return push_to_hub(
            Path(place) / "model", repo_id, base_model=base.repo if base is not None and base.repo != repo_id else None, **options
        )


def push(publication: Publication, *, private: bool = False, revision: str | None = None, tag: str | None = None) -> str:
    """Send a publication as one commit, and return its address. Sending it again makes no second commit.

    Args:
        publication: Of :func:`axialzoo.hub.push.prepare`. The repository is created where it does not exist.
        private: Whether the repository is private; one that exists and is public is refused then.
        revision: Branch to write to, created where it does not exist; default the main one.
        tag: Name of a tag to put on the commit. A tag that means other files is never moved.

    Raises:
        CheckpointError: where the Hub refuses, or the connection fails.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api, repo_id = HfApi(), publication.repo_id
    with hub_errors(repo_id, "publishing it", ADVICE):
        api.create_repo(repo_id, private=private, exist_ok=True)
        if private and not api.repo_info(repo_id).private:
            raise CheckpointError(f"{repo_id}: exists already and is public; make it private on its page, or leave out --private")
        if tag:
            _check_tag(api, publication, tag)
        if revision:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        operations = [
            CommitOperationAdd(name, content if isinstance(content, bytes) else str(content)) for name, content in publication.files.items()
        ]
        message = f"{publication.config.model} {publication.config.digest[:19]}"
        commit = api.create_commit(repo_id, operations, commit_message=message, revision=revision)
        if tag:
            api.create_tag(repo_id, tag=tag, revision=commit.oid, exist_ok=True)
    return str(commit.commit_url)


def _check_tag(api: Any, publication: Publication, tag: str) -> None:
    """Check that `tag` is free, or on the same files already (as after a run that was cut).

    Raises:
        CheckpointError: where it is on others.
    """
    repo_id = publication.repo_id
    if all(known.name != tag for known in api.list_repo_refs(repo_id).tags):
        return
    from huggingface_hub import errors

    with tempfile.TemporaryDirectory() as place:
        try:
            there = Path(api.hf_hub_download(repo_id, MANIFEST, revision=tag, local_dir=place)).read_bytes()
        except errors.EntryNotFoundError:
            there = b""
    if there != publication.files[MANIFEST]:
        raise CheckpointError(
            f"{repo_id}: the tag {tag!r} is on other files already and is not moved; choose another tag, such as the next version"
        )
