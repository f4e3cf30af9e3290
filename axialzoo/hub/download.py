"""Checkpoints from the Hugging Face Hub, fetched once and cached.

``HF_ENDPOINT``, ``HF_HOME``, ``HF_HUB_OFFLINE`` and ``HF_TOKEN`` mean what they always mean.
"""

from __future__ import annotations

from pathlib import Path

from axialzoo.checkpoint import CheckpointError

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
