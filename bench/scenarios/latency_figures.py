"""What the samples of the `latency` scenario come to. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from statistics import median

from msgspec import Struct

from ..ground import Counts
from ..load import Spread, Timed, latencies_from_due, latencies_from_send, send_delays, spread
from ..load.orders import Claim, Probe, Start
from ..report import Target, at_most

# (p50, p99) in milliseconds that a rate has to stay below.
BARS_MS = {20.0: (5.0, 15.0)}
HALF_OF_PEAK_P99_MS = 100.0

_START_ROUTE = "POST /_workflows/{name}/_start"


class Round(Struct, frozen=True):
    """One round's raw samples; `counts` are the replica's before and after its load."""

    rate_per_s: float
    starts: list[Start]
    commits: list[Probe]
    gets: list[Probe]
    counts: tuple[Counts, Counts]


class Figures(Struct, frozen=True):
    """What one rate came to. Spreads are in milliseconds.

    `start_to_claim` counts from when the start was due; `start_to_claim_from_send` leaves the correction out. `rounds`
    has each round's figures, `medians` the medians over rounds, which a busy machine moves less.
    """

    rate_per_s: float
    start_to_claim: Spread | None
    start_to_claim_from_send: Spread | None
    start_acknowledged: Spread | None
    commit_floor: Spread | None
    http_floor: Spread | None
    medians: dict[str, float]
    breakdown: dict[str, float]
    starts_failed: int
    claims_without_waiter: int
    rounds: list[dict[str, float]]


def figures_of(rate: float, rounds: list[Round], claims: list[Claim], until_ns: int) -> Figures:
    """The figures of one rate's rounds. `until_ns`: what was not answered or claimed by then never was."""
    first_claims = {claim.number: claim for claim in sorted(claims, key=lambda claim: -claim.arrived_ns)}
    starts = [start for each in rounds for start in each.starts]
    to_claim = [_to_claim(start, first_claims) for start in starts]
    commits = [probe.timed for each in rounds for probe in each.commits]
    gets = [probe.timed for each in rounds for probe in each.gets]
    by_round = [_by_round(each, first_claims, until_ns) for each in rounds]
    medians = {name: round(median(each[name] for each in by_round), 3) for name in by_round[0]}
    return Figures(
        rate_per_s=rate,
        start_to_claim=spread(latencies_from_due(to_claim, until_ns)),
        start_to_claim_from_send=spread(latencies_from_send(to_claim, until_ns)),
        start_acknowledged=spread(latencies_from_due((start.timed for start in starts), until_ns)),
        commit_floor=spread(latencies_from_send(commits, until_ns)),
        http_floor=spread(latencies_from_send(gets, until_ns)),
        medians=medians,
        breakdown=_breakdown(rounds, first_claims, until_ns),
        starts_failed=sum(start.timed.done_ns is None for start in starts),
        claims_without_waiter=sum(
            claim.asked_ns > start.timed.due_ns
            for start in starts
            if (claim := first_claims.get(start.number)) is not None
        ),
        rounds=by_round,
    )


def wrong_claims(starts: list[Start], claims: list[Claim]) -> dict[str, int]:
    """What must never happen to claims. A start whose answer did not come may have happened, so it may be claimed."""
    known = {start.number for start in starts}
    acknowledged = {start.number for start in starts if start.timed.done_ns is not None}
    times = Counter(claim.number for claim in claims)
    return {
        "lost": len(acknowledged - times.keys()),
        "doubled": sum(count - 1 for count in times.values()),
        "never_started": len(times.keys() - known),
        "completions_refused": sum(claim.completion != 200 for claim in claims),
    }


def _to_claim(start: Start, first_claims: dict[int, Claim]) -> Timed:
    claim = first_claims.get(start.number)
    return Timed(start.timed.due_ns, start.timed.sent_ns, None if claim is None else claim.arrived_ns)


def _by_round(each: Round, first_claims: dict[int, Claim], until_ns: int) -> dict[str, float]:
    to_claim = spread(latencies_from_due((_to_claim(start, first_claims) for start in each.starts), until_ns))
    floor = spread(latencies_from_send((probe.timed for probe in each.commits), until_ns))
    assert to_claim is not None
    assert floor is not None
    return {
        "start_to_claim_p50_ms": to_claim.p50_ms,
        "start_to_claim_p99_ms": to_claim.p99_ms,
        "commit_floor_p50_ms": floor.p50_ms,
        "commit_floor_p99_ms": floor.p99_ms,
        "above_floor_p50_ms": round(to_claim.p50_ms - floor.p50_ms, 3),
    }


def _breakdown(rounds: list[Round], first_claims: dict[int, Claim], until_ns: int) -> dict[str, float]:
    """Where the time of a start goes, as far as it shows from outside.

    The generator's delay, then HTTP to the replica and back, then the replica (`scheduler_start_mean_ms` is its own
    count, the write included), in it the commit floor, of which Elasticsearch calls `elasticsearch_took` its own.
    """
    starts = [start for each in rounds for start in each.starts]
    delays = spread(send_delays(start.timed for start in starts))
    after_answer = [
        claim.arrived_ns - start.timed.done_ns
        for start in starts
        if (claim := first_claims.get(start.number)) is not None and start.timed.done_ns is not None
    ]
    took_ms = [probe.took_ms for each in rounds for probe in each.commits if probe.took_ms is not None]
    counts = [each.counts for each in rounds]

    def grown(read: Callable[[Counts], float]) -> float:
        return sum(read(after) - read(before) for before, after in counts)

    instances = max(1, len(starts))
    served = grown(lambda count: count.requests.get(_START_ROUTE, 0.0))
    served_s = grown(lambda count: count.request_s.get(_START_ROUTE, 0.0))
    found = {
        "generator_delay_p50_ms": 0.0 if delays is None else delays.p50_ms,
        "generator_delay_p99_ms": 0.0 if delays is None else delays.p99_ms,
        "scheduler_start_mean_ms": 1_000 * served_s / max(1.0, served),
        "elasticsearch_took_mean_ms": sum(took_ms) / max(1, len(took_ms)),
        "claim_after_start_answer_p50_ms": median(after_answer) / 1e6 if after_answer else 0.0,
        "scheduler_cpu_ms_per_instance": 1_000 * grown(lambda count: count.cpu_s) / instances,
        "lane_bulks_per_instance": grown(lambda count: count.bulks) / instances,
        "lane_writes_per_instance": grown(lambda count: count.bulk_documents) / instances,
    }
    return {name: round(value, 3) for name, value in found.items()}


def targets_of(figures: Figures, *, half_of_peak: float) -> list[Target]:
    """The bars of that rate, if it has any."""
    found = figures.start_to_claim
    p50_ms, p99_ms = (None, None) if found is None else (found.p50_ms, found.p99_ms)
    targets = []
    if figures.rate_per_s in BARS_MS:
        bars = BARS_MS[figures.rate_per_s]
        name = f"start to claim at {figures.rate_per_s:g}/s"
        targets += [at_most(f"{name}, p50", p50_ms, bars[0], "ms"), at_most(f"{name}, p99", p99_ms, bars[1], "ms")]
    if figures.rate_per_s == half_of_peak:
        targets.append(at_most("start to claim at half of peak, p99", p99_ms, HALF_OF_PEAK_P99_MS, "ms"))
    return targets
