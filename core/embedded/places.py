"""Where downloads, installations and private folders go, and which folders can be trusted.

`LEASEHOLD_CACHE` names the cache; without it the cache is `leasehold` in the XDG cache home. `TMPDIR` moves the private
folders. A folder that another user could have planted or can write to is never used for what will be executed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .account import Account
from .errors import EmbeddedError, one_sentence
from .progress import Progress

CACHE_SETTING = "LEASEHOLD_CACHE"
TEMPORARY_SETTING = "TMPDIR"
_LOCK_INTERVAL_S = 0.2
_TEMPORARY = Path("/tmp")  # noqa: S108 (what is made there is private)
_PERSISTENT_TEMPORARY = Path("/var/tmp")  # noqa: S108 (checked by `_objection` before use)


def cache_folder() -> Path:
    """The cache of this user. Raises EmbeddedError where no home can be found."""
    named = os.environ.get(CACHE_SETTING)
    if named:
        return Path(named).absolute()
    xdg = Path(os.environ.get("XDG_CACHE_HOME") or ".")
    if xdg.is_absolute():
        return xdg / "leasehold"
    try:
        return Path.home() / ".cache" / "leasehold"
    except RuntimeError as error:
        raise EmbeddedError(
            f"no home folder is known for this user; set {CACHE_SETTING} to a folder for downloads"
        ) from error


def installation_folder(cache: Path, account: Account | None) -> Path:
    """A folder of ours whose content nobody else can change and which `account` may read and execute from.

    The first that suits of: the cache, `/var/tmp`, the temporary folder. Raises EmbeddedError with each one's defect.
    """
    shared = f"leasehold-{os.geteuid()}"
    objections = []
    for folder in (cache / "installed", _PERSISTENT_TEMPORARY / shared, Path(tempfile.gettempdir()) / shared):
        objection = _objection(folder, account)
        if objection is None:
            return folder.resolve()
        objections.append(f"{folder} {objection}")
    raise EmbeddedError(
        f"no folder can hold the installation of Elasticsearch: {'; '.join(objections)}; "
        f"set {CACHE_SETTING} to one that can"
    )


def private_folder(account: Account | None) -> Path:
    """A new empty folder for one run, owned by `account` and entered by nobody else; in `TMPDIR` if that suits."""
    named = os.environ.get(TEMPORARY_SETTING)
    bases = [Path(named)] if named else []
    bases += [_PERSISTENT_TEMPORARY, Path(tempfile.gettempdir()), _TEMPORARY]
    base = next((base.resolve() for base in bases if _can_hold_a_run(base, account)), None)
    if base is None:
        raise EmbeddedError(
            f"none of {', '.join(map(str, bases))} can be written to; set {TEMPORARY_SETTING} to one that can"
        )
    with one_sentence("making a private folder", base, TEMPORARY_SETTING):
        folder = Path(tempfile.mkdtemp(prefix="leasehold-es-", dir=base))
        if account is not None:
            os.chown(folder, account.uid, account.gid)
        return folder


def _can_hold_a_run(base: Path, account: Account | None) -> bool:
    if not base.is_dir() or not os.access(base, os.W_OK | os.X_OK):
        return False
    return account is None or account.may_enter(base.resolve())


def require_space(folder: Path, needed_bytes: int, what: str, setting: str) -> None:
    """Raise EmbeddedError if the disk of `folder` has less room than `what` takes."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise EmbeddedError(
            f"{folder} has {free_bytes >> 20} MB free and {what} takes {(needed_bytes >> 20) + 1} MB; "
            f"free some, or set {setting} to a folder on another disk"
        )


@contextmanager
def exclusive(lock_file: Path, progress: Progress) -> Iterator[None]:
    """Hold a lock between processes of this user. The operating system releases it when its holder dies."""
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if not _locked(descriptor):
            with progress.steps("waiting for another process that does the same"):
                while not _locked(descriptor):
                    progress.pause(_LOCK_INTERVAL_S)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _objection(folder: Path, account: Account | None) -> str | None:
    """Why `folder` (made if need be) can't hold what will be executed; None if it can."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o755, exist_ok=True)
        if folder.is_symlink():
            return "is a symbolic link"
        folder = folder.resolve()
        planted = _planted(folder)
        if planted is not None:
            return planted
        # The umask may have taken what the other account needs.
        folder.chmod(0o755)
        if account is not None and not account.may_enter(folder):
            return f"can't be entered by uid {account.uid}"
        return _mount_objection(folder)
    except OSError as error:
        return f"can't be used ({error.strerror})"


def _planted(folder: Path) -> str | None:
    """Why somebody else could have put something into `folder`, or another folder in its place."""
    facts = folder.stat()
    if facts.st_uid != os.geteuid():
        return f"belongs to uid {facts.st_uid}, not to you"
    if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be written to by others"
    for parent in folder.parents:
        facts = parent.stat()
        if facts.st_uid not in (0, os.geteuid()):
            return f"lies in {parent}, which belongs to uid {facts.st_uid}"
        own_group = facts.st_gid == os.getegid()
        writable = facts.st_mode & (stat.S_IWOTH if own_group else stat.S_IWOTH | stat.S_IWGRP)
        if writable and not facts.st_mode & stat.S_ISVTX:
            return f"lies in {parent}, which others can write to"
    return None


def _mount_objection(folder: Path) -> str | None:
    mount = os.statvfs(folder)
    if mount.f_flag & os.ST_RDONLY:
        return "is on a read-only file system"
    if mount.f_flag & getattr(os, "ST_NOEXEC", 0):
        return "is on a file system that executes nothing"
    return None
