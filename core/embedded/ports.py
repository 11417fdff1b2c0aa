"""Ports on loopback: which are free, and what it means when one is not."""

from __future__ import annotations

import socket

from .errors import EmbeddedError

HOST = "127.0.0.1"


def free_port() -> int:
    """A port that nobody listened on just now. Another process may take it before it is used: where one can, leave the
    choice to the server itself (port 0)."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int, purpose: str) -> None:
    """Raise EmbeddedError if nobody can listen on `port` now. 0 stands for any and is always free."""
    if not 0 <= port <= 65_535:
        raise EmbeddedError(f"{purpose} {port} is no port; choose one from 1024 to 65535, or 0 for any free one")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise EmbeddedError(taken(port, purpose, error.strerror or str(error))) from error


def taken(port: int, purpose: str, reason: str = "Address already in use") -> str:
    """The sentence for a port that cannot be had."""
    return f"{purpose} {port} on {HOST} cannot be used ({reason}); stop what listens there, or choose another (0: any)"
