"""What stands in history and the trail, row by row over all concrete indices, and whether it is what clients know."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from leasehold.core.app.commands.audit import exported
from leasehold.core.app.commands.remote import Remote
from leasehold.core.audit.checking import checked
from leasehold.core.audit.verify import Report
from msgspec import Struct

from tests.kit.served import Caller, calling

from ..ground import Elasticsearch
from .load import TENANT, Ledger


class Row(Struct):
    index: str
    id: str
    source: dict[str, Any]


async def rows_of(store: Elasticsearch, family: str) -> list[Row]:
    """Of each index by itself: a row that stands in two shows twice."""
    behind, all_there_are = await asyncio.gather(
        store.send("GET", f"{family}/_alias"), store.send("GET", f"{family}-*/_alias")
    )
    assert behind.keys() == all_there_are.keys()
    (_,) = [index for index, one in behind.items() if one["aliases"][f"{store.prefix}-{family}"].get("is_write_index")]
    rows = []
    for index in behind:
        hits = await store.hits(index.removeprefix(f"{store.prefix}-"))
        rows += [Row(hit["_index"], hit["_id"], hit["_source"]) for hit in hits]
    return rows


def doubled(rows: Iterable[Row]) -> dict[str, list[str]]:
    """The indices of each id that more than one row has."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[row.id].append(row.index)
    return {id: indices for id, indices in found.items() if len(indices) > 1}


def wrong_instances(rows: list[Row], ledger: Ledger) -> dict[str, Any]:
    """Every acknowledged start is one row; what nobody knows of was started by a request of unknown outcome."""
    ids = {row.id for row in rows}
    unknown = ids - ledger.started
    cancelled = {row.id for row in rows if row.source["status"] == "cancelled"}
    others = Counter(row.source["status"] for row in rows if row.id not in cancelled)
    return _present(
        {
            "instances that stand twice": doubled(rows),
            "acknowledged starts that are lost": ledger.started - ids,
            "instances that nobody started": unknown if len(unknown) > ledger.doubtful_starts else (),
            "instances that should be cancelled or not": cancelled ^ ledger.cancelled,
            "statuses that nothing explains": others.keys() - {"succeeded"},
        }
    )


def wrong_steps(rows: list[Row], instances: list[Row], ledger: Ledger) -> dict[str, Any]:
    """Every attempt that an instance counts has one row, and every acknowledged one is among them."""
    outcomes = {row.id: row.source["step"]["outcome"] for row in rows}
    acknowledged = {**dict.fromkeys(ledger.succeeded, "succeeded"), **dict.fromkeys(ledger.failed, "failed")}
    have = Counter(row.source["workflow"]["id"] for row in rows)
    counted = {row.id: row.source["instance"].get("attempts", 0) for row in instances}
    return _present(
        {
            "attempts that stand twice": doubled(rows),
            "acknowledged ends without their row": {
                id: outcomes.get(id) for id, outcome in acknowledged.items() if outcomes.get(id) != outcome
            },
            "rows and attempts": {id: (have[id], count) for id, count in counted.items() if have[id] != count},
            "attempts of no instance": have.keys() - counted.keys(),
        }
    )


def wrong_audit(rows: list[Row], instances: list[Row], ledger: Ledger) -> dict[str, Any]:
    """Each instance that there is is named by one row of a start, each acknowledged cancel by one row."""
    starts, cancels = _named(rows, "start"), _named(rows, "cancel")
    ids = [row.id for row in instances]
    return _present(
        {
            "rows that stand twice": doubled(rows),
            "instances not started once": {id: starts[id] for id in ids if len(starts[id]) != 1},
            "acknowledged cancels not told once": {id: cancels[id] for id in ledger.cancelled if len(cancels[id]) != 1},
        }
    )


def _present(found: dict[str, Any]) -> dict[str, Any]:
    return {what: of for what, of in found.items() if of}


def _named(rows: list[Row], action: str) -> defaultdict[str, list[tuple[str, str]]]:
    """Index and id of the rows of this action, by the instances that they name."""
    found: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        if row.source["event"]["action"] == action:
            ids = row.source["workflow"]["id"]
            for id in [ids] if isinstance(ids, str) else ids:
                found[id].append((row.index, row.id))
    return found


async def listed(url: str) -> list[tuple[str, str]]:
    """Id and status of all instances, by the search, in pages."""
    found: list[tuple[str, str]] = []
    async with calling(url) as caller:
        page = await _page(caller, "")
        while True:
            found += [(one["instance_id"], one["status"]) for one in page["instances"]]
            if "next" not in page:
                return found
            page = await _page(caller, f"&next={page['next']}")


async def _page(caller: Caller, more: str) -> Any:
    path = f"/_workflows/_search?size=200&tenant={TENANT}{more}"
    status, page = await caller.send("GET", path, headers={"X-Leasehold-Tenant": TENANT})
    assert status == 200, page
    return page


async def verified(url: str) -> Report:
    """What `leasehold audit verify` says."""
    return await asyncio.to_thread(lambda: checked(exported(Remote(url, "*", "*"))))
