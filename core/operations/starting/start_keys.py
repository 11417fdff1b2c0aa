"""What `idempotency`, `concurrency` and `memory` of a definition make of a start, and idempotency keys. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec import Struct

from ....claim.wire import StartBody
from ....definitions.plan import Plan
from ....definitions.templates import Template, TemplateError
from ...errors import InvalidRequest
from ...lanes.groups.slots import GroupName
from ...lanes.remembering import MemoryName
from ...principal import realm_of

_canonical = msgspec.json.Encoder(order="sorted")

TEXT_MAX_CHARACTERS = 1_024


class StartKey(Struct, frozen=True):
    """An idempotency key as a start has it. `id` names its document, `fingerprint` the request that it stands for.

    `words` is what messages call it.
    """

    id: str
    fingerprint: str
    words: str


class StartTexts(Struct, frozen=True):
    """What a start belongs to, beside itself."""

    key: StartKey | None = None
    group: GroupName | None = None
    memory: MemoryName | None = None


_NOTHING = StartTexts()


def start_texts(plan: Plan, tenant: str, space: str, body: StartBody, inputs: Any, header: str | None) -> StartTexts:
    """All of them are names within one space of one tenant: the same texts in another one are others.

    A key given with the request wins over the definition's.

    A rendered key stands for the workflow and itself alone: what else the request says does not make it another one.
    Raises: InvalidRequest.
    """
    if header is None and plan.idempotency is None and plan.concurrency is None and plan.memory_key is None:
        return _NOTHING
    context, realm = {"inputs": inputs, "trigger": body.trigger}, realm_of(tenant, space)
    key = group = memory = None
    if header is not None:
        key = StartKey(_id(realm, header), _fingerprint(plan.name, body), f"idempotency key {header!r}")
    elif plan.idempotency is not None:
        text = _text(plan, "idempotency", plan.idempotency, context)
        # No header holds a zero character, so none names this key.
        name = f"{plan.name}\0{text}"
        words = f"idempotency key {text!r} of workflow {plan.name}"
        key = StartKey(_id(realm, name), hashlib.sha256(name.encode()).hexdigest(), words)
    if plan.concurrency is not None:
        group = GroupName(tenant, plan.name, _text(plan, "concurrency.key", plan.concurrency.key, context), space)
    if plan.memory_key is not None:
        memory = MemoryName(tenant, plan.name, _text(plan, "memory.key", plan.memory_key, context), space)
    return StartTexts(key, group, memory)


def _text(plan: Plan, what: str, template: Template, context: dict[str, Any]) -> str:
    where = f"`{what}` of workflow {plan.name} (version {plan.version})"
    try:
        value = template.render(context)
    except TemplateError as failure:
        raise InvalidRequest(
            f"{where} can't be made of this start: {failure}; give what it speaks of, or have the template say"
            " `| default(...)`"
        ) from failure
    text = value if isinstance(value, str) else _number(value)
    if text is None or not text.strip():
        found = (
            "an empty text"
            if isinstance(value, str)
            else f"{type(value).__name__} {msgspec.json.encode(value)[:80].decode(errors='replace')}"
        )
        raise InvalidRequest(f"{where} gives {found}; a text or a number is allowed")
    if len(text) > TEXT_MAX_CHARACTERS:
        raise InvalidRequest(
            f"{where} gives a text of {len(text)} characters; at most {TEXT_MAX_CHARACTERS} are allowed (| hash makes a"
            " long one short)"
        )
    return text


def _number(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return msgspec.json.encode(value).decode()


def _id(realm: str, key: str) -> str:
    return hashlib.sha256(f"{realm}\0{key}".encode()).hexdigest()


def _fingerprint(name: str, body: StartBody) -> str:
    request = (name, body.version, body.params, body.trigger, body.labels, body.correlation_id)
    return hashlib.sha256(_canonical.encode(request)).hexdigest()
