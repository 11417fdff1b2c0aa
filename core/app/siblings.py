"""Several replicas on one machine and one port (`serve --processes N`): who starts them, and what each one is.

The parent serves nothing. It holds the port, starts the children, starts again what dies, passes a stop on and waits.
Each child is a replica of its own, with a listening socket of its own on the shared port (the kernel shares connections
out, SO_REUSEPORT) and a second one on a free loopback port, under which its peers, and whoever wants its own metrics,
reach it. A child gets its settings on standard input and says on standard output, in one line, that it is up, or why
not. It stops when standard input ends, so that no child outlives its parent.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

import msgspec
import structlog
from msgspec import Struct

from ..errors import LeaseholdError
from ..settings import ServerSettings, Settings
from .event_loop import run
from .logs import configure_logs
from .serve import CannotServe, address_of, bound, serve_on

log = structlog.get_logger(__name__)

_BACKOFF_S = 0.2
_BACKOFF_MAX_S = 10.0
# A child that has lived so long did not die of what its predecessor died of.
_LIVED_S = 60.0
_CHILD = (sys.executable, "-c", "from leasehold.core.app.siblings import sibling; sibling()")


class _Word(Struct, omit_defaults=True):
    """What a child says once: where its peers reach it, or why it did not come up."""

    address: str = ""
    failed: str = ""


async def serve_siblings(settings: Settings) -> None:
    """Serve with `settings.server.processes` replicas until SIGTERM or SIGINT. Raises: CannotServe; InsecureServer."""
    check_platform(settings.server)
    with reserved(settings.server) as sock:
        settings = msgspec.structs.replace(
            settings, server=msgspec.structs.replace(settings.server, port=sock.getsockname()[1])
        )
        siblings = _Siblings(settings)
        _on_signals(siblings.stop)
        try:
            await siblings.start()
            log.info("serving", address=address_of(sock), processes=settings.server.processes)
            await siblings.watch()
        finally:
            await siblings.end()
    log.info("stopped", port=settings.server.port)


def check_platform(server: ServerSettings) -> None:
    """Raises: CannotServe where the kernel does not share the connections of one port out among listening sockets."""
    if sys.platform != "linux" or not hasattr(socket, "SO_REUSEPORT"):
        raise CannotServe(
            f"server.processes is {server.processes}, and this platform does not share the connections of one port out"
            " among processes (Linux does); start that many `leasehold serve`, each on a port of its own"
        )


def reserved(server: ServerSettings) -> socket.socket:
    """The shared port, held and not listened on. Raises: CannotServe.

    Bound alone first: sharing would not notice that somebody else, such as another installation, listens there.
    """
    with bound(server) as alone:
        port = alone.getsockname()[1]
    return bound(msgspec.structs.replace(server, port=port), shared=True)


class _Siblings:
    """The children, by number. `stop` may be called at any time; a second time it ends them at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """The first one alone, so that what is wrong is said once; then the others. Raises: CannotServe."""
        await self._start(0)
        await asyncio.gather(*(self._start(number) for number in range(1, self._settings.server.processes)))

    async def watch(self) -> None:
        """Start again what dies. Returns when all have been stopped."""
        await asyncio.gather(*(self._keep(number) for number in self._children))

    async def end(self) -> None:
        """Stop what lives still, and wait for it."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        await asyncio.gather(*(child.wait() for child in self._children.values()))

    def stop(self) -> None:
        if self._stopping.is_set():
            self._signal(signal.SIGKILL)
            return
        log.info("stopping", processes=len(self._children))
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children.values():
            if child.returncode is None:
                with suppress(ProcessLookupError):
                    child.send_signal(number)

    async def _start(self, number: int) -> None:
        """Returns when the child is up. Raises: CannotServe with the child's own sentence."""
        if self._stopping.is_set():
            return
        # A session of its own: what is typed at the terminal goes to the parent alone, which passes it on.
        child = await asyncio.create_subprocess_exec(
            *_CHILD,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "LEASEHOLD_SIBLING": str(number)},
        )
        self._children[number] = child
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(ConnectionError):
            child.stdin.write(msgspec.json.encode(self._settings) + b"\n")
            await child.stdin.drain()
        said = await child.stdout.readline()
        word = msgspec.json.decode(said, type=_Word) if said else _Word()
        if word.address:
            log.info("sibling.up", sibling=number, pid=child.pid, address=word.address)
        elif not self._stopping.is_set():
            await child.wait()
            raise CannotServe(word.failed or f"replica {number} ended with {child.returncode} before it was up")

    async def _keep(self, number: int) -> None:
        backoff_s = _BACKOFF_S
        loop = asyncio.get_running_loop()
        while True:
            since_s = loop.time()
            child = self._children[number]
            await child.wait()
            if self._stopping.is_set():
                return
            if loop.time() - since_s >= _LIVED_S:
                backoff_s = _BACKOFF_S
            log.error("sibling.died", sibling=number, pid=child.pid, code=child.returncode, again_in_s=backoff_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(backoff_s):
                    await self._stopping.wait()
                    return
            backoff_s = min(2 * backoff_s, _BACKOFF_MAX_S)
            try:
                await self._start(number)
            except CannotServe as error:
                log.error("sibling.not_up", sibling=number, reason=str(error))


def sibling() -> None:
    """A child, from its settings on standard input to its end."""
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)
    configure_logs(settings.server.log_format, settings.server.log_level)
    structlog.contextvars.bind_contextvars(sibling=int(os.environ["LEASEHOLD_SIBLING"]))
    try:
        run(_serve(settings))
    except LeaseholdError as error:
        _say(_Word(failed=str(error)))
        sys.exit(1)


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    _on_signals(stop.set)
    _at_end_of_input(stop.set)
    shared = bound(settings.server, shared=True)
    own = bound(ServerSettings(port=0))
    with shared, own:
        own.listen()
        await serve_on(settings, own, shared, stop=stop, up=lambda address: _say(_Word(address=address)))


def _say(word: _Word) -> None:
    with suppress(BrokenPipeError):
        sys.stdout.buffer.write(msgspec.json.encode(word) + b"\n")
        sys.stdout.buffer.flush()


def _on_signals(act: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, act)


def _at_end_of_input(act: Callable[[], None]) -> None:
    """The parent has gone, however it went."""
    loop = asyncio.get_running_loop()

    def look() -> None:
        if not os.read(0, 1_024):
            loop.remove_reader(0)
            act()

    loop.add_reader(0, look)
