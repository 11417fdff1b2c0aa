"""A small Maven repository on loopback, to fetch from without the network."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from leasehold.core.embedded.archive import ServerArchive


def zipped(**files: str) -> bytes:
    """An archive with one folder, as the server's is."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"elasticsearch-0.0.1/{name}", text)
    return packed.getvalue()


class Repository:
    """Serves one archive. `cut_after_bytes`: closes the connection in mid-answer that often as `cuts` says."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.downloads = 0
        self.status = HTTPStatus.OK
        self.cuts = 0
        self.url = ""

    @property
    def archive(self) -> ServerArchive:
        """What a reader is to expect here."""
        return ServerArchive("0.0.1", hashlib.sha256(self.content).hexdigest(), len(self.content))

    def answer(self, asked: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        if not asked.path.endswith(".zip") or self.status != HTTPStatus.OK:
            asked.send_error(HTTPStatus.NOT_FOUND if self.status == HTTPStatus.OK else self.status)
            return
        self.downloads += 1
        asked.send_response(HTTPStatus.OK)
        asked.send_header("Content-Length", str(len(self.content)))
        asked.end_headers()
        cut, self.cuts = self.cuts > 0, max(self.cuts - 1, 0)
        asked.wfile.write(self.content[: len(self.content) // 2] if cut else self.content)


@contextmanager
def serving(repository: Repository) -> Iterator[Repository]:
    """Serve it until the context ends."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            repository.answer(self)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        repository.url = f"http://127.0.0.1:{server.server_port}/maven"
        try:
            yield repository
        finally:
            server.shutdown()
            thread.join()
