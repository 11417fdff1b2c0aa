"""The account that the server runs under: Elasticsearch refuses to run as root."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

_WITHOUT_NOBODY = 65_534


@dataclass(frozen=True)
class Account:
    """A user and a group without privileges."""

    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """Whether the account may pass through `folder` and all folders above it, going by owner and mode alone."""
        return all(self._passes(each) for each in (folder, *folder.parents))

    def _passes(self, folder: Path) -> bool:
        facts = folder.stat()
        if facts.st_uid == self.uid:
            return bool(facts.st_mode & stat.S_IXUSR)
        if facts.st_gid == self.gid:
            return bool(facts.st_mode & stat.S_IXGRP)
        return bool(facts.st_mode & stat.S_IXOTH)


def server_account() -> Account | None:
    """The account to switch to, or None where the caller's own will do (any but root)."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return Account(_WITHOUT_NOBODY, _WITHOUT_NOBODY)
    return Account(nobody.pw_uid, nobody.pw_gid)
