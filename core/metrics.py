"""What one scheduler process counts about itself: Prometheus counters in a registry of its own.

Nothing here is global: whoever builds a process builds its `Metrics`. A count costs about a microsecond (the labelled
children are kept, so no label is formatted twice). Names begin with `leasehold_` and end in their unit.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

# Upper bounds in seconds. The small ones tell a healthy start or claim (2 to 10 ms) from a slow one; the large ones
# hold the claims that waited.
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


class Metrics:
    """The counters of one process. Methods never raise and never wait."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._requests = Counter(
            "leasehold_http_requests_total",
            "HTTP requests answered, by route and status (499: the client left first).",
            ("route", "status"),
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "leasehold_http_request_duration_seconds",
            "From the request's headers to its answer; a claim's wait included.",
            ("route",),
            registry=self.registry,
            buckets=_REQUEST_BUCKETS,
        )
        self._waiting_claims = Gauge(
            "leasehold_http_claims_waiting", "Claims that wait for a step at this moment.", registry=self.registry
        )
        self._unexpected = Counter(
            "leasehold_unexpected_errors_total", "Requests answered 500: each is a defect.", registry=self.registry
        )
        self._loop_passes = Counter(
            "leasehold_loop_passes_total", "Passes of a background loop.", ("loop",), registry=self.registry
        )
        self._loop_failures = Counter(
            "leasehold_loop_failures_total",
            "Passes of a background loop that ended with an error and will be tried again.",
            ("loop",),
            registry=self.registry,
        )
        self._bulks = Counter(
            "leasehold_commit_bulks_total", "Group writes sent to a lane.", ("index",), registry=self.registry
        )
        self._bulk_documents = Counter(
            "leasehold_commit_documents_total",
            "Instance documents written by group writes to a lane.",
            ("index",),
            registry=self.registry,
        )
        self._conflicts = Counter(
            "leasehold_commit_conflicts_total",
            "Items of group writes answered 409: a foreign write, or an own one whose answer was lost.",
            ("index",),
            registry=self.registry,
        )
        self._history_records = Counter(
            "leasehold_history_records_total", "Records confirmed in the history indices.", registry=self.registry
        )
        self._history_lag = Gauge(
            "leasehold_history_lag_records", "Records produced and not yet confirmed.", registry=self.registry
        )
        self._history_lag_s = Gauge(
            "leasehold_history_lag_seconds",
            "How long the record that has waited longest has been on its way to history.",
            registry=self.registry,
        )
        self._feeds = Gauge(
            "leasehold_change_feed_in_use",
            "1 for the feed that watches an index: fleet (pushed) or stats (asked for).",
            ("index", "feed"),
            registry=self.registry,
        )
        self._changes = Counter(
            "leasehold_change_feed_changes_total",
            "Changes of an index that its feed has told of.",
            ("index",),
            registry=self.registry,
        )
        self._gap_searches = Counter(
            "leasehold_change_feed_gap_searches_total",
            "Searches for what others wrote into an owned lane: each follows a write that was not this replica's.",
            ("index",),
            registry=self.registry,
        )
        self._canary_rollbacks = Counter(
            "leasehold_canary_rollbacks_total",
            "Canaries that this replica removed because they failed too often.",
            registry=self.registry,
        )
        self._usage_documents = Counter(
            "leasehold_usage_documents_total", "Usage documents written by this replica.", registry=self.registry
        )
        self._budgets_stopped = Gauge(
            "leasehold_budgets_stopped_tenants",
            "Tenants of which nothing begins, since a budget of theirs is spent.",
            registry=self.registry,
        )
        self._documents_invalid = Gauge(
            "leasehold_tenant_documents_invalid",
            "Tenant documents that are not valid: what was in force before stays.",
            registry=self.registry,
        )
        self._breakers_open = Gauge(
            "leasehold_breakers_open", "Circuit breakers of this replica that are open.", registry=self.registry
        )
        self._breakers_opened = Counter(
            "leasehold_breakers_opened_total",
            "Circuit breakers opened, by capability.",
            ("capability",),
            registry=self.registry,
        )
        self._starts_limit = Gauge(
            "leasehold_starts_limit", "Starts that may wait to be acknowledged at this moment.", registry=self.registry
        )
        self._starts_under_way = Gauge(
            "leasehold_starts_under_way", "Starts that wait to be acknowledged.", registry=self.registry
        )
        self._starts_refused = Counter(
            "leasehold_starts_refused_total", "Starts answered 429, by quota.", ("quota",), registry=self.registry
        )
        self._audit_rows = Counter(
            "leasehold_audit_rows_total", "Rows of the audit trail that were confirmed.", registry=self.registry
        )
        self._audit_waiting = Gauge(
            "leasehold_audit_rows_waiting", "Rows on their way into the audit trail.", registry=self.registry
        )
        self._audit_dropped = Counter(
            "leasehold_audit_rows_dropped_total",
            "Rows of the audit trail that Elasticsearch refuses even without payloads: each is a defect.",
            registry=self.registry,
        )
        self._refused = Counter(
            "leasehold_access_refused_total",
            "Requests for another tenant's or space's (answered 404), and those that need a role (403), by what of.",
            ("kind",),
            registry=self.registry,
        )
        self._refusals_dropped = Counter(
            "leasehold_access_refusals_dropped_total",
            "Refusals that left no row in the audit trail: too many at once, or Elasticsearch did not take them.",
            registry=self.registry,
        )
        self._cleared = Counter(
            "leasehold_retention_cleared_total",
            "Documents that retention has deleted, and quotas that it has struck gone lanes off, by kind.",
            ("kind",),
            registry=self.registry,
        )
        self._share_writes = Counter(
            "leasehold_quota_share_writes_total",
            "Writes of quotas' shares: written, or lost to another replica's write (lost).",
            ("outcome",),
            registry=self.registry,
        )
        self._ageing = Counter(
            "leasehold_lifecycle_actions_total",
            "Actions of policies on history: done, or tried in vain (failed), by family and action.",
            ("family", "action", "outcome"),
            registry=self.registry,
        )
        self._policies_invalid = Gauge(
            "leasehold_lifecycle_policies_invalid",
            "Policies of history that are not valid, as the replica that sees to them has found: they age nothing.",
            registry=self.registry,
        )
        self._by_request: dict[tuple[str, int], Callable[[], None]] = {}
        self._by_route: dict[str, Callable[[float], None]] = {}
        self._by_loop: dict[str, Callable[[], None]] = {}
        self._by_index: dict[str, tuple[Callable[[], None], Callable[[float], None]]] = {}

    def request(self, route: str, status: int, duration_s: float) -> None:
        """Count one answered request. `route` is the route's template, never the path: paths have no bound."""
        count = self._by_request.get((route, status))
        if count is None:
            count = self._by_request[route, status] = self._requests.labels(route, str(status)).inc
        count()
        observe = self._by_route.get(route)
        if observe is None:
            observe = self._by_route[route] = self._request_seconds.labels(route).observe
        observe(duration_s)

    def unexpected(self) -> None:
        """Count an answer that should never be given: a 500."""
        self._unexpected.inc()

    def watch_waiting_claims(self, count: Callable[[], float]) -> None:
        """Ask `count` for the number of waiting claims whenever the counters are read."""
        self._waiting_claims.set_function(count)

    def loop(self, name: str) -> None:
        """Count one pass of the background loop `name`."""
        count = self._by_loop.get(name)
        if count is None:
            count = self._by_loop[name] = self._loop_passes.labels(name).inc
        count()

    def loop_failed(self, name: str) -> None:
        """Count a pass that ended with an error."""
        self._loop_failures.labels(name).inc()

    def bulk(self, index: str, documents: int) -> None:
        """Count one group write of `documents` instance documents."""
        counts = self._by_index.get(index)
        if counts is None:
            counts = self._bulks.labels(index).inc, self._bulk_documents.labels(index).inc
            self._by_index[index] = counts
        counts[0]()
        counts[1](documents)

    def conflicts(self, index: str, items: int) -> None:
        """Count items of a group write that were answered 409; the fence is not among them."""
        self._conflicts.labels(index).inc(items)

    def history(self, confirmed: int, lag_records: int, lag_ms: int) -> None:
        """Count records confirmed in history, and say how many are still on their way, and since when the oldest is."""
        self._history_records.inc(confirmed)
        self._history_lag.set(lag_records)
        self._history_lag_s.set(lag_ms / 1_000)

    def feed_in_use(self, index: str, feed: str) -> None:
        """Say which feed watches the index."""
        self._feeds.labels(index, feed).set(1)

    def change(self, index: str) -> None:
        """Count one change that the feed of this index told of."""
        self._changes.labels(index).inc()

    def gap_search(self, index: str) -> None:
        """Count one search for foreign writes in an owned lane."""
        self._gap_searches.labels(index).inc()

    def canary_rolled_back(self) -> None:
        """Count one canary that was removed by itself."""
        self._canary_rollbacks.inc()

    def usage_written(self, documents: int) -> None:
        """Count usage documents that were created or raised."""
        self._usage_documents.inc(documents)

    def budgets_stopped(self, tenants: int) -> None:
        """Say how many tenants a budget stops now."""
        self._budgets_stopped.set(tenants)

    def tenant_documents_invalid(self, count: int) -> None:
        """Say how many documents in the tenants index are not valid."""
        self._documents_invalid.set(count)

    def watch_breakers(self, count: Callable[[], float]) -> None:
        """Ask for the number of open breakers whenever the counters are read."""
        self._breakers_open.set_function(count)

    def breaker_opened(self, capability: str) -> None:
        """Count one opening; a probe that fails opens it again."""
        self._breakers_opened.labels(capability).inc()

    def watch_starts(self, limit: Callable[[], float], under_way: Callable[[], float]) -> None:
        """Ask for the limit on starts under way, and for their number, whenever the counters are read."""
        self._starts_limit.set_function(limit)
        self._starts_under_way.set_function(under_way)

    def starts_refused(self, quota: str, count: int = 1) -> None:
        """Count starts that were answered 429. Which workflow a quota is of is left out: names have no bound."""
        room, _, rest = quota.partition(".")
        word = f"{room}.{rest.rpartition('.')[2]}" if room in ("workflows", "capabilities") else quota
        self._starts_refused.labels(word).inc(count)

    def audit_rows(self, count: int) -> None:
        """Count rows of the trail that stand, up to a head."""
        self._audit_rows.inc(count)

    def audit_waiting(self, count: int) -> None:
        self._audit_waiting.set(count)

    def audit_dropped(self) -> None:
        """Count one row that the trail will never have."""
        self._audit_dropped.inc()

    def refused(self, kind: str) -> None:
        """Count one refusal of something of that kind."""
        self._refused.labels(kind).inc()

    def refusals_dropped(self, count: int) -> None:
        """Count refusals that leave no row."""
        self._refusals_dropped.inc(count)

    def cleared(self, kind: str, documents: int) -> None:
        """Count documents of a kind that retention has cleared."""
        if documents:
            self._cleared.labels(kind).inc(documents)

    def share_write(self, written: bool) -> None:
        """Count one write of a quota's document."""
        self._share_writes.labels("written" if written else "lost").inc()

    def aged(self, family: str, action: str, *, failed: bool) -> None:
        """Count one action of a policy that was carried out, or tried in vain."""
        self._ageing.labels(family, action, "failed" if failed else "done").inc()

    def policies_invalid(self, count: int) -> None:
        """Say how many policies of history are not valid."""
        self._policies_invalid.set(count)

    def exposition(self) -> bytes:
        """Everything counted, in Prometheus' text format 0.0.4 (what `/metrics` answers)."""
        return generate_latest(self.registry)
