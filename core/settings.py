"""Settings: one frozen struct a component, built once at the edge (`core.app.configuration`) and handed down."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Positive = Annotated[int, Meta(ge=1)]
NonNegative = Annotated[int, Meta(ge=0)]
Processes = Annotated[int, Meta(ge=1, le=64)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
IndexPrefix = Annotated[
    str,
    Meta(
        pattern="^[a-z][a-z0-9-]{0,63}$",
        extra_json_schema={"x-allowed": "a small letter, then up to 63 small letters, digits and hyphens"},
    ),
]


class StoreSettings(Struct, frozen=True):
    """How to reach Elasticsearch.

    `urls`: addresses of the cluster's nodes. `api_key` or `username` and `password` where it wants them; `ca_certs` a
    file. `index_prefix` names every index (`workflow` gives `workflow-lane-00`). `request_timeout_ms`: too low turns
    slow writes into unknown outcomes, too high delays the fail-over to another node.
    """

    urls: tuple[str, ...] = ("http://127.0.0.1:9200",)
    api_key: str | None = None
    username: str | None = None
    password: str | None = None
    ca_certs: str | None = None
    index_prefix: IndexPrefix = "workflow"
    request_timeout_ms: Positive = 30_000


class LaneSettings(Struct, frozen=True):
    """Lanes and their leases.

    `lanes`: how many the bootstrap creates on an empty cluster. `lease_ms`: a dead replica's lanes are taken over
    after this long; too low makes pauses look like deaths. `renew_every_ms`: at most a third of the lease.
    `observe_every_ms`: how often leases are judged and, where the cluster does not push changes, looked at; a lane that
    is given back without a word is taken that much later.
    `kept_drained_ms`: a drained lane can be removed after this long; too low forgets idempotency keys that name it.
    `age_step_ms`: how long a step of one priority waits to draw level with a new one of the next.
    """

    lanes: Positive = 4
    lease_ms: Positive = 10_000
    renew_every_ms: Positive = 2_500
    observe_every_ms: Positive = 500
    kept_drained_ms: NonNegative = 86_400_000
    age_step_ms: Positive = 60_000


class CommitSettings(Struct, frozen=True):
    """Group commits. `bulks_in_flight` a lane; a bulk is closed at `bulk_max_documents` or `bulk_max_bytes`.

    `overlap_min_documents`: a bulk leaves while another is under way if it has at least so many; fewer wait for that
    one's answer, as a bulk costs Elasticsearch as much as some twenty documents. Too low makes many small bulks.
    `unacknowledged_max_starts`: so many starts of a replica wait to be acknowledged at most, and fewer while
    Elasticsearch is slow (`tenancy.adaptive`). Too low refuses large batches, too high costs memory.
    """

    bulks_in_flight: Positive = 2
    overlap_min_documents: Positive = 100
    bulk_max_documents: Positive = 1_000
    bulk_max_bytes: Positive = 5_000_000
    backoff_initial_ms: Positive = 50
    backoff_max_ms: Positive = 5_000
    unacknowledged_max_starts: Positive = 20_000


class WindowSettings(Struct, frozen=True):
    """What an owner holds in memory of what waits. An instance in memory takes about 3 KiB, more with large values.

    `max_steps`: ready steps in all lanes of a replica; `line_max_steps`: of one tenant and capability in one lane. Too
    low costs searches, too high memory. `page_steps`: how many are loaded at once; too high delays other work.
    `evict_every_ms`: how often a lane is refreshed, at most, so that what rests can leave memory.
    `timer_lead_ms`: how long before they are due timers are loaded. `timers_max_instances`: how many are loaded at
    once.
    """

    max_steps: Positive = 40_000
    line_max_steps: Positive = 10_000
    page_steps: Positive = 500
    evict_every_ms: Positive = 1_000
    timer_lead_ms: Positive = 3_000
    timers_max_instances: Positive = 20_000


class HistorySettings(Struct, frozen=True):
    """Delivery into history. `linger_ms`: rows wait that long for others to share a request; too low takes fsyncs from
    commits, too high delays the rows. `lag_max_records`: admission closes above so many that are not confirmed, and
    when one of them has waited longer than `lag_max_ms`; too low refuses starts after a pause of Elasticsearch's, too
    high lets outboxes grow while history takes no rows. `refresh_every_ms`: how often, at most, history is refreshed so
    that finished instances' documents can go."""

    bulk_max_records: Positive = 1_000
    linger_ms: NonNegative = 100
    lag_max_records: Positive = 200_000
    lag_max_ms: Positive = 60_000
    refresh_every_ms: Positive = 1_000


