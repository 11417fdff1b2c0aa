"""The archive is fetched for real, from a repository on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest
from leasehold.core.embedded.archive import PINNED, ServerArchive
from leasehold.core.embedded.errors import Abandoned, EmbeddedError
from leasehold.core.embedded.fetch import fetch
from leasehold.core.embedded.install import install
from leasehold.core.embedded.places import exclusive
from leasehold.core.embedded.progress import Progress

from .repository import Repository, serving, zipped

QUIET = Progress(shown=False)


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    with serving(Repository(zipped(**{"bin/elasticsearch": "#!/bin/bash\n", "lib/a.jar": "a" * 200_000}))) as served:
        monkeypatch.setenv("LEASEHOLD_EMBEDDED_MAVEN_URL", served.url)
        yield served


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def fetched(archive: ServerArchive, cache: Path) -> bytes:
    with fetch(archive, cache, QUIET) as file:
        return file.read()


def kept(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.name != "fetch.lock")


def test_what_was_fetched_is_kept_and_not_fetched_again(repository: Repository, cache: Path) -> None:
    assert fetched(repository.archive, cache) == repository.content
    assert fetched(repository.archive, cache) == repository.content
    assert repository.downloads == 1
    assert kept(cache) == [f"{repository.archive.name}.zip"]


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(file.read_bytes()[:-1] + b"x"),
        lambda file: file.write_bytes(b""),
    ],
    ids=["cut short", "another byte", "empty"],
)
def test_a_corrupt_entry_of_the_cache_is_fetched_again(
    repository: Repository, cache: Path, corrupt: Callable[[Path], None]
) -> None:
    fetched(repository.archive, cache)
    corrupt(cache / f"{repository.archive.name}.zip")
    assert fetched(repository.archive, cache) == repository.content
    assert repository.downloads == 2


def test_a_download_with_another_hash_is_refused_and_not_kept(repository: Repository, cache: Path) -> None:
    expected = replace(repository.archive, sha256="0" * 64)
    with pytest.raises(EmbeddedError, match=r"is not the expected one .* was\s+discarded; try again"):
        fetch(expected, cache, QUIET)
    assert kept(cache) == []


def test_a_download_that_is_cut_off_is_tried_again(repository: Repository, cache: Path) -> None:
    repository.cuts = 1
    assert fetched(repository.archive, cache) == repository.content
    assert repository.downloads == 2


def test_a_download_that_is_always_cut_off_is_one_sentence(repository: Repository, cache: Path) -> None:
    repository.cuts = 100
    with pytest.raises(EmbeddedError, match=r"could not be downloaded .*look at the network, set HTTPS_PROXY or"):
        fetch(repository.archive, cache, QUIET)
    assert kept(cache) == []


@pytest.mark.parametrize("status", [HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.BAD_GATEWAY])
def test_a_repository_without_the_archive_is_one_sentence(
    repository: Repository, cache: Path, status: HTTPStatus
) -> None:
    repository.status = status
    with pytest.raises(EmbeddedError, match=r"is not in Maven's repository; look at LEASEHOLD_EMBEDDED_MAVEN_URL"):
        fetch(repository.archive, cache, QUIET)


@pytest.mark.parametrize("proxy", ["http://no-such-host.invalid:3128", "http://127.0.0.1:1", "nonsense://x"])
def test_no_network_is_one_sentence(proxy: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.delenv("LEASEHOLD_EMBEDDED_MAVEN_URL", raising=False)
    with pytest.raises(EmbeddedError, match=r"could not be downloaded .*or put the archive to .*/cache/elastic"):
        fetch(PINNED, cache, QUIET)
    assert kept(cache) == []


def test_an_archive_that_was_put_there_by_hand_needs_no_network(repository: Repository, cache: Path) -> None:
    cache.mkdir()
    (cache / f"{repository.archive.name}.zip").write_bytes(repository.content)
    assert fetched(repository.archive, cache) == repository.content
    assert repository.downloads == 0


def test_what_a_killed_one_left_is_removed(repository: Repository, cache: Path) -> None:
    (cache / ".fetching-abc" / "0").mkdir(parents=True)
    (cache / ".fetching-abc" / "0" / "half.zip").write_bytes(b"half")
    fetched(repository.archive, cache)
    assert kept(cache) == [f"{repository.archive.name}.zip"]


FETCH = """
import resource, sys
from pathlib import Path
from leasehold.core.embedded.archive import ServerArchive
from leasehold.core.embedded.errors import EmbeddedError
from leasehold.core.embedded.fetch import fetch
from leasehold.core.embedded.progress import Progress

