"""Messages of errors for users: in the command line and on the page."""

from __future__ import annotations

import re

EXPECTED = (ValueError, OSError, ImportError, MemoryError, RuntimeError, NotImplementedError)  # shown as one message; all others are bugs


def as_text(error: BaseException) -> str:
    """Return the message of an error, without numbers of the system and lines of a framework's source."""
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return re.sub(r"\[enforce fail at [^\]]*\][\s.]*", "", str(error)).strip() or type(error).__name__
