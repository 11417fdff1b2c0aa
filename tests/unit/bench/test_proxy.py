"""What stands between a replica and Elasticsearch counts every request and changes none."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from leasehold.bench.load import Address, Connection
from leasehold.bench.load.orders import CountingProxySetup, CountRequests
from leasehold.bench.load.proxy import CountingProxy, named


class Mirror(BaseHTTPRequestHandler):
    """Answers with the request's line and body."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = json.dumps([self.command, self.path, len(body), sum(body)]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def mirror() -> Iterator[Address]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Address(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_requests_pass_unchanged_and_are_counted_by_what_they_are() -> None:
    with mirror() as elasticsearch:
        port = free_port()
        proxy = CountingProxy(CountingProxySetup(elasticsearch, port))
        address = Address(f"http://127.0.0.1:{port}")
        connection = Connection(address)
        large = b"x" * 300_000
        answers = [
            connection.exchange(address.request("POST", "/w-lane-00/_bulk?timeout=1s", large)),
            connection.exchange(address.request("GET", "/w-control/_doc/lane-01?realtime=true")),
            connection.exchange(address.request("GET", "/w-control/_doc/lane-02")),
            connection.exchange(
                b"POST /w-lane-00/_bulk HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
            ),
        ]
        connection.close()
        counts = proxy.perform(CountRequests())
    assert [json.loads(answer.body) for answer in answers] == [
        ["POST", "/w-lane-00/_bulk?timeout=1s", 300_000, 300_000 * ord("x")],
        ["GET", "/w-control/_doc/lane-01?realtime=true", 0, 0],
        ["GET", "/w-control/_doc/lane-02", 0, 0],
        ["POST", "/w-lane-00/_bulk", 5, sum(b"abcde")],
    ]
    assert counts.requests == {"POST w-lane-00/_bulk": 2, "GET w-control/_doc": 2}


def test_a_port_that_is_taken_is_told_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="address already in use"):
            CountingProxy(CountingProxySetup(Address("http://127.0.0.1:1"), int(taken.getsockname()[1])))


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"GET /_stats?level=shards HTTP/1.1\r\n\r\n", "GET _stats"),
        (b"POST /a,b/_search HTTP/1.1\r\n\r\n", "POST a,b/_search"),
        (b"HEAD / HTTP/1.1\r\n\r\n", "HEAD "),
    ],
)
def test_a_request_is_named_by_method_index_and_api(line: bytes, name: str) -> None:
    assert named(line) == name
