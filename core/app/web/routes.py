"""The route table: the single source of what is served and of the OpenAPI document."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from msgspec import Struct

from ....claim.wire import (
    Acknowledged,
    CallsView,
    ClaimedStep,
    ClaimedSteps,
    CompleteBody,
    DecisionBody,
    DefinitionList,
    DefinitionStored,
    DefinitionView,
    Explanation,
    FailBody,
    FailedList,
    HeartbeatAnswer,
    HeartbeatBody,
    InstanceView,
    ReasonBody,
    RecordingList,
    RecordingView,
    ReplayView,
    RetryBody,
    RetryResults,
    SignalBody,
    StartAnswer,
    StartBody,
    StartItems,
    StartResults,
    StepReportResults,
    StepReports,
)
from ....claim.wire.audit import AuditPage
from ....claim.wire.doctor import DoctorView
from ....claim.wire.lifecycle import LifecycleView, PolicyChanged, PolicyView
from ....claim.wire.search import InstanceList
from ....claim.wire.tenants import TenantList, TenantView
from ....claim.wire.usage import UsageView
from ....claim.wire.versions import ActivateBody, CanaryBody, MigrateBody, MigrationResults, RollbackBody, VersionsView
from ...operations.lanes import LaneView
from .operations import (
    on_audit,
    on_definitions,
    on_doctor,
    on_failed,
    on_instances,
    on_lifecycle,
    on_replays,
    on_search,
    on_server,
    on_steps,
    on_tenants,
    on_usage,
    on_versions,
)
from .parameters import NoParameters
from .surface import JSON, YAML, Reply

Operation = Callable[[Any, Any, Any, Any], Awaitable[Reply]]
"""(surface, principal, parameters, body) -> reply; each takes the types that its route names."""


Size = Literal["one", "many", "definition", "tenant", "policy"]


class Answer(Struct, frozen=True):
    """One good answer. Several `kinds` mean: one of them. In media types other than JSON it is text.

    `identifies`: the field that holds the id of what was made, and how the paths of the operations on it begin.
    """

    status: int
    description: str
    kinds: tuple[type[Struct], ...] = ()
    media_types: tuple[str, ...] = ()
    identifies: tuple[str, str] | None = None


class Route(Struct, frozen=True):
    """One operation. `name` is the OpenAPI `operationId`; `problems` are the statuses of its problem documents.

    `size` bounds the body: `one` payload with its frame, `many` of them, or one `definition`, document of a `tenant` or
    `policy` (YAML, or JSON holding the same). `open`: answered whoever asks, and whatever the principal's headers hold.
    `operators`: for them alone.
    """

    method: str
    path: str
    name: str
    tag: Literal["definitions", "instances", "steps", "tenants", "server"]
    summary: str
    operation: Operation
    answers: tuple[Answer, ...]
    problems: tuple[int, ...] = ()
    parameters: type[Struct] = NoParameters
    body: type[Struct] | None = None
    body_required: bool = False
    size: Size = "one"
    open: bool = False
    operators: bool = False


def _json(status: int, description: str, *kinds: type[Struct], identifies: tuple[str, str] | None = None) -> Answer:
    return Answer(status, description, kinds, (JSON,), identifies)


_AN_INSTANCE = ("instance_id", "/_workflows/_instances/{id}")
_A_LEASE = ("step_id", "/_workflows/_steps/{id}")


_NO_CONTENT = Answer(204, "Done; there is nothing to say.")
_ACKNOWLEDGED = (_json(200, "The report stands in Elasticsearch.", Acknowledged),)
_INSTANCE = (_json(200, "The instance, after the change.", InstanceView),)
_VERSIONS = (_json(200, "The versions, after the change.", VersionsView),)
_STEP_PROBLEMS = (403, 404, 409)
_INSTANCE_PROBLEMS = (403, 404, 409, 422)

ROUTES: tuple[Route, ...] = (
    Route(
        "GET", "/_workflows", "list_definitions", "definitions", "List the workflows that the caller may see.",
        on_definitions.list_all, (_json(200, "Every name, with its versions.", DefinitionList),), (403,),
    ),
    Route(
        "PUT", "/_workflows/{name}", "put_definition", "definitions",
        "Store a definition version and make it the active one, unless told not to. A stored version never changes.",
        on_definitions.put,
        (
            _json(201, "Stored, and active as asked for.", DefinitionStored),
            _json(200, "This very version was stored before; it is active as asked for.", DefinitionStored),
        ),
        (403, 409, 422), on_definitions.PutParameters, body_required=True, size="definition",
    ),
    Route(
        "GET", "/_workflows/{name}", "get_definition", "definitions",
        "Read a definition; as YAML where `Accept` asks for it.",
        on_definitions.get, (Answer(200, "The definition.", (DefinitionView,), (JSON, YAML)),),
        (403, 404), on_definitions.DefinitionVersionParameters,
    ),
    Route(
        "DELETE", "/_workflows/{name}", "delete_definition", "definitions",
        "Take a name out of use. Running instances go on with their stored version.",
        on_definitions.delete, (_NO_CONTENT,), (403, 404, 409), on_definitions.DefinitionParameters,
    ),
    Route(
        "GET", "/_workflows/{name}/_versions", "list_versions", "definitions",
        "The versions of a workflow, which of them is active, and what happened to them.",
        on_versions.get, _VERSIONS, (403, 404), on_definitions.DefinitionParameters,
    ),
    Route(
        "POST", "/_workflows/{name}/_activate", "activate", "definitions",
        "Make a stored version the active one. Running instances go on with theirs.",
        on_versions.activate, _VERSIONS, (403, 404, 409, 422), on_definitions.DefinitionParameters, ActivateBody, True,
    ),
    Route(
        "POST", "/_workflows/{name}/_rollback", "rollback", "definitions",
        "Make the version active that was active before.",
        on_versions.roll_back, _VERSIONS, (403, 404, 409, 422), on_definitions.DefinitionParameters, RollbackBody,
    ),
    Route(
        "POST", "/_workflows/{name}/_canary", "begin_canary", "definitions",
        "Give a stored version to some of the starts; it is removed by itself when it fails too often.",
        on_versions.begin_canary, _VERSIONS, (403, 404, 409, 422), on_definitions.DefinitionParameters, CanaryBody,
        True,
    ),
    Route(
        "DELETE", "/_workflows/{name}/_canary", "end_canary", "definitions",
        "No start gets the canary any more; to promote it activate it.",
        on_versions.end_canary, _VERSIONS, (403, 404, 409), on_definitions.DefinitionParameters,
    ),
    Route(
        "POST", "/_workflows/{name}/_migrate", "migrate", "definitions",
        "Let live instances go on under another version, where a replay proves that their past would be the same.",
        on_versions.migrate, (_json(200, "What became of each; `next`: ask for more.", MigrationResults),),
        (403, 404, 422), on_definitions.DefinitionParameters, MigrateBody, True,
    ),
    Route(
        "POST", "/_workflows/{name}/_start", "start", "instances", "Start an instance, once for each idempotency key.",
        on_instances.start,
        (
            _json(201, "Started.", StartAnswer, identifies=_AN_INSTANCE),
            _json(200, "The key had started this instance before.", StartAnswer, identifies=_AN_INSTANCE),
        ),
        (403, 404, 409, 422, 429), on_instances.StartParameters, StartBody,
    ),
    Route(
        "POST", "/_workflows/_start", "start_many", "instances", "Start many instances in one request.",
        on_instances.start_many, (_json(200, "One result a start, in order.", StartResults),),
        (403, 422, 429), on_instances.StartManyParameters, StartItems, True, "many",
    ),
    Route(
        "POST", "/_workflows/_steps/_claim", "claim", "steps", "Lease ready steps, waiting for a first one.",
        on_steps.claim,
        (
            _json(200, "A step; with `max`, a list of steps.", ClaimedStep, ClaimedSteps, identifies=_A_LEASE),
            Answer(204, "Nothing came within `wait`."),
        ),
        (403, 422, 429), on_steps.ClaimParameters,
    ),
    Route(
        "POST", "/_workflows/_steps/_bulk", "report_many", "steps", "Complete, fail, renew and release many leases.",
        on_steps.report_many, (_json(200, "One result a report, in order.", StepReportResults),),
        (403, 422), NoParameters, StepReports, True, "many",
    ),
    Route(
        "POST", "/_workflows/_steps/{id}/_complete", "complete", "steps", "End an attempt with its result.",
        on_steps.complete, _ACKNOWLEDGED, (*_STEP_PROBLEMS, 422), on_steps.LeaseParameters, CompleteBody,
    ),
    Route(
        "POST", "/_workflows/_steps/{id}/_fail", "fail", "steps", "End an attempt with an error.",
        on_steps.fail, _ACKNOWLEDGED, (*_STEP_PROBLEMS, 422), on_steps.LeaseParameters, FailBody, True,
    ),
    Route(
        "POST", "/_workflows/_steps/{id}/_heartbeat", "heartbeat", "steps", "Renew a lease; hear of a cancellation.",
        on_steps.heartbeat, (_json(200, "Renewed.", HeartbeatAnswer),), (*_STEP_PROBLEMS, 422),
        on_steps.LeaseParameters, HeartbeatBody,
    ),
    Route(
        "POST", "/_workflows/_steps/{id}/_release", "release", "steps", "Give a lease back without using an attempt.",
        on_steps.release, _ACKNOWLEDGED, _STEP_PROBLEMS, on_steps.LeaseParameters,
    ),
    Route(
        "GET", "/_workflows/_instances/{id}", "get_instance", "instances", "Read an instance, live or finished.",
        on_instances.get, (_json(200, "The instance.", InstanceView),), (403, 404), on_instances.InstanceParameters,
    ),
    Route(
        "GET", "/_workflows/_instances/{id}/_explain", "explain", "instances",
        "Say why an instance waits: the exact cause of each open step, and what to do about it.",
        on_instances.explain, (_json(200, "The causes.", Explanation),), (403, 404), on_instances.InstanceParameters,
    ),
    Route(
        "GET", "/_workflows/_instances/{id}/_calls", "get_calls", "instances",
        "Read the tool and model calls that executors reported, attempt by attempt.",
        on_instances.calls, (_json(200, "The calls.", CallsView),), (403, 404), on_instances.CallsParameters,
    ),
    Route(
        "POST", "/_workflows/_instances/{id}/_approve", "approve", "instances", "Approve the step that waits for it.",
        on_instances.approve, _INSTANCE, _INSTANCE_PROBLEMS, on_instances.DecisionParameters, DecisionBody,
    ),
    Route(
        "POST", "/_workflows/_instances/{id}/_reject", "reject", "instances", "Reject the step that waits for it.",
        on_instances.reject, _INSTANCE, _INSTANCE_PROBLEMS, on_instances.DecisionParameters, DecisionBody,
    ),
    Route(
        "POST", "/_workflows/_instances/{id}/_signal/{name}", "signal", "instances",
        "Send a signal: it wakes who waits for it, and is kept where nobody does yet.",
        on_instances.signal, _INSTANCE, (*_INSTANCE_PROBLEMS, 429), on_instances.SignalParameters, SignalBody,
    ),
    Route(
        "POST", "/_workflows/_instances/{id}/_pause", "pause", "instances",
        "Pause an instance: nothing of it can be claimed; attempts in progress go on.",
        on_instances.pause, _INSTANCE, _INSTANCE_PROBLEMS, on_instances.InstanceParameters, ReasonBody,
    ),
    Route(
        "POST", "/_workflows/_instances/{id}/_resume", "resume", "instances", "End a pause.",
        on_instances.resume, _INSTANCE, _INSTANCE_PROBLEMS, on_instances.InstanceParameters, ReasonBody,
    ),
    Route(
        "POST", "/_workflows/_instances/{id}/_skip", "skip", "instances",
        "Skip a step: it counts as done without a result, and what of it is under way ends.",
        on_instances.skip, _INSTANCE, _INSTANCE_PROBLEMS, on_instances.StepParameters, ReasonBody,
    ),
    Route(
        "POST", "/_workflows/_instances/{id}/_retry", "retry", "instances",
        "Do the failed steps again, or one step and what follows, or everything; also brings an ended instance back.",
        on_instances.retry, _INSTANCE, _INSTANCE_PROBLEMS, on_instances.InstanceParameters, RetryBody,
    ),
    Route(
        "POST", "/_workflows/_instances/{id}/_cancel", "cancel", "instances",
        "Cancel an instance: what is open ends, what was done is undone where the definition says how.",
        on_instances.cancel, _INSTANCE, _INSTANCE_PROBLEMS, on_instances.InstanceParameters, ReasonBody,
    ),
    Route(
        "POST", "/_workflows/_instances/{id}/_terminate", "terminate", "instances",
        "End an instance at once, without compensation.",
        on_instances.terminate, _INSTANCE, _INSTANCE_PROBLEMS, on_instances.InstanceParameters, ReasonBody,
    ),
    Route(
        "GET", "/_workflows/_instances/{id}/_replay", "replay", "instances",
        "Run the instance's events through the machine once more; where would its past have been another?",
        on_replays.replay, (_json(200, "How the replay went.", ReplayView),), (403, 404), on_replays.ReplayParameters,
    ),
    Route(
        "POST", "/_workflows/_instances/{id}/_replay", "replay_under", "instances",
        "The same under the definition in the body, which is not stored.",
        on_replays.replay_under, (_json(200, "How the replay went.", ReplayView),), (403, 404, 422),
        on_instances.InstanceParameters, body_required=True, size="definition",
    ),
    Route(
        "GET", "/_workflows/_instances/{id}/_recording", "get_recording", "instances",
        "All that a replay of the instance needs.",
        on_replays.recording, (_json(200, "The recording.", RecordingView),), (403, 404),
        on_instances.InstanceParameters,
    ),
    Route(
        "GET", "/_workflows/{name}/_recordings", "list_recordings", "instances",
        "The recordings of the instances of a workflow that have ended, newest first.",
        on_replays.recordings, (_json(200, "One page.", RecordingList),), (403, 422), on_replays.RecordingsParameters,
    ),
    Route(
        "GET", "/_workflows/_search", "search", "instances",
        "List instances, live and finished ones as one list, by what they are now.",
        on_search.search, (_json(200, "One page; `next`: ask for the next one.", InstanceList),), (403, 410, 422),
        on_search.SearchParameters,
    ),
    Route(
        "GET", "/_workflows/_failed", "list_failed", "instances",
        "List the instances that ended `failed` and were not brought back since, newest first.",
        on_failed.failed, (_json(200, "One page.", FailedList),), (403, 422), on_failed.FailedParameters,
    ),
    Route(
        "POST", "/_workflows/_failed/_retry", "retry_failed", "instances",
        "Bring back instances that ended `failed`, the newest first.",
        on_failed.retry_failed, (_json(200, "One result an instance.", RetryResults),), (403, 422),
        NoParameters, on_failed.FailedRetryBody,
    ),
    Route(
        "GET", "/_workflows/_tenants", "list_tenants", "tenants",
        "The tenants that have a document, by name; a caller without the role sees its own.",
        on_tenants.page, (_json(200, "One page.", TenantList),), (403,), on_tenants.TenantsParameters,
    ),
    Route(
        "GET", "/_workflows/_tenants/{id}", "get_tenant", "tenants",
        "Read a tenant's document, and what is in force for it on the replica that answers; `*`: the deployment's.",
        on_tenants.get, (_json(200, "The document, if there is one.", TenantView),), (403, 404),
        on_tenants.TenantParameters,
    ),
    Route(
        "PUT", "/_workflows/_tenants/{id}", "put_tenant", "tenants",
        "Write a tenant's document as a whole. Running replicas obey within 2 seconds.",
        on_tenants.put,
        (
            _json(201, "There was none before.", TenantView),
            _json(200, "It replaces what stood, or is the same.", TenantView),
        ),
        (403, 409, 422), on_tenants.TenantChangeParameters, body_required=True, size="tenant", operators=True,
    ),
    Route(
        "DELETE", "/_workflows/_tenants/{id}", "delete_tenant", "tenants",
        "Delete a tenant's document: what the deployment's says of tenants without one is in force.",
        on_tenants.delete, (_NO_CONTENT,), (403, 404, 409), on_tenants.TenantChangeParameters, operators=True,
    ),
    Route(
        "GET", "/_workflows/_tenants/{id}/_usage", "get_usage", "tenants",
        "What a tenant has used, by UTC days. A caller without the role sees its own.",
        on_usage.usage, (Answer(200, "The rows, and in JSON their sum.", (UsageView,), (JSON, on_usage.CSV)),),
        (403, 404, 422), on_usage.UsageParameters,
    ),
    Route(
        "GET", "/_workflows/_ilm", "ilm_status", "server",
        "How history ages: by what, under which policies, and how far each index is.",
        on_lifecycle.status, (_json(200, "All of it.", LifecycleView),), (403,), operators=True,
    ),
    Route(
        "GET", "/_workflows/_ilm/{family}", "get_policy", "server",
        "The policy that is in force for one family of history.",
        on_lifecycle.get, (_json(200, "The policy.", PolicyView),), (403, 404), on_lifecycle.FamilyParameters,
        operators=True,
    ),
    Route(
        "PUT", "/_workflows/_ilm/{family}", "put_policy", "server",
        "Put another policy in force, in Elastic's own shape; 409 where the audit trail would be kept less long.",
        on_lifecycle.put, (_json(200, "The policy that is in force then.", PolicyChanged),), (403, 404, 409, 422),
        on_lifecycle.PolicyChangeParameters, body_required=True, size="policy", operators=True,
    ),
    Route(
        "DELETE", "/_workflows/_ilm/{family}", "reset_policy", "server",
        "Put the default policy in force; 409 where the audit trail would be kept less long.",
        on_lifecycle.delete, (_json(200, "The policy that is in force then.", PolicyChanged),), (403, 404, 409),
        on_lifecycle.PolicyChangeParameters, operators=True,
    ),
    Route(
        "GET", "/_workflows/_audit", "list_audit", "server",
        "Who did what, when, from where: the rows of the audit trail that the caller may see, the newest first.",
        on_audit.page, (_json(200, "One page; `next`: ask for more.", AuditPage),), (403, 422),
        on_audit.AuditParameters,
    ),
    Route(
        "GET", "/_workflows/_audit/_export", "export_audit", "server",
        "The whole audit trail with its heads, as lines of JSON that can be verified; for operators of all tenants.",
        on_audit.export, (Answer(200, "One page of lines.", (), (on_audit.NDJSON,)),), (403, 409, 422),
        on_audit.ExportParameters, operators=True,
    ),
    Route(
        "GET", "/_workflows/_doctor", "doctor", "server",
        "What disagrees in the installation, each with the way out.",
        on_doctor.examine, (_json(200, "What was found; nothing, when it is healthy.", DoctorView),), (403,),
        operators=True,
    ),
    Route(
        "POST", "/_workflows/_doctor/_fix", "doctor_fix", "server",
        "Repair what can be repaired without losing anything; each repair is a row of the audit trail.",
        on_doctor.fix, (_json(200, "What was found, what was done, and what was left and why.", DoctorView),), (403,),
        operators=True,
    ),
    Route(
        "GET", "/_workflows/_lanes", "list_lanes", "server", "The lanes, and who owns them.",
        on_server.lanes, (_json(200, "Every lane.", on_server.LaneList),), (403,), operators=True,
    ),
    Route(
        "POST", "/_workflows/_lanes", "add_lanes", "server", "Add lanes; replicas take them while they run.",
        on_server.add_lanes, (_json(201, "The lanes that were added.", on_server.LaneList),), (403, 422),
        NoParameters, on_server.LanesToAdd, operators=True,
    ),
    Route(
        "POST", "/_workflows/_lanes/{lane}/_drain", "drain_lane", "server",
        "Let a lane take no new instances. It goes on with those it holds, and is `drained` when they have ended.",
        on_server.drain_lane, (_json(200, "The lane, after the change.", LaneView),), (403, 404, 409),
        on_server.LaneParameters, operators=True,
    ),
    Route(
        "DELETE", "/_workflows/_lanes/{lane}", "remove_lane", "server",
        "Remove a drained lane and its index, once no idempotency key is to be counted on that names it.",
        on_server.remove_lane, (_NO_CONTENT,), (403, 404, 409), on_server.RemoveLaneParameters, operators=True,
    ),
    Route(
        "GET", "/_workflows/_replicas", "list_replicas", "server", "The replicas that live.",
        on_server.replicas, (_json(200, "Every replica.", on_server.ReplicaList),), (403,), operators=True,
    ),
    Route(
        "GET", "/metrics", "metrics", "server", "Counters, in Prometheus' text format.",
        on_server.metrics, (Answer(200, "The counters.", (), ("text/plain",)),), open=True,
    ),
    Route(
        "GET", "/healthz", "healthz", "server", "Whether the process answers.",
        on_server.healthz, (_json(200, "It does.", on_server.Health),), open=True,
    ),
    Route(
        "GET", "/readyz", "readyz", "server", "Whether this replica owns a lane, or knows who does and can pass on.",
        on_server.readyz, (_json(200, "It may.", on_server.Health),), open=True,
    ),
    Route(
        "GET", "/openapi.json", "openapi", "server", "This interface as an OpenAPI 3.1 document.",
        on_server.openapi, (Answer(200, "The document.", (), (JSON,)),), open=True,
    ),
)  # fmt: skip
