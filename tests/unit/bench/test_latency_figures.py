"""What the latency scenario makes of its samples."""

from __future__ import annotations

from leasehold.bench.ground import Counts
from leasehold.bench.load import Timed
from leasehold.bench.load.orders import Claim, Probe, Start
from leasehold.bench.scenarios.latency_figures import Round, figures_of, targets_of, wrong_claims

MS = 1_000_000
UNTIL = 10_000 * MS
ROUTE = "POST /_workflows/{name}/_start"


def counts(requests: float) -> Counts:
    return Counts(
        cpu_s=requests / 500,
        resident_bytes=0,
        bulks=requests * 2,
        bulk_documents=requests * 3,
        conflicts=0,
        history_records=0,
        history_lag=0,
        claims_waiting=0,
        unexpected=0,
        requests={ROUTE: requests},
        request_s={ROUTE: requests * 0.004},
    )


def start(number: int, *, due: int, done: int | None) -> Start:
    return Start(number, Timed(due * MS, due * MS + MS, None if done is None else done * MS), 201 if done else 503)


def claim(number: int, *, asked: int, arrived: int, completion: int = 200) -> Claim:
    return Claim(number, f"step-{number}", asked * MS, arrived * MS, (arrived + 2) * MS, completion)


def one_round(starts: list[Start], rate: float = 20.0) -> Round:
    commits = [Probe(Timed(0, MS, 3 * MS), 1)]
    return Round(rate, starts, commits, [Probe(Timed(0, 0, MS))], (counts(10), counts(10 + len(starts))))


def test_start_to_claim_counts_from_when_the_start_was_due() -> None:
    starts = [start(1, due=100, done=104)]
    found = figures_of(20.0, [one_round(starts)], [claim(1, asked=50, arrived=105)], UNTIL)
    assert found.start_to_claim is not None
    assert found.start_to_claim_from_send is not None
    assert found.start_to_claim.p50_ms == 5.0
    assert found.start_to_claim_from_send.p50_ms == 4.0
    assert found.claims_without_waiter == 0
    assert found.breakdown["claim_after_start_answer_p50_ms"] == 1.0
    assert found.breakdown["generator_delay_p50_ms"] == 1.0


def test_a_step_that_was_never_claimed_weighs_on_the_tail() -> None:
    starts = [start(1, due=0, done=2), start(2, due=0, done=2)]
    found = figures_of(20.0, [one_round(starts)], [claim(1, asked=0, arrived=3)], UNTIL)
    assert found.start_to_claim is not None
    assert found.start_to_claim.max_ms == 10_000.0


def test_of_two_claims_of_one_start_the_first_counts() -> None:
    claims = [claim(1, asked=0, arrived=900), claim(1, asked=0, arrived=4)]
    found = figures_of(20.0, [one_round([start(1, due=0, done=2)])], claims, UNTIL)
    assert found.start_to_claim is not None
    assert found.start_to_claim.p50_ms == 4.0


def test_a_claim_that_was_asked_for_after_the_start_was_due_had_no_waiting_worker() -> None:
    found = figures_of(20.0, [one_round([start(1, due=10, done=12)])], [claim(1, asked=11, arrived=14)], UNTIL)
    assert found.claims_without_waiter == 1


def test_the_replicas_own_counts_are_taken_per_instance() -> None:
    starts = [start(number, due=number, done=number + 2) for number in range(5)]
    found = figures_of(20.0, [one_round(starts), one_round(starts)], [], UNTIL)
    assert found.breakdown["scheduler_cpu_ms_per_instance"] == 2.0
    assert found.breakdown["lane_bulks_per_instance"] == 2.0
    assert found.breakdown["lane_writes_per_instance"] == 3.0
    assert found.breakdown["scheduler_start_mean_ms"] == 4.0
    assert found.breakdown["elasticsearch_took_mean_ms"] == 1.0


def test_medians_are_taken_over_rounds() -> None:
    rounds = [one_round([start(number, due=0, done=2)]) for number in range(3)]
    claims = [claim(0, asked=0, arrived=5), claim(1, asked=0, arrived=7), claim(2, asked=0, arrived=600)]
    found = figures_of(20.0, rounds, claims, UNTIL)
    assert found.medians["start_to_claim_p50_ms"] == 7.0
    assert found.medians["above_floor_p50_ms"] == 5.0
    assert [each["commit_floor_p50_ms"] for each in found.rounds] == [2.0, 2.0, 2.0]


def test_twenty_starts_a_second_have_bars_and_other_rates_none() -> None:
    starts = [start(1, due=0, done=2)]
    fast = figures_of(20.0, [one_round(starts)], [claim(1, asked=0, arrived=3)], UNTIL)
    slow = figures_of(20.0, [one_round(starts)], [claim(1, asked=0, arrived=40)], UNTIL)
    other = figures_of(200.0, [one_round(starts, 200.0)], [], UNTIL)
    assert [(target.bar, target.met) for target in targets_of(fast, half_of_peak=0)] == [(5.0, True), (15.0, True)]
    assert [target.met for target in targets_of(slow, half_of_peak=0)] == [False, False]
    assert targets_of(other, half_of_peak=0) == []


def test_every_start_claimed_once_is_right() -> None:
    starts = [start(1, due=0, done=2), start(2, due=0, done=2)]
    assert not any(wrong_claims(starts, [claim(1, asked=0, arrived=1), claim(2, asked=0, arrived=1)]).values())


def test_what_must_not_happen_to_claims_is_counted_by_its_kind() -> None:
    starts = [start(1, due=0, done=2), start(2, due=0, done=2), start(3, due=0, done=None)]
    claims = [
        claim(1, asked=0, arrived=1),
        claim(1, asked=0, arrived=2),
        claim(1, asked=0, arrived=3),
        claim(9, asked=0, arrived=3, completion=409),
    ]
    assert wrong_claims(starts, claims) == {"lost": 1, "doubled": 2, "never_started": 1, "completions_refused": 1}


def test_a_start_whose_answer_was_lost_may_be_claimed_or_not() -> None:
    starts = [start(1, due=0, done=None)]
    assert not any(wrong_claims(starts, []).values())
    assert not any(wrong_claims(starts, [claim(1, asked=0, arrived=3)]).values())


def test_half_of_the_peak_has_a_bar_of_its_own() -> None:
    starts = [start(1, due=0, done=2)]
    fast = figures_of(312.5, [one_round(starts, 312.5)], [claim(1, asked=0, arrived=99)], UNTIL)
    never = figures_of(312.5, [one_round(starts, 312.5)], [], UNTIL)
    for found, met in ((fast, True), (never, False)):
        (target,) = targets_of(found, half_of_peak=312.5)
        assert (target.name, target.bar, target.met) == ("start to claim at half of peak, p99", 100.0, met)
