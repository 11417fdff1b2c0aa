"""Every route, and how it keeps tenants and spaces apart: what the tests of this folder go through.

A new route belongs in here: `test_routes` fails until it is.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

DEFINITION = b"name: one\nversion: 1\nsteps:\n  - {name: only, executor: work}\n"

Kind = Literal["instance", "step", "inside", "name", "list", "tenant", "claim", "operators", "open"]
"""What keeps callers apart.

`instance`: the id of an instance stands in the path; whoever may not see it gets 404. `step`: likewise with a step's,
which is bound to the tenant alone. `inside`: ids stand in the body, each with a result of its own. `name`: the path
names something of the caller's own tenant, so another's is not even asked for. `list`: only what the caller may see is
in it. `tenant`: the id is a tenant's, the caller's own or an operator asks. `claim`: steps of the caller's tenant.
`operators`: for their role, whatever the tenant. `open`: for anybody.
"""


class Row(Struct, frozen=True):
    """One route's. `body` and `query` make a request that would be carried out if the caller might.

    `{id}` in them is the id that is asked for.
    """

    kind: Kind
    body: Any = None
    query: str = ""


_ERROR = {"error": {"type": "boom", "message": "it broke"}}

TABLE: dict[str, Row] = {
    "list_definitions": Row("list"),
    "put_definition": Row("name", DEFINITION),
    "get_definition": Row("name"),
    "delete_definition": Row("name"),
    "list_versions": Row("name"),
    "activate": Row("name", {"version": 1}),
    "rollback": Row("name"),
    "begin_canary": Row("name", {"version": 1, "percent": 10.0}),
    "end_canary": Row("name"),
    "migrate": Row("inside", {"from": 1, "to": 2, "instance_id": "{id}"}),
    "start": Row("name"),
    "start_many": Row("inside", {"starts": [{"workflow": "one"}]}),
    "claim": Row("claim", query="capability=work"),
    "report_many": Row("inside", {"reports": [{"step_id": "{id}", "action": "release"}]}),
    "complete": Row("step", {"result": 1}),
    "fail": Row("step", _ERROR),
    "heartbeat": Row("step", {"progress": 0.5}),
    "release": Row("step"),
    "get_instance": Row("instance"),
    "explain": Row("instance"),
    "get_calls": Row("instance"),
    "approve": Row("instance"),
    "reject": Row("instance"),
    "signal": Row("instance", {"payload": 1}),
    "pause": Row("instance"),
    "resume": Row("instance"),
    "skip": Row("instance", query="step=only"),
    "retry": Row("instance"),
    "cancel": Row("instance"),
    "terminate": Row("instance"),
    "replay": Row("instance"),
    "replay_under": Row("instance", DEFINITION),
    "get_recording": Row("instance"),
    "list_recordings": Row("list"),
    "search": Row("list"),
    "list_failed": Row("list"),
    "retry_failed": Row("list"),
    "list_tenants": Row("list"),
    "get_tenant": Row("tenant"),
    "get_usage": Row("tenant"),
    "put_tenant": Row("operators"),
    "delete_tenant": Row("operators"),
    "ilm_status": Row("operators"),
    "get_policy": Row("operators"),
    "put_policy": Row("operators"),
    "reset_policy": Row("operators"),
    "list_audit": Row("list"),
    "export_audit": Row("operators"),
    "list_lanes": Row("operators"),
    "add_lanes": Row("operators"),
    "drain_lane": Row("operators"),
    "remove_lane": Row("operators"),
    "list_replicas": Row("operators"),
    "doctor": Row("operators"),
    "doctor_fix": Row("operators"),
    "metrics": Row("open"),
    "healthz": Row("open"),
    "readyz": Row("open"),
    "openapi": Row("open"),
}
