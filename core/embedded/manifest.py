"""A laid-out folder and the proof that it still is what was laid out.

Cleaners of temporary folders remove single files, and a copy can be cut short; both would make the server fail in ways
that nobody understands. So size and change time of each file are written down when a folder is finished, and compared
before it is used: 3 ms, where hashing 200 MB would take a second.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

_NAME = ".manifest.json"


def seal(folder: Path) -> None:
    """Write down what `folder` holds."""
    (folder / _NAME).write_text(json.dumps(_facts(folder)))


def is_whole(folder: Path) -> bool:
    """Whether `folder` was sealed and holds exactly what it held then."""
    try:
        sealed = json.loads((folder / _NAME).read_bytes())
        return bool(sealed == _facts(folder))
    except (OSError, ValueError):
        return False


def _facts(folder: Path) -> dict[str, list[int]]:
    """Size in bytes and change time in nanoseconds of each file, by its path inside `folder`."""
    facts = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            if name == _NAME:
                continue
            path = os.path.join(parent, name)
            status = os.lstat(path)
            facts[os.path.relpath(path, folder)] = [status.st_size, status.st_mtime_ns]
    return facts
