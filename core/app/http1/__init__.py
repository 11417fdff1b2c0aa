"""HTTP/1.1 for one kind of server: small requests, answers in one piece, clients that keep their connections.

`listener.Listener` takes connections and ends them orderly; `connection.Connection` reads requests off one and writes
answers in their order; `request.Request` is what the answering coroutine gets. The grammar is llhttp's (httptools).
Nothing here knows what is served.
"""

from .listener import Listener
from .request import BodyBroken, BodyTooLarge, Request
from .response import Response

__all__ = ["BodyBroken", "BodyTooLarge", "Listener", "Request", "Response"]
