"""Identifiers: an instance's id carries its lane, a step's id names one lease."""

from __future__ import annotations

import re
from random import Random
from urllib.parse import quote, unquote

from msgspec import Struct

_UNSAFE = re.compile(r"[^A-Za-z0-9._:-]")
_LOOP_INDEX = re.compile(r":(\d+)")
_INSTANCE = re.compile(r"(\d{2,4})-[0-9a-f]{28}", re.ASCII)


class LeaseName(Struct, frozen=True, gc=False):
    """What a `step_id` says: the step's run path in an instance, and the token of the lease."""

    instance_id: str
    path: str
    token: int


def new_instance_id(lane: str, now_ms: int, random: Random) -> str:
    """`03-<48 bits of time><64 random bits>` in hexadecimal: time-ordered within its lane."""
    return f"{lane}-{now_ms:012x}{random.getrandbits(64):016x}"


def new_instance_ids(lane: str, now_ms: int, random: Random, count: int) -> list[str]:
    """Many at once: one call of the random source, which may be the operating system's."""
    bits = f"{random.getrandbits(64 * count):0{16 * count}x}" if count else ""
    return [f"{lane}-{now_ms:012x}{bits[at : at + 16]}" for at in range(0, 16 * count, 16)]


def lane_of(instance_id: str) -> str | None:
    """The lane that an instance id names; None when it is no instance id at all."""
    match = _INSTANCE.fullmatch(instance_id)
    return match[1] if match else None


def step_id(instance_id: str, path: str, token: int) -> str:
    """URL-safe: the loop index `[17]` of a run path becomes `:17`, which no step name can hold."""
    if "[" in path:
        path = path.replace("[", ":").replace("]", "")
    if _UNSAFE.search(path):  # the cases of a switch have free names
        path = quote(path, safe=":")
    return f"{instance_id}~{path}~{token}"


def parse_step_id(text: str) -> LeaseName | None:
    """The lease that a `step_id` names; None when it is no step id."""
    parts = text.split("~")
    if len(parts) != 3 or not parts[2].isascii() or not parts[2].isdigit() or len(parts[2]) > 18:
        return None
    instance_id, path, token = parts
    if "%" in path:
        path = unquote(path)
    if ":" in path:
        path = _LOOP_INDEX.sub(r"[\1]", path)
    return LeaseName(instance_id, path, int(token))
