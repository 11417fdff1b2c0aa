from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from leasehold.core.embedded import EmbeddedError, free_port
from leasehold.core.embedded.account import Account
from leasehold.core.embedded.places import cache_folder, installation_folder, private_folder, require_space
from leasehold.core.embedded.ports import require_free

NOBODY = Account(65_534, 65_534)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of ours, with the shared places out of the way."""
    tmp_path.chmod(0o700)
    monkeypatch.setattr("leasehold.core.embedded.places._PERSISTENT_TEMPORARY", tmp_path / "temporary")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return tmp_path


def test_the_cache_is_where_it_is_said_to_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LEASEHOLD_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"


def test_the_cache_follows_the_xdg_cache_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LEASEHOLD_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "leasehold"


@pytest.mark.parametrize("xdg", ["", "relative/path"])
def test_an_xdg_cache_home_that_is_no_absolute_path_does_not_count(
    xdg: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("LEASEHOLD_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "leasehold"


def test_an_installation_goes_into_the_cache(own: Path) -> None:
    assert installation_folder(own / "cache", None) == own / "cache" / "installed"


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_folder_that_others_can_write_to_holds_no_installation(own: Path, mode: int) -> None:
    folder = own / "cache" / "installed"
    folder.mkdir(parents=True)
    folder.chmod(mode)
    assert installation_folder(own / "cache", None) == own / "temporary" / f"leasehold-{os.geteuid()}"


def test_a_folder_in_one_that_others_can_write_to_holds_no_installation(own: Path) -> None:
    (own / "cache").mkdir()
    (own / "cache").chmod(0o757)
    assert installation_folder(own / "cache", None).parent == own / "temporary"
    (own / "cache").chmod(0o1757)
    assert installation_folder(own / "cache", None).parent == own / "cache"


def test_a_link_holds_no_installation(own: Path) -> None:
    (own / "elsewhere").mkdir()
    (own / "cache").mkdir()
    (own / "cache" / "installed").symlink_to(own / "elsewhere")
    assert installation_folder(own / "cache", None).parent == own / "temporary"


def test_a_folder_that_the_servers_account_cannot_enter_holds_no_installation(own: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"cache/installed can't be entered by uid 65534.*set LEASEHOLD_CACHE"):
        installation_folder(own / "cache", NOBODY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_holds_no_installation(own: Path) -> None:
    (own / "cache" / "installed").mkdir(parents=True)
    os.chown(own / "cache" / "installed", NOBODY.uid, NOBODY.gid)
    assert installation_folder(own / "cache", None).parent == own / "temporary"


def test_a_private_folder_goes_where_tmpdir_says(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(own))
    folder = private_folder(None)
    assert folder.parent == own
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root switches accounts")
def test_a_private_folder_never_goes_where_the_servers_account_cannot_enter(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(own))
    (own / "temporary").mkdir()
    folder = private_folder(NOBODY)
    folder.rmdir()
    assert not folder.is_relative_to(own)


def test_too_little_room_is_told_beforehand(own: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"MB free and a download takes \d+ MB; free some, or set LEASEHOLD_CACHE"):
        require_space(own, 1 << 60, "a download", "LEASEHOLD_CACHE")


def test_a_port_in_use_is_told_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedError, match=rf"HTTP port {port} on 127.0.0.1 cannot be used .*choose another"):
            require_free(port, "HTTP port")


def test_a_free_port_and_any_port_can_be_used() -> None:
    require_free(free_port(), "HTTP port")
    require_free(0, "HTTP port")


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_number_that_is_no_port_is_told(port: int) -> None:
    with pytest.raises(EmbeddedError, match="is no port"):
        require_free(port, "HTTP port")
