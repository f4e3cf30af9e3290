"""Turns errors of the Hub's client into errors of axialzoo that say what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import cast

from axialzoo.checkpoint import CheckpointError


@contextlib.contextmanager
def hub_errors(name: str, doing: str, advice: str) -> Iterator[None]:
    """Raise every error of the Hub's client inside of the block as a :class:`CheckpointError`.

    Args:
        name: The requested address, such as ``"org/repo@v1"``.
        doing: The action, for the message: ``"fetching it"``.
        advice: Advice for when the connection or the server failed.
    """
    from huggingface_hub import errors

    # of the HTTP client below, whichever that is: connections cut, refused, too slow
    http_error = cast(type[Exception], errors.HfHubHTTPError.__bases__[0])
    try:
        yield
    except CheckpointError:
        raise
    except errors.GatedRepoError:
        raise CheckpointError(f"{name}: access is restricted; ask for it on the repository's page, then set HF_TOKEN") from None
    except errors.RepositoryNotFoundError:
        raise CheckpointError(f"{name}: the Hub has no such repository, or it is private; check the name, or set HF_TOKEN") from None
    except errors.RevisionNotFoundError:
        revision = name.partition("@")[2] or "main"
        raise CheckpointError(f"{name}: the repository has no revision {revision!r}; expected a branch, tag or commit") from None
    except errors.HFValidationError as error:
        raise CheckpointError(f"{name}: not a repository on the Hub: {error}") from None
    except errors.LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{name}: is not in the cache, and the Hub cannot be reached ({_offline_or(error.__cause__)}); {advice}, or give a folder"
        ) from None
    except errors.HfHubHTTPError as error:
        raise CheckpointError(f"{name}: {_refused(error, doing)}; {_advice(error, advice)}") from None
    except http_error as error:
        raise CheckpointError(f"{name}: the connection failed while {doing} ({_words(error)}); {advice}") from None
    except (
        OSError,
        ValueError,
        KeyError,
        RuntimeError,
        errors.EntryNotFoundError,
    ) as error:  # answers that make no sense are of these kinds
        raise CheckpointError(f"{name}: failed while {doing} ({_words(error)}); {advice}") from None


def _offline_or(cause: BaseException | None) -> str:
    from huggingface_hub import errors

    if isinstance(cause, errors.HfHubHTTPError):
        return f"it answered {cause.response.status_code}"
    return "offline, or HF_HUB_OFFLINE is set" if cause is None or isinstance(cause, errors.OfflineModeIsEnabled) else _words(cause)


def _refused(error, doing: str) -> str:
    said = error.server_message or ""
    return f"the Hub answered {error.response.status_code} while {doing}" + (f": {said[:200]}" if said else "")


def _advice(error, advice: str) -> str:
    status = error.response.status_code
    if status in (401, 403):
        return "set HF_TOKEN to a token that may do this (`hf auth login`)"
    if status == 429:
        wait = error.response.headers.get("Retry-After", "")
        return f"too many requests: wait {f'{wait} s' if wait.isdigit() else 'a while'}, then {advice}"
    return advice


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
