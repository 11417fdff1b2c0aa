"""The text editor of whoever runs a command."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from ..failures import CommandFailed


def edited(text: str, *, name: str) -> str:
    """The text after $VISUAL, $EDITOR or vi has had it, in a file of that name. Raises: CommandFailed."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with TemporaryDirectory(prefix="leasehold-") as folder:
        file = Path(folder, name)
        file.write_text(text)
        try:
            code = subprocess.run([*shlex.split(editor), str(file)], check=False).returncode  # noqa: S603  their choice
        except (OSError, ValueError) as error:
            raise CommandFailed(f"the editor {editor!r} can't be run: {error}; set EDITOR to another") from None
        if code != 0:
            raise CommandFailed(f"the editor {editor!r} ended with code {code}: nothing was changed")
        return file.read_text()
