"""What the doctor makes of what it has gathered."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.core.audit.rows import Head
from leasehold.core.operations.doctor.chains import Standing
from leasehold.core.operations.doctor.chains import judge as judge_chains
from leasehold.core.operations.doctor.cluster import ClusterFacts, IndexFacts, family_of
from leasehold.core.operations.doctor.found import Asked, Found
from leasehold.core.operations.doctor.indices import LaneEntry, judge_aliases, judge_indices
from leasehold.core.operations.doctor.replicas import Heard, judge_clocks, judge_lag, skew_ms
from leasehold.core.operations.doctor.templates import judge_mappings, judge_templates
from leasehold.core.peers import Vitals
from leasehold.core.retention.chains import standing_in
from leasehold.ilm import CURRENT, IndexNames

NAMES = IndexNames("workflow")


def index(name: str, **changes: Any) -> IndexFacts:
    family = family_of(name, NAMES, CURRENT)
    assert family is not None
    alias = {f"workflow-{family.name}": True} if family.rolled else {}
    facts: dict[str, Any] = {
        "name": name,
        "family": family,
        "mapping": CURRENT.mapping(family),
        "settings": {"index.translog.durability": "request"},
        "aliases": alias,
        "health": "green",
    }
    return IndexFacts(**facts | changes)


def facts(*others: IndexFacts, without: str = "", free: float | None = 0.5) -> ClusterFacts:
    """A healthy cluster with one lane, but for these indices."""
    names = ["workflow-lane-00"]
    for family in CURRENT.families:
        base = f"workflow-{family.name}"
        names += [] if family.numbered else [f"{base}-000001" if family.rolled else base]
    indices = {name: index(name) for name in names if name != without}
    return ClusterFacts(
        schema=CURRENT,
        names=NAMES,
        common=CURRENT.component_template(),
        templates={f"workflow-{family.name}": CURRENT.index_template(family, NAMES) for family in CURRENT.families},
        indices=indices | {one.name: one for one in others},
        free_share=free,
    )


LANES = {"00": LaneEntry(3)}


def requests(found: Found) -> tuple[Asked, ...]:
    assert found.repair is not None
    return found.repair.requests


def test_a_healthy_cluster_has_no_findings() -> None:
    whole = facts()
    assert judge_templates(whole) == judge_mappings(whole) == judge_aliases(whole) == []
    assert judge_indices(whole, LANES) == []


def test_a_template_as_elasticsearch_writes_it_is_the_same() -> None:
    def written(value: Any) -> Any:
        if isinstance(value, dict):
            nested: dict[str, Any] = {}
            for name, inner in value.items():
                first, _, rest = name.partition(".")
                nested.setdefault(first, {}).update({rest: written(inner)}) if rest else nested.update(
                    {name: written(inner)}
                )
            return nested
        return str(value).lower() if isinstance(value, bool | int) else value

    whole = facts()
    templates: dict[str, dict[str, Any]] = {name: written(one) for name, one in whole.templates.items()}
    changed = ClusterFacts(whole.schema, NAMES, written(whole.common), templates, whole.indices, None)
    for template in templates.values():
        template["_meta"] = {"leasehold": {"schema": int(template["_meta"]["leasehold"]["schema"])}}
    assert judge_templates(changed) == []


def test_a_newer_template_is_never_put_back() -> None:
    whole = facts()
    newer = dict(CURRENT.index_template(CURRENT.families[0], NAMES))
    newer["_meta"] = {"leasehold": {"schema": CURRENT.version + 1}}
    changed = ClusterFacts(CURRENT, NAMES, whole.common, {**whole.templates, "workflow-lane": newer}, {}, None)
    (found,) = judge_templates(changed)
    assert (found.severity, found.repair) == ("warning", None)


@pytest.mark.parametrize(
    ("entry", "fixable"),
    [(LaneEntry(0), True), (LaneEntry(1), False)],
    ids=["never owned", "owned once"],
)
def test_a_lane_s_index_is_made_again_only_if_nothing_was_ever_in_it(entry: LaneEntry, fixable: bool) -> None:
    (found,) = judge_indices(facts(without="workflow-lane-00"), {"00": entry})
    assert (found.repair is not None) is fixable
    if fixable:
        assert requests(found) == (Asked("PUT", "/workflow-lane-00"),)


def test_a_lane_on_its_way_out_may_lack_its_index() -> None:
    assert judge_indices(facts(without="workflow-lane-00"), {"00": LaneEntry(3, leaving=True)}) == []


def test_an_index_without_a_registered_lane_is_left() -> None:
    (found,) = judge_indices(facts(index("workflow-lane-07")), LANES)
    assert (found.severity, found.repair) == ("warning", None)


@pytest.mark.parametrize(("free", "lifted"), [(0.5, True), (0.1, False), (None, False)])
def test_the_block_of_a_full_disk_is_lifted_only_where_there_is_room(free: float | None, lifted: bool) -> None:
    blocked = index("workflow-keys", settings={"index.blocks.read_only_allow_delete": "true"})
    (found,) = judge_indices(facts(blocked, free=free), LANES)
    assert (found.repair is not None) is lifted


def test_a_rolled_index_may_be_blocked_and_a_red_one_is_told() -> None:
    old = index(
        "workflow-steps-000000",
        settings={"index.blocks.write": "true"},
        aliases={"workflow-steps": False},
        health="red",
    )
    (found,) = judge_indices(facts(old), LANES)
    assert found.what == "Index workflow-steps-000000 is red: its primary shard is not assigned."


def test_an_alias_gets_the_next_index_where_the_newest_is_blocked() -> None:
    blocked = {"index.blocks.write": "true"}
    last = index("workflow-audit-000009", settings=blocked, aliases={"workflow-audit": False})
    (found,) = judge_aliases(facts(last, without="workflow-audit-000001"))
    body = {"aliases": {"workflow-audit": {"is_write_index": True}}}
    assert requests(found) == (Asked("PUT", "/workflow-audit-000010", body),)

    (found,) = judge_aliases(facts(without="workflow-audit-000001"))
    assert requests(found) == (Asked("PUT", "/workflow-audit-000001", body),)


def heard(now_ms: int, asked_ms: int = 10_000, answered_ms: int = 10_400, **lag: int) -> Heard:
    vitals = Vitals(now_ms=now_ms, lag_records=lag.get("records", 0), lag_ms=lag.get("ms", 0))
    return Heard("r", "http://r", asked_ms, answered_ms, vitals)


@pytest.mark.parametrize(
    ("now_ms", "skew"), [(10_000, 0), (10_400, 0), (10_200, 0), (12_400, 2_000), (9_000, -1_000), (8_999, -1_001)]
)
def test_a_clock_is_off_by_what_lies_outside_of_the_round_trip(now_ms: int, skew: int) -> None:
    assert skew_ms(heard(now_ms)) == skew
    assert bool(judge_clocks([heard(now_ms)])) is (abs(skew) > 1_000)


def test_a_replica_that_does_not_answer_has_not_started_tomorrow() -> None:
    (found,) = judge_clocks([Heard("r", "http://r", 1_000, 2_000, None, started_at_ms=90_000)])
    assert found.severity == "error"


@pytest.mark.parametrize(
    ("records", "ms", "severity"),
    [(25, 0, None), (26, 0, "warning"), (101, 0, "error"), (0, 250, None), (1, 251, "warning"), (1, 1_001, "error")],
)
def test_lag_is_told_from_a_quarter_of_what_closes_admission_on(records: int, ms: int, severity: str | None) -> None:
    found = judge_lag([heard(10_200, records=records, ms=ms)], max_records=100, max_ms=1_000)
    assert [one.severity for one in found] == ([severity] if severity else [])


def test_an_index_of_the_trail_that_went_of_age_is_no_finding_and_one_that_went_before_is() -> None:
    def standing(index: str, at_ms: int, *, last_row: bool = False) -> Standing:
        head = Head(writer=f"w{at_ms}", index=index, seq=3, hash="h", at_ms=at_ms, created_at_ms=at_ms)
        return Standing(head, last_row)

    there = {"audit-000002"}
    assert judge_chains([standing("audit-000001", 100)], there, kept_ms=800, now_ms=1_000) == []
    assert judge_chains([standing("audit-000002", 900, last_row=True)], there, kept_ms=800, now_ms=1_000) == []
    (early,) = judge_chains([standing("audit-000001", 201)], there, kept_ms=800, now_ms=1_000)
    assert "is gone, before its policy lets it go" in early.what
    (early,) = judge_chains([standing("audit-000001", 1)], there, kept_ms=None, now_ms=1_000)
    (tail,) = judge_chains([standing("audit-000002", 900)], there, kept_ms=800, now_ms=1_000)
    assert tail.what == "Row 3 of chain w900 was confirmed, and audit-000002 does not hold it."


def test_an_index_that_a_phase_has_renamed_is_found_by_its_first_name() -> None:
    there = ["shrink-x1y2-workflow-audit-000001", "workflow-audit-000012"]
    assert standing_in("workflow-audit-000001", there) == "shrink-x1y2-workflow-audit-000001"
    assert standing_in("workflow-audit-000012", there) == "workflow-audit-000012"
    assert standing_in("workflow-audit-000002", there) is None
