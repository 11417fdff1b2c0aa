from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from leasehold.core.embedded.manifest import is_whole, seal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "server.jar").write_bytes(b"0123456789")
    (tmp_path / "start").write_text("#!/bin/sh")
    seal(tmp_path)
    return tmp_path


def test_a_sealed_folder_is_whole(folder: Path) -> None:
    assert is_whole(folder)


def test_a_folder_that_was_never_sealed_is_not_whole(tmp_path: Path) -> None:
    assert not is_whole(tmp_path)
    assert not is_whole(tmp_path / "absent")


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "start").unlink(),
        lambda folder: (folder / "lib" / "server.jar").write_bytes(b"012345678"),
        lambda folder: (folder / "lib" / "server.jar").write_bytes(b"0123456780"),
        lambda folder: (folder / "lib" / "more.jar").write_bytes(b""),
        lambda folder: (folder / ".manifest.json").write_text("{"),
    ],
    ids=["a file is gone", "a file is cut short", "a byte differs", "a file is new", "the seal is broken"],
)
def test_a_folder_that_has_changed_is_not_whole(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder)
    assert not is_whole(folder)