class UsageSettings(Struct, frozen=True):
    """Counting of usage, and budgets.

    `every_ms`: how often, at most, `workflow-usage` is brought up with history; a bill lags by that much.
    `budgets_every_ms`: how often, at most, a replica looks what tenants with budgets have spent elsewhere; too high
    lets them overshoot, too low searches often while much ends.
    """

    every_ms: Positive = 10_000
    budgets_every_ms: Positive = 1_000


class RetentionSettings(Struct, frozen=True):
    """How long what stands beside history is kept. History itself ages by its policies.

    `every_ms`: how often it is looked for what may go; too low searches for nothing, too high lets documents pile up.
    `keys_kept_ms`: an idempotency key is kept so long after it was made, and until its instance has ended; too low, and
    a late repeat starts a second instance; at most `lanes.kept_drained_ms`, as the lane that a key names has to stay.
    `groups_kept_ms`: where a concurrency group lives is forgotten when it had no member for so long; too low costs the
    next start a write. `memory_kept_ms`: what runs remembered is forgotten when no run has left anything for so long;
    too low, and the next run begins anew. `usage_kept_days`: too low, and bills can't be read again.
    """

    every_ms: Positive = 3_600_000
    keys_kept_ms: Annotated[int, Meta(ge=600_000)] = 86_400_000
    groups_kept_ms: Positive = 604_800_000
    memory_kept_ms: Positive = 31_536_000_000
    usage_kept_days: Annotated[int, Meta(ge=62)] = 731


class SearchSettings(Struct, frozen=True):
    """The list of instances.

    `refresh_every_ms`: how often, at most, lists make a replica refresh the lanes; a list lags the truth by no more.
    Too low costs writes, too high shows what was. `keep_alive_ms`: how long after a page the next can be asked for.
    `open_lists_max`: so many lists of several pages this replica keeps going; each holds back the clean-up of what has
    been deleted meanwhile.
    """

    refresh_every_ms: Positive = 1_000
    keep_alive_ms: Positive = 60_000
    open_lists_max: Positive = 200


class LifecycleSettings(Struct, frozen=True):
    """Ageing of history. `every_ms`: how often what is due is done; too high lets indices outgrow what their policies
    say by as much, too low asks the cluster often for nothing. A changed policy does not wait for it."""

    every_ms: Positive = 300_000


class LimitSettings(Struct, frozen=True):
    """Bounds on what callers may send.

    `payload_max_bytes`: one params, trigger, result, checkpoint or definition. `side_document_bytes`: a value above
    it leaves the instance's document. `document_max_bytes`: the hard bound of an instance's document.
    `lease_default_ms`: a claim without `lease`. `wait_max_ms` bounds a claim's long poll.
    """

    payload_max_bytes: Positive = 262_144
    side_document_bytes: Positive = 8_192
    document_max_bytes: Positive = 524_288
    lease_default_ms: Positive = 30_000
    lease_max_ms: Positive = 3_600_000
    claim_max_steps: Positive = 1_000
    wait_max_ms: Positive = 60_000


class TenancySettings(Struct, frozen=True):
    """Fair shares. `fair_by`: what tenants get their weighted share of: the executors' time, or claims, however long
    they take. `exchange_every_ms`: how often replicas tell each other whom they have served; too high and the shares
    of tenants that wait at some replicas alone are off for longer.
    """

    fair_by: Literal["executor_time", "claims"] = "executor_time"
    exchange_every_ms: Positive = 1_000


class ServerSettings(Struct, frozen=True):
    """The HTTP surface. Anything but a loopback `host` is refused while `authentication` is `development`.

    `processes`: replicas that share the port, each a process of its own: one for each core that is to work, at most one
    for each lane is of use.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    processes: Processes = 1
    authentication: Literal["development"] = "development"
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Struct, frozen=True):
    store: StoreSettings = StoreSettings()
    lanes: LaneSettings = LaneSettings()
    commit: CommitSettings = CommitSettings()
    windows: WindowSettings = WindowSettings()
    history: HistorySettings = HistorySettings()
    lifecycle: LifecycleSettings = LifecycleSettings()
    limits: LimitSettings = LimitSettings()
    tenancy: TenancySettings = TenancySettings()
    usage: UsageSettings = UsageSettings()
    search: SearchSettings = SearchSettings()
    retention: RetentionSettings = RetentionSettings()
    server: ServerSettings = ServerSettings()
