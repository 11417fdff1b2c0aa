"""Logs of `leasehold worker`: one event a line on standard error, as JSON or for a console."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_TALKATIVE = ("asyncio", "aiohttp")


class JsonLines(logging.Formatter):
    """`{"event", "level", "timestamp", ...}`, as a replica's logs are; further fields are those of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            **_extra(record),
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "timestamp": _time_of(record),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(fields, enc_hook=str).decode()


class ConsoleLines(logging.Formatter):
    """Time, level, event, then `name=value` of `extra`; a traceback on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        extra = "".join(f" {name}={value}" for name, value in _extra(record).items())
        line = f"{_time_of(record)} [{record.levelname.lower():<7}] {record.getMessage()}{extra}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logs(log_format: Literal["console", "json"], log_level: str, *, stream: TextIO | None = None) -> None:
    """Set the root logger up for this process. To be called once, by a command."""
    level = _LEVELS[log_level]
    output = logging.StreamHandler(stream or sys.stderr)
    output.setFormatter(JsonLines() if log_format == "json" else ConsoleLines())
    logging.basicConfig(handlers=[output], level=level, force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _USUAL}


def _time_of(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