version, sha256, size, cache, file_limit = sys.argv[1:]
if file_limit != "none":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_limit), int(file_limit)))
try:
    with fetch(ServerArchive(version, sha256, int(size)), Path(cache), Progress(shown=False)) as file:
        print(len(file.read()))
except EmbeddedError as error:
    sys.exit(str(error))
"""


def fetching_elsewhere(archive: ServerArchive, cache: Path, file_limit: str = "none") -> subprocess.Popen[str]:
    """Another process that fetches; it prints how many bytes it got, or why it got none."""
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, archive.version, archive.sha256, str(archive.size_bytes), str(cache), file_limit],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_of_several_at_once_one_downloads_and_all_get_it(repository: Repository, cache: Path) -> None:
    several = [fetching_elsewhere(repository.archive, cache) for _ in range(3)]
    answers = [one.communicate(timeout=60) for one in several]
    assert answers == [(f"{len(repository.content)}\n", "")] * 3
    assert repository.downloads == 1


def test_a_disk_that_fills_up_on_the_way_is_one_sentence(repository: Repository, cache: Path) -> None:
    limit = str(repository.archive.size_bytes // 2)
    _, words = fetching_elsewhere(repository.archive, cache, limit).communicate(timeout=60)
    assert words.splitlines() == [
        f"downloading Elasticsearch failed because {cache} has no room left; "
        "free some, or set LEASEHOLD_CACHE to a folder on another disk"
    ]
    assert kept(cache) == []


def test_a_disk_that_is_too_full_is_told_before_the_download(repository: Repository, cache: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"MB free and the download of Elasticsearch takes \d+ MB"):
        fetch(replace(repository.archive, size_bytes=1 << 60), cache, QUIET)
    assert repository.downloads == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written_to_is_one_sentence(repository: Repository, cache: Path) -> None:
    cache.mkdir(mode=0o500)
    with pytest.raises(EmbeddedError, match="Permission denied; set LEASEHOLD_CACHE to a folder that you may write to"):
        fetch(repository.archive, cache, QUIET)


def test_a_cache_that_is_a_file_is_one_sentence(repository: Repository, cache: Path) -> None:
    cache.write_text("")
    with pytest.raises(EmbeddedError, match=r"failed in .*cache: .*; look at that folder, or set LEASEHOLD_CACHE"):
        fetch(repository.archive, cache, QUIET)


def test_a_cache_that_cannot_be_made_is_no_reason_to_look_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASEHOLD_CACHE", "/dev/null/cache")
    with pytest.raises(
        EmbeddedError, match=r"making the cache failed in /dev/null/cache: Not a directory; .*LEASEHOLD_C"
    ):
        install(PINNED, None, QUIET)


def test_a_fetch_that_waits_for_another_can_be_given_up(repository: Repository, cache: Path) -> None:
    progress = Progress(shown=False)
    cache.mkdir()
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            fetch(repository.archive, cache, progress)
        except Abandoned as error:
            failures.append(error)

    with exclusive(cache / "fetch.lock", QUIET):
        waiting = threading.Thread(target=wait)
        waiting.start()
        progress.abandon()
        waiting.join(timeout=10)
    assert len(failures) == 1
    assert repository.downloads == 0


def test_an_installation_that_is_damaged_is_laid_out_anew(
    repository: Repository, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEASEHOLD_CACHE", str(cache))
    home = install(repository.archive, None, QUIET).home
    assert (home / "bin" / "elasticsearch").stat().st_mode & 0o777 == 0o755
    assert (home / "lib" / "a.jar").stat().st_mode & 0o777 == 0o644
    (home / "lib" / "a.jar").unlink()
    assert install(repository.archive, None, QUIET).home == home
    assert (home / "lib" / "a.jar").exists()
    assert repository.downloads == 1
    assert [path.name for path in home.parent.iterdir() if path.name.startswith(".")] == []
