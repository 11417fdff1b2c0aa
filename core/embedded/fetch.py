"""The server's archive: fetched once, checked against its pinned SHA-256, kept in the cache.

A file stands under its final name only when it is whole and checked, since the download goes to a folder of its own
and is renamed. Several processes may fetch at once: one downloads, the others wait for it. What a killed one left is
removed by the next.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from .archive import ServerArchive
from .errors import EmbeddedError, missing_extra, one_sentence
from .places import CACHE_SETTING, exclusive, require_space
from .progress import Advance, Progress

MIRROR_SETTING = "LEASEHOLD_EMBEDDED_MAVEN_URL"
_UNFINISHED = ".fetching-"
_TIMEOUT_S = 30
_ATTEMPTS = 2


def fetch(archive: ServerArchive, cache: Path, progress: Progress) -> BufferedReader:
    """The archive, open for reading, its content checked; the caller closes it.

    Raises EmbeddedError without network, room or permission, and if what was downloaded is not what was pinned.
    """
    kept = cache / f"{archive.name}.zip"
    with one_sentence("downloading Elasticsearch", cache, CACHE_SETTING):
        found = _open_checked(kept, archive)
        if found is not None:
            return found
        cache.mkdir(parents=True, exist_ok=True)
        with exclusive(cache / "fetch.lock", progress):
            found = _open_checked(kept, archive)
            if found is not None:
                return found
            kept.unlink(missing_ok=True)
            _remove_unfinished(cache)
            require_space(cache, archive.size_bytes, "the download of Elasticsearch", CACHE_SETTING)
            return _download(archive, kept, progress)


def _open_checked(path: Path, archive: ServerArchive) -> BufferedReader | None:
    """The file, open at its start, if its content is the pinned one. What is read later is what was checked."""
    with suppress(FileNotFoundError):
        file = path.open("rb")
        if os.fstat(file.fileno()).st_size == archive.size_bytes and _sha256(file) == archive.sha256:
            file.seek(0)
            return file
        file.close()
    return None


def _sha256(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_unfinished(cache: Path) -> None:
    for left in cache.glob(_UNFINISHED + "*"):
        shutil.rmtree(left, ignore_errors=True)


def _download(archive: ServerArchive, kept: Path, progress: Progress) -> BufferedReader:
    with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=kept.parent, ignore_cleanup_errors=True) as folder:
        downloaded = _resolve(archive, Path(folder), kept, progress)
        file = _open_checked(downloaded, archive)
        if file is None:
            raise EmbeddedError(_mismatch(archive, downloaded))
        downloaded.replace(kept)
        return file


def _mismatch(archive: ServerArchive, downloaded: Path) -> str:
    with downloaded.open("rb") as file:
        found = _sha256(file)
    return (
        f"the download of Elasticsearch {archive.version} is not the expected one (SHA-256 {found[:12]}..., expected "
        f"{archive.sha256[:12]}..., {downloaded.stat().st_size} bytes, expected {archive.size_bytes}) and was "
        f"discarded; try again, and if it stays so look for a proxy that changes downloads"
    )


def _resolve(archive: ServerArchive, folder: Path, kept: Path, progress: Progress) -> Path:
    """Download into `folder` with the resolver of jgo, which knows where the public Maven repository is."""
    try:
        import requests
        import truststore
    except ImportError as error:
        raise missing_extra(error) from error
    # Company networks put their own certificate authority into the system's trust store, where requests does not look.
    truststore.inject_into_ssl()
    try:
        for attempt in range(_ATTEMPTS):
            try:
                return _attempt(archive, folder / str(attempt), progress)
            except requests.RequestException as error:
                failure = error
    finally:
        truststore.extract_from_ssl()
    raise EmbeddedError(
        f"Elasticsearch {archive.version} could not be downloaded ({_innermost(failure)}); look at the network, set "
        f"HTTPS_PROXY or {MIRROR_SETTING} (a mirror of Maven's repository), or put the archive to {kept}"
    ) from failure


def _attempt(archive: ServerArchive, folder: Path, progress: Progress) -> Path:
    try:
        from jgo.maven import MavenContext, PythonResolver
    except ImportError as error:
        raise missing_extra(error) from error

    @contextmanager
    def reported(name: str, total_bytes: int) -> Iterator[Advance]:
        with progress.steps(f"downloading {name}", total_bytes) as advance:
            yield advance

    mirror = os.environ.get(MIRROR_SETTING)
    context = MavenContext(
        resolver=PythonResolver(progress_callback=reported),
        repo_cache=folder,
        remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,
        timeout=_TIMEOUT_S,
    )
    component = context.project(archive.group, archive.artifact).at_version(archive.version)
    try:
        path: Path = component.artifact(packaging="zip").resolve()
    except RuntimeError as error:
        if isinstance(error, EmbeddedError):
            raise
        raise EmbeddedError(
            f"Elasticsearch {archive.version} is not in Maven's repository; look at {MIRROR_SETTING} if it is set"
        ) from error
    return path


def _innermost(error: BaseException) -> str:
    """The words of the failure at the bottom, since the layers above only wrap it."""
    while True:
        inner = error.__cause__ or error.__context__
        if inner is None:
            return str(error) or type(error).__name__
        error = inner
