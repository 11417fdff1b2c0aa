"""Many connections on one thread, against a small server of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import monotonic

import pytest
from leasehold.bench.load import Address, ConnectionLost
from leasehold.bench.load.closed import Conversation, converse


class Echo(BaseHTTPRequestHandler):
    """Answers with the path.

    `/lost` closes the connection instead, `/last` afterwards; `/none` is a 204, `/never` is not answered.
    """

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/lost":
            self.close_connection = True
            return
        self.close_connection = self.path == "/last"
        if self.path == "/never":
            self.rfile.read(1)
            return
        body = self.path.encode() * (20_000 if self.path == "/long" else 1)
        self.send_response(204 if self.path == "/none" else 200)
        if self.path != "/none":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.path != "/none":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def echo() -> Iterator[Address]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Address(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_each_conversation_gets_the_answers_to_its_own_requests() -> None:
    heard: dict[int, list[bytes]] = {}

    def conversation(server: Address, number: int) -> Conversation:
        for turn in range(3):
            answer = yield server.request("POST", f"/{number}/{turn}")
            heard.setdefault(number, []).append(answer.body)
            assert answer.status == 200
            assert answer.sent_ns < answer.arrived_ns

    with echo() as server:
        converse(server, [conversation(server, number) for number in range(8)], until_s=monotonic() + 30)
    assert heard == {number: [f"/{number}/{turn}".encode() for turn in range(3)] for number in range(8)}


def test_long_answers_and_those_without_a_body_come_whole() -> None:
    lengths = []

    def conversation(server: Address) -> Conversation:
        for target in ("/long", "/none", "/long"):
            answer = yield server.request("POST", target)
            lengths.append((answer.status, len(answer.body)))

    with echo() as server:
        converse(server, [conversation(server)], until_s=monotonic() + 30)
    assert lengths == [(200, 100_000), (204, 0), (200, 100_000)]


def test_a_lost_connection_is_told_where_the_conversation_waits_and_made_anew() -> None:
    heard = []

    def conversation(server: Address) -> Conversation:
        with pytest.raises(ConnectionLost):
            yield server.request("POST", "/lost")
        yield 0.001
        heard.append((yield server.request("POST", "/again")).body)

    with echo() as server:
        converse(server, [conversation(server)], until_s=monotonic() + 30)
    assert heard == [b"/again"]


def test_a_connection_that_is_closed_while_the_conversation_pauses_is_made_anew() -> None:
    heard = []

    def conversation(server: Address) -> Conversation:
        heard.append((yield server.request("POST", "/last")).body)
        yield 0.05
        heard.append((yield server.request("POST", "/again")).body)

    with echo() as server:
        converse(server, [conversation(server)], until_s=monotonic() + 30)
    assert heard == [b"/last", b"/again"]


def test_what_waits_when_it_is_enough_is_closed() -> None:
    done: list[str] = []

    def waiting(server: Address) -> Conversation:
        try:
            yield server.request("POST", "/never")
        finally:
            done.append("closed")

    def asking(server: Address) -> Conversation:
        yield server.request("POST", "/once")
        done.append("answered")
        yield server.request("POST", "/never")

    with echo() as server:
        converse(server, [waiting(server), asking(server)], until_s=monotonic() + 30, enough=lambda: "answered" in done)
    assert done == ["answered", "closed"]


def test_time_that_is_over_ends_what_would_wait_for_ever() -> None:
    def waiting(server: Address) -> Conversation:
        yield server.request("POST", "/never")
        raise AssertionError("it was answered")

    with echo() as server:
        converse(server, [waiting(server)], until_s=monotonic() + 0.05)
