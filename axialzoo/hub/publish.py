"""Checkpoints to the Hugging Face Hub, in one commit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from axialzoo.checkpoint import CheckpointError
from axialzoo.hub.address import Address
from axialzoo.hub.errors import hub_errors
from axialzoo.hub.manifest import MANIFEST
from axialzoo.hub.publication import Publication, prepare

ADVICE = "run it again: what has been sent is not sent twice, and nothing is published by halves"


def push_to_hub(folder, repo_id: str, *, private: bool = False, revision: str | None = None, tag: str | None = None, **about: Any) -> str:
    """Publishes a checkpoint folder, its card and pictures; returns the address of the commit.

    Args:
        folder: Checked whole before anything is sent.
        repo_id, private, revision, tag: See :func:`push`.
        about: For the card: see :func:`axialzoo.hub.publication.prepare`.

    Raises:
        CheckpointError: where the folder is not a whole checkpoint, or the Hub refuses.
    """
    return push(prepare(Path(folder), repo_id, **about), private=private, revision=revision, tag=tag)


def push_saved(save: Callable[[Path], Any], repo_id: str, came_from: str, **options: Any) -> str:
    """Publishes what `save` writes to the folder that it is given; returns the address of the commit.

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
    """Sends a publication as one commit, and returns its address. Sent again, what is there already makes no second commit.

    Args:
        publication: Of :func:`axialzoo.hub.publication.prepare`. The repository is created where it does not exist.
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
    """Whether `tag` is free, or on the same files already (as after a run that was cut).

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
