"""Through every route: what is another tenant's or space's is not there, nothing happens to it, and its owner can see
in the audit trail who asked. (Invariant 25.)"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from leasehold.core.app.web.routes import ROUTES

from tests.kit.speaking import ADDRESS, Speaking
from tests.kit.virtual_time import run_virtual

from .ground import ASKING, COLLECTED_S, EVERYBODY, NEIGHBOUR, STRANGER, World, asked, like, world
from .table import TABLE


def on_a_world(test: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with world() as found:
            await test(found)

    run_virtual(main())


def of_kind(kind: str) -> list[str]:
    return [name for name, row in TABLE.items() if row.kind == kind]


def test_every_route_is_in_the_table_and_each_with_a_parameter_says_what_keeps_callers_apart() -> None:
    assert set(TABLE) == {route.name for route in ROUTES}
    for route in ROUTES:
        if "_instances/{id}" in route.path:
            assert TABLE[route.name].kind == "instance"
        if "_steps/{id}" in route.path:
            assert TABLE[route.name].kind == "step"
        assert (TABLE[route.name].kind == "operators") is route.operators
        assert (TABLE[route.name].kind == "open") is route.open


@pytest.mark.parametrize("where", ["at_owner", "at_other"])
@pytest.mark.parametrize("caller", [STRANGER, NEIGHBOUR], ids=["stranger", "neighbour"])
def test_an_instance_of_others_is_answered_as_one_that_does_not_exist(caller: dict[str, str], where: str) -> None:
    async def test(w: World) -> None:
        by: Speaking = getattr(w, where)
        before = w.everything()
        for name in of_kind("instance"):
            for id in w.instances:
                hidden, absent = await asked(by, name, id, caller), await asked(by, name, like(id), caller)
                assert hidden.status == 404, (name, hidden)
                assert hidden.head == absent.head, name
                assert hidden.body.replace(id.encode(), like(id).encode()) == absent.body, name
        assert w.everything() == before
        await asyncio.sleep(COLLECTED_S)
        seen = {(row["event"]["action"], row["details"]["id"]) for row in w.rows()}
        assert seen == {(name, id) for name in of_kind("instance") for id in w.instances}
        for row in w.rows():
            whose = "another tenant's" if caller is STRANGER else "another space's"
            assert row["event"] | {"action": ""} == {"action": "", "outcome": "failure", "reason": whose}
            assert row["user"] == {"name": "anonymous", "tenant": caller["tenant"], "space": [caller["space"]]}
            assert row["source"] == {"ip": ADDRESS}
            assert (row["tenant"], row["space"]) == ("acme", "soc")
            assert row["details"] == {"kind": "instance", "id": row["workflow"]["id"], "count": 1}

    on_a_world(test)


@pytest.mark.parametrize("where", ["at_owner", "at_other"])
def test_a_step_of_another_tenant_is_answered_as_one_that_does_not_exist(where: str) -> None:
    async def test(w: World) -> None:
        by: Speaking = getattr(w, where)
        before = w.everything()
        ended = f"{w.failed}~only~1"
        for name in of_kind("step"):
            for id in (w.step, ended):
                hidden, absent = await asked(by, name, id, STRANGER), await asked(by, name, like(id), STRANGER)
                assert hidden.status == 404, (name, hidden)
                assert hidden.head == absent.head, name
                assert hidden.body.replace(id.encode(), like(id).encode()) == absent.body, name
        assert w.everything() == before
        await asyncio.sleep(COLLECTED_S)
        seen = {(row["event"]["action"], row["details"]["kind"], row["workflow"]["id"]) for row in w.rows()}
        assert seen == {(name, "step", id) for name in of_kind("step") for id in (w.leased, w.failed)}
        assert {row["step"]["path"] for row in w.rows()} == {"only"}

    on_a_world(test)


def test_executors_serve_every_space_of_their_tenant() -> None:
    async def test(w: World) -> None:
        assert (await asked(w.at_other, "heartbeat", w.step, NEIGHBOUR)).status == 200
        assert (await asked(w.at_other, "complete", w.step, NEIGHBOUR)).status == 200
        assert (await asked(w.at_owner, "complete", f"{w.failed}~only~1", NEIGHBOUR)).status == 409
        await asyncio.sleep(COLLECTED_S)
        assert w.rows() == []

    on_a_world(test)


@pytest.mark.parametrize("where", ["at_owner", "at_other"])
def test_what_stands_in_a_body_is_answered_likewise(where: str) -> None:
    async def test(w: World) -> None:
        by: Speaking = getattr(w, where)
        before = w.everything()
        for name, id in (("report_many", w.step), ("migrate", w.leased), ("migrate", w.failed)):
            hidden, absent = await _inside(by, name, id), await _inside(by, name, like(id))
            assert hidden.replace(id.encode(), like(id).encode()) == absent, name
            assert b"404" in hidden or b"no live instance" in hidden
        assert w.everything() == before
        await asyncio.sleep(COLLECTED_S)
        assert {(row["event"]["action"], row["workflow"]["id"]) for row in w.rows()} == {
            ("release", w.leased),
            ("migrate", w.leased),
        }

    on_a_world(test)


async def _inside(by: Speaking, name: str, id: str) -> bytes:
    """What `name` answers to a body that holds the id."""
    target = {"report_many": "/_workflows/_steps/_bulk", "migrate": "/_workflows/one/_migrate"}[name]
    body: Any = {"reports": [{"step_id": id, "action": "release"}]}
    if name == "migrate":
        body = {"from": 1, "to": 2, "instance_id": id}
    said = await by.ask("POST", target, body, **STRANGER)
    assert said.status == 200, said
    return said.body


def test_a_name_of_another_tenant_is_one_that_nobody_has() -> None:
    async def test(w: World) -> None:
        before = w.everything()
        for name in of_kind("name"):
            if name == "put_definition":
                continue
            hidden, absent = (
                await asked(w.at_other, name, "mine", STRANGER),
                await asked(w.at_other, name, "none", STRANGER),
            )
            assert hidden.status == 404, (name, hidden)
            assert (hidden.head, hidden.body.replace(b"mine", b"none")) == (absent.head, absent.body), name
        assert w.everything() == before
        await asyncio.sleep(COLLECTED_S)
        # Everybody has names of their own: nothing of another's was asked for.
        assert w.rows() == []

    on_a_world(test)


def test_a_definition_of_the_same_name_is_another_one() -> None:
    async def test(w: World) -> None:
        theirs = b"name: mine\nversion: 1\nsteps:\n  - {name: quite-another, executor: x}\n"
        assert (await w.at_other.ask("PUT", "/_workflows/mine", theirs, **STRANGER)).status == 201
        for caller, step in ((STRANGER, "quite-another"), (NEIGHBOUR, "only")):
            said = await asked(w.at_owner, "get_definition", "mine", caller)
            assert step in said.json["source"]
        assert (await asked(w.at_other, "delete_definition", "mine", STRANGER)).status == 204
        assert (await asked(w.at_owner, "get_definition", "mine", NEIGHBOUR)).status == 200

    on_a_world(test)


@pytest.mark.parametrize("caller", [STRANGER, NEIGHBOUR], ids=["stranger", "neighbour"])
def test_lists_hold_nothing_of_others_and_bulk_orders_reach_nothing_of_theirs(caller: dict[str, str]) -> None:
    async def test(w: World) -> None:
        before = w.everything()
        definitions = (await asked(w.at_other, "list_definitions", "", caller)).json["definitions"]
        assert ("mine" in {one["name"] for one in definitions}) is (caller is NEIGHBOUR)
        assert (await asked(w.at_other, "list_recordings", "one", caller)).json["recordings"] == []
        assert (await asked(w.at_other, "list_failed", "", caller)).json["instances"] == []
        assert (await asked(w.at_other, "retry_failed", "", caller)).json["results"] == []
        moved = await w.at_other.ask("POST", "/_workflows/one/_migrate", {"from": 1, "to": 2}, **caller)
        assert moved.json["results"] == []
        assert w.everything() == before
        await asyncio.sleep(COLLECTED_S)
        assert w.rows() == []

    on_a_world(test)


def test_what_is_told_of_a_tenant_as_a_whole_is_told_to_itself_and_to_operators() -> None:
    async def test(w: World) -> None:
        for name in of_kind("tenant"):
            assert (await asked(w.at_other, name, "globex", STRANGER)).status == 200
            assert (await asked(w.at_other, name, "acme", STRANGER | {"roles": "operator"})).status == 200
            hidden, absent = [await asked(w.at_other, name, id, STRANGER) for id in ("acme", "acmf")]
            assert hidden.status == 404
            assert (hidden.head, hidden.body.replace(b"acme", b"acmf")) == (absent.head, absent.body), name
        listed = (await asked(w.at_other, "list_tenants", "", STRANGER)).json["tenants"]
        assert {one["tenant"] for one in listed} <= {"globex"}
        await asyncio.sleep(COLLECTED_S)
        # Whether there is a tenant of a name is nothing that anybody knows.
        expected = {(name, id) for name in of_kind("tenant") for id in ("acme", "acmf")}
        assert {(row["event"]["action"], row["tenant"]) for row in w.rows()} == expected

    on_a_world(test)


def test_claims_get_steps_of_their_own_tenant_alone() -> None:
    async def test(w: World) -> None:
        waiting = await w.start("one")
        assert (await asked(w.at_owner, "claim", "", STRANGER)).status == 204
        assert (await asked(w.at_owner, "claim", "", NEIGHBOUR)).json["workflow_id"] == waiting

    on_a_world(test)


@pytest.mark.parametrize("caller", [STRANGER, NEIGHBOUR], ids=["stranger", "neighbour"])
def test_whoever_is_no_operator_is_told_so_and_the_trail_of_the_caller_says_it(caller: dict[str, str]) -> None:
    async def test(w: World) -> None:
        before = w.everything()
        for name in of_kind("operators"):
            said = await asked(w.at_other, name, "00", caller)
            assert said.status == 403, name
            assert said.json["detail"] == f"the operation {name} needs the role operator; the caller has no role"
        assert w.everything() == before
        await asyncio.sleep(COLLECTED_S)
        assert {row["event"]["action"] for row in w.rows()} == set(of_kind("operators"))
        for row in w.rows():
            assert row["event"]["outcome"] == "failure"
            assert "needs the role operator" in row["event"]["reason"]
            assert (row["tenant"], row["space"]) == (caller["tenant"], caller["space"])
            assert row["details"]["kind"] in ("lane", "operation", "policy", "tenant")

    on_a_world(test)


def test_a_decision_that_is_for_others_to_make_is_in_the_trail() -> None:
    async def test(w: World) -> None:
        guarded = ASKING.replace("asking", "guarded").replace("true}", "true, approval: {approvers: [lead]}}")
        await w.owner.replica.put_definition(EVERYBODY, "guarded", guarded.encode())
        id = await w.start("guarded")
        caller = {"tenant": "acme", "space": "soc", "roles": "reader"}
        assert (await asked(w.at_other, "approve", id, caller)).status == 403
        assert (await asked(w.at_other, "approve", id, caller | {"roles": "lead"})).status == 200
        await asyncio.sleep(COLLECTED_S)
        (row,) = w.rows()
        assert (row["event"]["action"], row["details"]["id"], row["user"]["roles"]) == ("approve", id, ["reader"])
        assert (row["tenant"], row["space"]) == ("acme", "soc")

    on_a_world(test)


def test_a_web_page_of_another_site_is_in_the_trail_though_nobody_knows_who_it_was() -> None:
    async def test(w: World) -> None:
        said = await w.at_owner.ask("GET", "/_workflows", None, "Sec-Fetch-Site: cross-site")
        assert said.status == 403
        await asyncio.sleep(COLLECTED_S)
        (row,) = w.rows()
        assert (row["user"]["name"], row["tenant"], row["source"]) == ("unknown", "*", {"ip": ADDRESS})
        assert (row["event"]["action"], row["details"]["kind"]) == ("list_definitions", "operation")

    on_a_world(test)


def test_what_is_open_says_nothing_of_anybodys_work() -> None:
    async def test(w: World) -> None:
        for name in of_kind("open"):
            said = await asked(w.at_owner, name, "", STRANGER)
            assert said.status == 200, name
            # The OpenAPI document has a tenant of that name for an example.
            for word in (*w.instances, *(() if name == "openapi" else ("acme",))):
                assert word.encode() not in said.body, (name, word)

    on_a_world(test)


def test_the_owner_and_whoever_sees_all_find_everything() -> None:
    async def test(w: World) -> None:
        for caller in (
            {"tenant": "acme", "space": "soc"},
            {"tenant": "acme", "space": "*"},
            {"tenant": "*", "space": "*"},
        ):
            for id in w.instances:
                for name in ("get_instance", "explain", "get_calls", "get_recording", "replay"):
                    assert (await asked(w.at_other, name, id, caller)).status == 200, (name, caller)
            assert len((await asked(w.at_other, "list_failed", "", caller)).json["instances"]) == 1
        await asyncio.sleep(COLLECTED_S)
        assert w.rows() == []

    on_a_world(test)
