"""The official client's transport, made to carry bytes.

Out of the box elastic-transport decodes every body and answer for its log as soon as any log handler exists, parses
answers with `json`, and says of a failed connection only that it failed. Its node and serializer are pluggable, so
both are replaced here, on connections of our own (`connection.py`); node selection and fail-over stay its own.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

import msgspec
from elastic_transport import (
    ApiResponseMeta,
    AsyncTransport,
    BaseAsyncNode,
    ConnectionError,
    ConnectionTimeout,
    HttpHeaders,
    NodeConfig,
    Serializer,
    TransportApiResponse,
)
from elastic_transport.client_utils import DEFAULT, DefaultType, url_to_node_config
from elasticsearch import AsyncElasticsearch

from ..settings import StoreSettings
from .connection import AnswerLost, ConnectionPool, NotConnected

ACCEPT_JSON = "application/vnd.elasticsearch+json; compatible-with=8"
SEND_NDJSON = "application/vnd.elasticsearch+x-ndjson; compatible-with=8"
# The store has a few; a client for tools may have any.
_MOST_HEADER_SETS = 32


class NeverSent(ConnectionError):
    """No connection was made (refused, unresolved, handshake failed, not in time): nothing can have been applied."""


class BytesSerializer(Serializer):
    """Passes bytes through, both ways; anything else is encoded by msgspec."""

    mimetype: ClassVar[str] = "application/json"

    def loads(self, data: bytes) -> bytes:
        return data

    def dumps(self, data: Any) -> bytes:
        return data if type(data) is bytes else msgspec.json.encode(data)


class BytesNode(BaseAsyncNode):
    """One Elasticsearch node: sends and returns bytes, logs nothing, and tells `NeverSent` from a lost connection."""

    _CLIENT_META_HTTP_CLIENT: ClassVar[tuple[str, str]] = ("lh", "1")

    def __init__(self, config: NodeConfig) -> None:
        super().__init__(config)
        self._pool = ConnectionPool(config.host, config.port, tls=_trust_of(config), limit=config.connections_per_node)
        host = f"[{config.host}]" if ":" in config.host else config.host
        self._own_headers = {"host": f"{host}:{config.port}"} | _lowered(self.headers)
        self._lines: dict[tuple[tuple[str, str], ...], str] = {}

    async def perform_request(  # type: ignore[override]
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        request_timeout: DefaultType | float | None = DEFAULT,
    ) -> TransportApiResponse:
        """Raises: NeverSent; ConnectionTimeout and ConnectionError, after which the request may have been applied."""
        timeout_s = self.config.request_timeout if isinstance(request_timeout, DefaultType) else request_timeout
        head = self._head(method, target, headers or {}, len(body or b""))
        try:
            answer = await self._pool.exchange(method, head, body, timeout_s=timeout_s)
        except NotConnected as error:
            raise NeverSent(str(error), errors=(error,)) from error
        except TimeoutError as error:
            raise ConnectionTimeout("no answer in time", errors=(error,)) from error
        except AnswerLost as error:
            raise ConnectionError(str(error), errors=(error,)) from error
        meta = ApiResponseMeta(
            node=self.config,
            duration=0.0,
            http_version="1.1",
            status=answer.status,
            headers=_headers_of(answer.headers),
        )
        return TransportApiResponse(meta, answer.body)

    async def close(self) -> None:  # type: ignore[override]
        self._pool.close()

    def _head(self, method: str, target: str, headers: Mapping[str, str], body_bytes: int) -> bytes:
        given = tuple(headers.items())
        lines = self._lines.get(given)
        if lines is None:
            every = self._own_headers | _lowered(headers)
            lines = "".join(f"{name}: {value}\r\n" for name, value in every.items())
            if len(self._lines) < _MOST_HEADER_SETS:
                self._lines[given] = lines
        head = f"{method} {self.path_prefix}{target} HTTP/1.1\r\n{lines}content-length: {body_bytes}\r\n\r\n"
        return head.encode("latin-1")


class BytesTransport(AsyncTransport):
    """The official transport, but for a cluster of one known node: there is nothing to choose, mark or try again."""

    async def perform_request(self, method: str, target: str, **options: Any) -> TransportApiResponse:  # type: ignore[override]
        """`options` as the official transport takes them. Raises: what `BytesNode.perform_request` does."""
        if len(self.node_pool) > 1 or options.get("max_retries"):
            return await super().perform_request(method, target, **options)
        (node,) = self.node_pool.all()
        assert isinstance(node, BytesNode)
        body = options.get("body")
        headers = options.get("headers")
        return await node.perform_request(
            method,
            target,
            body if body is None or type(body) is bytes else msgspec.json.encode(body),
            headers if isinstance(headers, Mapping) else None,
            options.get("request_timeout", DEFAULT),
        )


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


@lru_cache(maxsize=256)
def _headers_of(raw: tuple[tuple[bytes, bytes], ...]) -> HttpHeaders:
    """Cached: answers in chunks name no length, so most have the very same headers."""
    return HttpHeaders([(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw]).freeze()


def _trust_of(config: NodeConfig) -> ssl.SSLContext | None:
    """Names and addresses are checked against the certificate; `ca_certs` adds to what this machine trusts."""
    if config.scheme != "https":
        return None
    context = ssl.create_default_context()
    if config.ca_certs is not None:
        context.load_verify_locations(cafile=config.ca_certs)
    return context


def client_for(settings: StoreSettings, connections: int) -> AsyncElasticsearch:
    """An official client whose transport carries bytes: up to `connections` to each node, no retries of its own."""
    serializer = BytesSerializer()
    return AsyncElasticsearch(
        hosts=[_node_config(url, settings, connections) for url in settings.urls],
        node_class=BytesNode,
        transport_class=BytesTransport,
        serializers=dict.fromkeys(
            (
                "application/json",
                "application/vnd.elasticsearch+json",
                "application/vnd.elasticsearch+x-ndjson",
                "application/*",
                "text/*",
            ),
            serializer,
        ),
        max_retries=0,
        meta_header=False,
    )


def _node_config(url: str, settings: StoreSettings, connections: int) -> NodeConfig:
    config = url_to_node_config(url, use_default_ports_for_scheme=True)
    headers = HttpHeaders(config.headers)
    headers["accept"] = ACCEPT_JSON
    if settings.api_key is not None:
        headers["authorization"] = f"ApiKey {settings.api_key}"
    elif settings.username is not None:
        credentials = f"{settings.username}:{settings.password or ''}".encode()
        headers["authorization"] = f"Basic {base64.b64encode(credentials).decode()}"
    return config.replace(
        headers=headers,
        connections_per_node=connections,
        http_compress=False,
        request_timeout=settings.request_timeout_ms / 1000,
        **({"ca_certs": settings.ca_certs} if settings.ca_certs else {}),
    )
