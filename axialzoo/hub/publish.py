"""Checkpoints to the Hugging Face Hub, with their card."""

from __future__ import annotations

from pathlib import Path

from axialzoo.checkpoint import CheckpointError, load_checkpoint
from axialzoo.hub.card import write_card
from axialzoo.hub.download import FILES


def push_to_hub(folder, repo_id: str, *, private: bool = False, revision: str | None = None, tag: str | None = None) -> str:
    """Publishes a checkpoint folder, its card and pictures; returns the address of the commit.

    Args:
        folder: Checked whole before anything is sent.
        repo_id: ``"org/repo"``, created where it does not exist.
        private: Whether a new repository is private.
        revision: Branch to write to, created where it does not exist; default the main one.
        tag: Name of a tag to put on the commit.

    Raises:
        CheckpointError: where the folder is not a whole checkpoint, or the Hub refuses.
    """
    from huggingface_hub import HfApi, errors

    folder = Path(folder)
    checkpoint = load_checkpoint(folder)
    if not (folder / "README.md").exists():
        write_card(folder, checkpoint.config, repo_id)
    api = HfApi()
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        if revision:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            revision=revision,
            allow_patterns=[*FILES, "README.md", "*.png", "pictures/*"],
            commit_message=f"{checkpoint.config.model} {checkpoint.config.digest[:19]}",
        )
        if tag:
            api.create_tag(repo_id, tag=tag, revision=commit.oid)
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
        raise CheckpointError(f"{repo_id}: could not be published: {error}") from None
    return str(commit)
