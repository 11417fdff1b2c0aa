"""`next`: where a list goes on, as a text that the caller hands back.

It holds all that the next page needs, so any replica can give it. It is signed with the replicas' secret, and bound to
what was asked and by whom: under other filters, or for another caller, it is refused. Even so nothing in it widens what
a search may find: filters are made anew of principal and request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import zlib
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ...errors import InvalidRequest
from ...es.instance_list import Filter, Order, Sort
from ...principal import Principal

VERSION = 1
TOKEN_MAX_CHARACTERS = 7_000
_MAC_BYTES = 16
_BASE64, _PLAIN = b"b", b"p"
_INFLATED_MAX_BYTES = 262_144
_WAY_OUT = "leave `next` out to begin anew"

Relation = Literal["eq", "gte"]


class Asked(Struct, frozen=True):
    """A list as it was asked for. `times`: the words that the filter's times were made of, which a token pins."""

    which: Filter
    sort: Sort = "created"
    order: Order = "desc"
    times: tuple[str, ...] = ()


class Place(Struct, frozen=True, array_like=True):
    """Where one of the two lists goes on. `looked_at` counts live documents that were looked into; `over`: nowhere.

    `window_ms`: it is read in windows of time, the next one so wide; 0: as a whole.
    """

    after: tuple[Any, ...] | None = None
    looked_at: int = 0
    over: bool = False
    window_ms: int = 0


class Token(Struct, frozen=True, array_like=True):
    """`asked` is the fingerprint of what it belongs to. The times are those of the first page."""

    asked: bytes
    live_pit: bytes
    ended_pit: bytes
    live: Place
    ended: Place
    total: int
    relation: Relation
    since_ms: int | None = None
    until_ms: int | None = None
    finished_since_ms: int | None = None
    changed_since_ms: int | None = None

    def pinned(self, which: Filter) -> Filter:
        """The filter with the first page's times: `since=1h` is an hour before that."""
        return replace(which, since_ms=self.since_ms, until_ms=self.until_ms, finished_since_ms=self.finished_since_ms)


def fingerprint(principal: Principal, asked: Asked) -> bytes:
    """What binds a token to one list of one caller. How many are on a page is not in it."""
    which = replace(asked.which, since_ms=None, until_ms=None, finished_since_ms=None, changed_since_ms=None)
    caller = (principal.name, principal.tenant, principal.spaces)
    return hashlib.sha256(msgspec.json.encode((which, asked.sort, asked.order, asked.times, caller))).digest()[
        :_MAC_BYTES
    ]


def written(token: Token, secret: str) -> str:
    """The token as text."""
    payload = bytes([VERSION]) + zlib.compress(msgspec.msgpack.encode(token), 9)
    return base64.urlsafe_b64encode(_mac(payload, secret) + payload).decode().rstrip("=")


def read(text: str, principal: Principal, asked: Asked, secret: str) -> Token:
    """Raises: InvalidRequest for what no page gave, and for what belongs to another list or caller."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise _foreign() from None
    mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not payload or not hmac.compare_digest(mac, _mac(payload, secret)):
        raise _foreign()
    if payload[0] != VERSION:
        raise InvalidRequest(f"the query parameter next was given by another release; {_WAY_OUT}")
    try:
        inflated = zlib.decompressobj().decompress(payload[1:], _INFLATED_MAX_BYTES)
        token = msgspec.msgpack.decode(inflated, type=Token)
    except (zlib.error, msgspec.MsgspecError):
        raise _foreign() from None
    if not hmac.compare_digest(token.asked, fingerprint(principal, asked)):
        raise InvalidRequest(
            "the query parameter next belongs to a list with other filters, another order or of another caller;"
            f" ask with those of the page before, or {_WAY_OUT}"
        )
    return token


def packed(pit_id: str) -> bytes:
    """A point in time's id as it takes least room: Elasticsearch's are Base64, which does not compress."""
    try:
        raw = base64.b64decode(pit_id, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    is_base64 = base64.urlsafe_b64encode(raw).decode() == pit_id
    return _BASE64 + raw if is_base64 else _PLAIN + pit_id.encode()


def unpacked(packed_id: bytes) -> str:
    rest = packed_id[1:]
    return base64.urlsafe_b64encode(rest).decode() if packed_id[:1] == _BASE64 else rest.decode()


def _mac(payload: bytes, secret: str) -> bytes:
    return hmac.digest(secret.encode(), payload, "sha256")[:_MAC_BYTES]


def _foreign() -> InvalidRequest:
    return InvalidRequest(f"the query parameter next is none that a page gave; {_WAY_OUT}")
