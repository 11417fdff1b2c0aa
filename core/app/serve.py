"""One scheduler process, from its first socket to its orderly end.

The order matters at both ends. Coming up: the socket first (a port in use costs nothing yet), then Elasticsearch and
the lanes, then requests are taken. Going down, on SIGTERM or SIGINT: no new connections and no new claims, waiting
claims are answered 204, what is being done is answered, the lanes are handed over, within a second; then what still
hangs is given a few seconds. A second signal ends at once.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from prometheus_client import ProcessCollector

from ... import __version__
from ...ilm import IlmError
from ..errors import LeaseholdError, StoreError
from ..metrics import Metrics
from ..opening import open_replica
from ..replica import Replica
from ..settings import ServerSettings, Settings
from .authentication import check_exposure
from .collector import rare_collections
from .http1 import Listener
from .peers import HttpPeers, http_peers
from .web.server import HttpSurface, refusal
from .web.surface import Surface

log = structlog.get_logger(__name__)

_BACKLOG = 1_024
_ANSWER_WITHIN_S = 5.0


class CannotServe(LeaseholdError):
    """The process could not come up; the sentence says why, and the way out."""


async def serve(settings: Settings, *, stop: asyncio.Event | None = None) -> None:
    """Serve until SIGTERM, SIGINT or `stop`. Raises: CannotServe; InsecureServer."""
    stop = stop or asyncio.Event()
    _stop_on_signals(stop)
    with listen(settings.server) as sock:
        await serve_on(settings, sock, stop=stop)


async def serve_on(
    settings: Settings,
    sock: socket.socket,
    *shared: socket.socket,
    stop: asyncio.Event,
    up: Callable[[str], None] | None = None,
) -> None:
    """Serve on bound sockets until `stop`. The peers are given the address of the first; so is `up`, once it answers.

    The others are listened on only when the replica can answer. Raises: CannotServe.
    """
    address = address_of(sock)
    metrics = Metrics()
    ProcessCollector(registry=metrics.registry)
    async with (
        _replica(settings, metrics, address) as replica,
        answering(replica, settings, metrics, sock, *shared),
    ):
        also = {"shared": [address_of(one) for one in shared]} if shared else {}
        urls = [_without_secrets(url) for url in settings.store.urls]
        log.info("serving", address=address, elasticsearch=urls, **also)
        if up is not None:
            up(address)
        with rare_collections():
            await stop.wait()
        log.info("stopping", address=address)
    log.info("stopped", address=address)


@asynccontextmanager
async def answering(
    replica: Replica, settings: Settings, metrics: Metrics, *socks: socket.socket
) -> AsyncIterator[Surface]:
    """Answer HTTP on bound sockets while the context lasts; then hand the lanes over and stop orderly."""
    surface = Surface(replica, settings.limits, metrics)
    listener = Listener(HttpSurface(surface, version=__version__), refusal)
    await listener.start(*socks, backlog=_BACKLOG)
    try:
        yield surface
    finally:
        listener.stop_accepting()
        surface.stopping = True
        # First of all: a request that hangs must not keep the lanes from their next owner.
        await replica.leave()
        surface.stop()
        await listener.finish(_ANSWER_WITHIN_S)
        await surface.settle()


def listen(server: ServerSettings) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises: CannotServe; InsecureServer."""
    sock = bound(server)
    try:
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotServe(_bind_failure(server, error)) from None
    return sock


def bound(server: ServerSettings, *, shared: bool = False) -> socket.socket:
    """A bound socket; port 0 takes a free one. `shared`: others may bind to the same port, if they share it too.

    Raises: CannotServe; InsecureServer.
    """
    check_exposure(server.host)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotServe(f"the host {server.host} can't be listened on: {error.strerror}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise CannotServe(_bind_failure(server, error)) from None
    return sock


def address_of(sock: socket.socket) -> str:
    """`http://host:port` of a bound socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if sock.family == socket.AF_INET6 else f"http://{host}:{port}"


def _bind_failure(server: ServerSettings, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {server.port} of {server.host} is in use; choose another with --port or LEASEHOLD_PORT (0: any free"
            " one), or end what listens there"
        )
    if error.errno == errno.EACCES:
        return f"port {server.port} needs more rights than this process has; choose one above 1023 with --port"
    return f"port {server.port} of {server.host} can't be listened on: {error.strerror}"


@asynccontextmanager
async def _replica(settings: Settings, metrics: Metrics, address: str) -> AsyncIterator[Replica]:
    """`open_replica`, with what can go wrong at the start said in one sentence."""
    async with http_peers() as peers, _opened(settings, metrics, peers, address) as replica:
        peers.secret = replica.peer_secret
        yield replica


@asynccontextmanager
async def _opened(settings: Settings, metrics: Metrics, peers: HttpPeers, address: str) -> AsyncIterator[Replica]:
    opening = open_replica(settings, metrics=metrics, peers=peers, address=address)
    try:
        replica = await opening.__aenter__()
    except IlmError as error:
        raise CannotServe(str(error)) from error
    except StoreError as error:
        urls = ", ".join(_without_secrets(url) for url in settings.store.urls)
        raise CannotServe(
            f"Elasticsearch at {urls} can't be used: {error}; name yours with LEASEHOLD_ES_URL, or start one with"
            " `leasehold elasticsearch`"
        ) from error
    try:
        yield replica
    finally:
        await opening.__aexit__(None, None, None)


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def first_signal() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first_signal)


def _without_secrets(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else url
