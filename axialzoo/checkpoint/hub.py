"""Checkpoints on the Hugging Face Hub: fetched once, cached, and published with their card.

``HF_ENDPOINT``, ``HF_HOME``, ``HF_HUB_OFFLINE`` and ``HF_TOKEN`` mean what they always mean.
"""

from __future__ import annotations

from pathlib import Path

from axialzoo.checkpoint.errors import CheckpointError

FILES = ("config.json", "model.safetensors")


def download(repo: str, revision: str | None = None) -> Path:
    """The folder in the cache that holds both files of `repo` at `revision` (branch, tag or commit).

    Raises:
        CheckpointError: where the repository, the revision or a file is not there, or the Hub cannot be reached and
            nothing is cached.
    """
    from huggingface_hub import errors, snapshot_download

    name = f"{repo}@{revision}" if revision else repo
    try:
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=list(FILES)))
    except errors.GatedRepoError:
        raise CheckpointError(f"{name}: access is restricted; ask for it on the repository's page, then set HF_TOKEN") from None
    except errors.RepositoryNotFoundError:
        raise CheckpointError(f"{name}: the Hub has no such repository, or it is private; check the name, or set HF_TOKEN") from None
    except errors.RevisionNotFoundError:
        raise CheckpointError(f"{name}: the repository has no revision {revision!r}; expected a branch, tag or commit") from None
    except errors.HFValidationError as error:
        raise CheckpointError(f"{name}: not a repository on the Hub: {error}") from None
    except errors.LocalEntryNotFoundError:
        raise CheckpointError(
            f"{name}: is not in the cache, and the Hub cannot be reached (offline, or HF_HUB_OFFLINE is set); "
            "fetch it once while online, or give a folder"
        ) from None
    except (errors.HfHubHTTPError, OSError) as error:
        raise CheckpointError(f"{name}: could not be fetched: {error}; try again, or give a folder") from None
    missing = [file for file in FILES if not (folder / file).exists()]
    if missing:
        raise CheckpointError(f"{name}: expected {' and '.join(FILES)}, found no {' and no '.join(missing)}; not an axialzoo checkpoint")
    return folder


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

    from axialzoo.checkpoint.card import model_card
    from axialzoo.checkpoint.files import written_beside
    from axialzoo.checkpoint.folder import load_checkpoint

    folder = Path(folder)
    checkpoint = load_checkpoint(folder)
    card = folder / "README.md"
    if not card.exists():
        with written_beside(card) as beside:
            beside.write_text(model_card(checkpoint.config, repo_id), encoding="utf-8")
    api = HfApi()
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        if revision:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            revision=revision,
            allow_patterns=[*FILES, "README.md", "*.png"],
            commit_message=f"{checkpoint.config.model} {checkpoint.config.digest[:19]}",
        )
        if tag:
            api.create_tag(repo_id, tag=tag, revision=commit.oid)
    except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
        raise CheckpointError(f"{repo_id}: could not be published: {error}") from None
    return str(commit)
