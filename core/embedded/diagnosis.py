"""What a server that did not start said last, as one sentence; and its log, kept where the caller can read it."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from .ports import taken

_PREAMBLE = "fatal exception while booting Elasticsearch"
_ERROR_LINE = re.compile(r"^\[[^]]*\]\[ERROR\]\[[^]]*\] \[[^]]*\]\s*(?P<words>.*)")
_BIND = re.compile(r"Failed to bind to \S+?:(?P<port>\d+)")
_SAYS_NOTHING = re.compile(r"\s|ERROR: Elasticsearch (did not exit normally|died while starting up)|$")


def sentence_of(console: Path) -> str:
    """Why the server did not start, from what it printed."""
    try:
        printed = console.read_text(errors="replace")
    except OSError:
        printed = ""
    if "No space left on device" in printed:
        return "Elasticsearch did not start: its disk is full; free some room, or set TMPDIR to another disk"
    words = last_error(printed)
    bind = _BIND.search(words)
    if bind is not None:
        return taken(int(bind["port"]), "port")
    return f"Elasticsearch did not start: {words}"


def last_error(printed: str) -> str:
    """The last ERROR line of a log, without its preamble; where there is none, the last line that says something."""
    lines = printed.splitlines()
    errors = [match["words"] for line in lines if (match := _ERROR_LINE.match(line))]
    if errors:
        return errors[-1].removeprefix(_PREAMBLE).strip()
    said = [line for line in lines if not _SAYS_NOTHING.match(line)]
    return said[-1].strip() if said else "it printed nothing"


def keep(console: Path) -> str:
    """Copy what was printed out of the private folder; the words that say where it is."""
    try:
        with (
            console.open("rb") as file,
            tempfile.NamedTemporaryFile(prefix="leasehold-es-failed-", suffix=".log", delete=False) as kept,
        ):
            shutil.copyfileobj(file, kept)
            return f"its log was kept in {kept.name}"
    except OSError as error:
        return f"its log could not be kept ({error.strerror})"
