"""What a cluster has. A full one has everything; the embedded one lacks most modules.

Told by the modules that every node has loaded, in one request: asking by trying would write, and `GET /` is 405 on the
embedded server.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import BootstrapFailed, UnsupportedServer
from .requests import Requests, error_of

OLDEST_MAJOR = 8

_NODES = "/_nodes?filter_path=nodes.*.version,nodes.*.modules.name"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What may be used. `version` is the oldest node's."""

    version: str = ""
    painless: bool = False
    ilm: bool = False
    fleet: bool = False
    wildcard: bool = False
    data_streams: bool = False
    esql: bool = False

    def described(self) -> str:
        """One line for a log: what there is, and what there is not."""
        names = ("painless", "ilm", "fleet", "wildcard", "data_streams", "esql")
        have = [name for name in names if getattr(self, name)]
        lack = [name for name in names if not getattr(self, name)]
        return (
            f"Elasticsearch {self.version}, with {', '.join(have) or 'no extras'}, without {', '.join(lack) or 'none'}"
        )


async def detect(requests: Requests) -> Capabilities:
    """Ask the cluster what it has. Raises: BootstrapFailed; UnsupportedServer."""
    status, answer = await requests("GET", _NODES)
    if status != 200:
        error_type, reason = error_of(answer)
        advice = "its user needs the privilege `monitor`" if status in (401, 403) else ""
        raise BootstrapFailed(f"GET {_NODES}", status, f"{error_type} {reason}".strip(), advice)
    if not isinstance(answer, dict) or not answer.get("nodes"):
        raise UnsupportedServer("what answers there is no Elasticsearch: it names no nodes; check the address")
    return capabilities_of(answer["nodes"].values())


def capabilities_of(nodes: Iterable[Mapping[str, Any]]) -> Capabilities:
    """What every one of these nodes has, from their entries in `GET /_nodes`. Raises: UnsupportedServer."""
    nodes = list(nodes)
    version = min((str(node["version"]) for node in nodes), key=_comparable)
    if _comparable(version)[0] < OLDEST_MAJOR:
        raise UnsupportedServer(f"found Elasticsearch {version}; {OLDEST_MAJOR}.x or newer is needed")
    modules = set.intersection(*({str(module["name"]) for module in node.get("modules", ())} for node in nodes))
    return Capabilities(
        version=version,
        painless="lang-painless" in modules,
        ilm="x-pack-ilm" in modules,
        fleet="x-pack-fleet" in modules,
        wildcard="wildcard" in modules or "x-pack-wildcard" in modules,
        data_streams="data-streams" in modules or "x-pack-data-streams" in modules,
        esql="x-pack-esql" in modules,
    )


def _comparable(version: str) -> tuple[int, ...]:
    numbers = version.partition("-")[0].split(".")
    return tuple(int(number) if number.isdigit() else 0 for number in numbers)
