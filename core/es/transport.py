"""The official client's transport, made to carry bytes.

Out of the box elastic-transport decodes every body and answer for its log as soon as any log handler exists, parses
answers with `json`, and says of a failed connection only that it failed. Its node and serializer are pluggable, so
both are replaced here; node selection, fail-over and TLS stay its own.
"""

from __future__ import annotations

import base64
import io
from typing import Any, ClassVar

import aiohttp
import msgspec
from elastic_transport import (
    AiohttpHttpNode,
    ApiResponseMeta,
    ConnectionError,
    ConnectionTimeout,
    HttpHeaders,
    NodeConfig,
    Serializer,
    TransportApiResponse,
)
from elastic_transport.client_utils import DEFAULT, DefaultType, url_to_node_config
from elasticsearch import AsyncElasticsearch
from yarl import URL

from ..settings import StoreSettings

ACCEPT_JSON = "application/vnd.elasticsearch+json; compatible-with=8"
SEND_NDJSON = "application/vnd.elasticsearch+x-ndjson; compatible-with=8"

CONNECT_TIMEOUT_S = 5.0
# aiohttp warns about larger bodies in one piece, since the loop stands still while the kernel takes them.
LARGEST_SINGLE_WRITE_BYTES = 2**20


class NeverSent(ConnectionError):
    """No connection was made (refused, unresolved, handshake failed, not in time): nothing can have been applied."""


class BytesSerializer(Serializer):
    """Passes bytes through, both ways; anything else is encoded by msgspec."""

    mimetype: ClassVar[str] = "application/json"

    def loads(self, data: bytes) -> bytes:
        return data

    def dumps(self, data: Any) -> bytes:
        return data if type(data) is bytes else msgspec.json.encode(data)


class BytesNode(AiohttpHttpNode):
    """One Elasticsearch node: sends and returns bytes, logs nothing, and tells `NeverSent` from a lost connection."""

    async def perform_request(  # type: ignore[override]
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: HttpHeaders | None = None,
        request_timeout: DefaultType | float | None = DEFAULT,
    ) -> TransportApiResponse:
        """Raises: NeverSent; ConnectionTimeout and ConnectionError, after which the request may have been applied."""
        if self.session is None:
            self._create_aiohttp_session()
            assert self.session is not None
        timeout_s = self.config.request_timeout if isinstance(request_timeout, DefaultType) else request_timeout
        every_header = self._headers.copy()
        every_header.update(headers or {})
        try:
            async with self.session.request(
                method,
                URL(self.base_url + target, encoded=True),
                data=io.BytesIO(body) if body and len(body) > LARGEST_SINGLE_WRITE_BYTES else body,
                headers=every_header,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_TIMEOUT_S),
                allow_redirects=False,
            ) as response:
                answer = await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NeverSent(str(error), errors=(error,)) from error
        except TimeoutError as error:
            raise ConnectionTimeout("no answer in time", errors=(error,)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionError(str(error), errors=(error,)) from error
        meta = ApiResponseMeta(
            node=self.config,
            duration=0.0,
            http_version="1.1",
            status=response.status,
            headers=HttpHeaders(response.headers),
        )
        return TransportApiResponse(meta, answer)


def client_for(settings: StoreSettings, connections: int) -> AsyncElasticsearch:
    """An official client whose transport carries bytes: up to `connections` to each node, no retries of its own."""
    serializer = BytesSerializer()
    return AsyncElasticsearch(
        hosts=[_node_config(url, settings, connections) for url in settings.urls],
        node_class=BytesNode,
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
