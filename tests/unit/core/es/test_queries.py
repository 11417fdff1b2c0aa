"""Each query as it goes over the wire. What they find is tried in `tests/contract/test_lane_queries.py`."""

from __future__ import annotations

from leasehold.core.es.due_timers import due_timers_body, next_wake_body
from leasehold.core.es.ended_instances import ended_instances_body
from leasehold.core.es.failed_instances import SHOWN, failed_instances_body, later_ends_body
from leasehold.core.es.finished import finished_body, finished_instance_body, finished_share_body
from leasehold.core.es.held_instances import held_body
from leasehold.core.es.lane_count import lane_count_body
from leasehold.core.es.ready_before import ready_before_body
from leasehold.core.es.ready_lines import ready_lines_body
from leasehold.core.es.ready_steps import ready_steps_body
from leasehold.core.es.recorded_calls import attempt_calls_body, call_lots_body
from leasehold.core.es.rows_by_id import rows_by_id_body
from leasehold.core.es.running_instances import running_instances_body
from leasehold.core.es.sequence_gap import sequence_gap_body
from leasehold.core.es.version_outcomes import version_outcomes_body
from leasehold.core.es.visible import visible_to
from leasehold.core.principal import Principal

ANN = Principal("ann", "acme", spaces=("soc", "lab"))
EVERYBODY = Principal("ops", "*", spaces=("*",))


def test_a_search_is_bound_to_the_tenant_and_the_spaces_of_whoever_asks() -> None:
    tenant, everywhere = {"term": {"tenant": "acme"}}, {"terms": {"space": ["default", "*"]}}
    assert visible_to(Principal("ann", "acme")) == [tenant, everywhere]
    assert visible_to(Principal("ann", "acme", spaces=("*",))) == [tenant]
    assert visible_to(Principal("ops", "*")) == [everywhere]
    assert visible_to(EVERYBODY) == []


def test_held_instances_are_read_in_the_shards_own_order_and_the_next_page_goes_on_after_a_hit() -> None:
    assert held_body("P", after=(9,), size=500) == {
        "pit": {"id": "P", "keep_alive": "60000ms"},
        "query": {"bool": {"filter": [{"term": {"kind": "instance"}}, {"term": {"held": True}}]}},
        "sort": ["_shard_doc"],
        "size": 500,
        "seq_no_primary_term": True,
        "track_total_hits": False,
        "search_after": [9],
    }


def test_ready_steps_are_of_some_tenants_and_one_capability_by_rank() -> None:
    assert ready_steps_body(tenants=("acme", "b"), capability="render", after=(30, 4), size=500) == {
        "query": {"bool": {"filter": [{"terms": {"tenant": ["acme", "b"]}}, {"term": {"ready": "render"}}]}},
        "sort": [{"rank": {"order": "asc"}}, "_seq_no"],
        "size": 500,
        "seq_no_primary_term": True,
        "track_total_hits": False,
        "search_after": [30, 4],
    }


def test_ready_lines_are_a_composite_of_tenant_and_capability_in_pages() -> None:
    assert ready_lines_body(after={"tenant": "acme", "ready": "render"}, size=100) == {
        "query": {"bool": {"filter": [{"exists": {"field": "ready"}}]}},
        "size": 0,
        "track_total_hits": False,
        "aggs": {
            "lines": {
                "composite": {
                    "size": 100,
                    "sources": [{"tenant": {"terms": {"field": "tenant"}}}, {"ready": {"terms": {"field": "ready"}}}],
                    "after": {"tenant": "acme", "ready": "render"},
                }
            }
        },
    }


def test_a_gap_leaves_out_what_the_asker_wrote() -> None:
    assert sequence_gap_body("P", keep_alive_ms=5_000, above_seq_no=7, not_writer="me", size=100) == {
        "pit": {"id": "P", "keep_alive": "5000ms"},
        "query": {"bool": {"filter": [{"range": {"_seq_no": {"gt": 7}}}], "must_not": [{"term": {"writer": "me"}}]}},
        "sort": ["_seq_no"],
        "size": 100,
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }


def test_a_gap_of_an_index_that_others_write_leaves_nothing_out() -> None:
    body = sequence_gap_body("P", keep_alive_ms=5_000, above_seq_no=-1, not_writer=None, size=100)

    assert body["query"] == {"bool": {"filter": [{"range": {"_seq_no": {"gt": -1}}}]}}


def test_due_timers_come_soonest_first() -> None:
    assert due_timers_body(above_ms=500, until_ms=1_000, after=(900, 4), size=500) == {
        "query": {"bool": {"filter": [{"range": {"wake_at_ms": {"gt": 500, "lte": 1_000}}}]}},
        "sort": [{"wake_at_ms": {"order": "asc"}}, "_seq_no"],
        "size": 500,
        "track_total_hits": False,
        "seq_no_primary_term": True,
        "search_after": [900, 4],
    }


def test_the_next_wake_is_one_hit_without_its_source() -> None:
    assert next_wake_body(beyond_ms=1_000) == {
        "query": {"bool": {"filter": [{"range": {"wake_at_ms": {"gt": 1_000}}}]}},
        "sort": [{"wake_at_ms": {"order": "asc"}}, "_seq_no"],
        "size": 1,
        "track_total_hits": False,
        "_source": False,
    }


def test_finished_ids_leave_room_for_an_id_that_stands_in_two_indices() -> None:
    assert finished_body(["a", "b"]) == {
        "query": {"ids": {"values": ["a", "b"]}},
        "_source": False,
        "size": 4,
        "track_total_hits": False,
    }


def test_a_finished_share_is_read_by_its_id() -> None:
    assert finished_share_body("a") == {"query": {"ids": {"values": ["a"]}}, "size": 1, "track_total_hits": False}


def test_a_finished_instance_is_read_as_it_ended_last() -> None:
    assert finished_instance_body("a") == {
        "query": {"term": {"workflow.id": "a"}},
        "sort": [{"redrives": {"order": "desc"}}, {"@timestamp": {"order": "desc"}}],
        "size": 1,
        "track_total_hits": False,
    }


def test_a_lane_is_counted_without_a_hit() -> None:
    assert lane_count_body() == {"query": {"term": {"kind": "instance"}}, "size": 0, "track_total_hits": True}


def test_outcomes_of_versions_are_counted_in_one_aggregation() -> None:
    body = version_outcomes_body(
        definition_tenant="acme", workflow="flow", versions=(1, 2), created_from_ms=1_767_225_600_123
    )
    assert body == {
        "query": {
            "bool": {
                "filter": [
                    {"term": {"definition_tenant": "acme"}},
                    {"term": {"workflow.name": "flow"}},
                    {"terms": {"workflow.version": [1, 2]}},
                    {"terms": {"status": ["succeeded", "failed"]}},
                    {"range": {"created_at": {"gte": "2026-01-01T00:00:00.123000+00:00"}}},
                ]
            }
        },
        "size": 0,
        "track_total_hits": False,
        "aggs": {
            "outcomes": {
                "composite": {
                    "size": 4,
                    "sources": [
                        {"version": {"terms": {"field": "workflow.version"}}},
                        {"status": {"terms": {"field": "status"}}},
                    ],
                }
            }
        },
    }


def test_running_instances_of_a_version_are_ids_in_the_order_of_their_age() -> None:
    assert running_instances_body(workflow="flow", version=3, principal=ANN, after=(5, 7), size=10) == {
        "query": {
            "bool": {
                "filter": [
                    {"term": {"tenant": "acme"}},
                    {"terms": {"space": ["soc", "lab", "*"]}},
                    {"term": {"kind": "instance"}},
                    {"term": {"workflow": "flow"}},
                    {"term": {"version": 3}},
                ],
                "must_not": [{"terms": {"status": ["succeeded", "failed", "cancelled", "terminated"]}}],
            }
        },
        "sort": [{"created_at_ms": {"order": "asc"}}, "_seq_no"],
        "size": 10,
        "_source": False,
        "track_total_hits": False,
        "search_after": [5, 7],
    }


def test_rows_by_id_leave_room_for_an_id_that_stands_in_two_indices() -> None:
    body = {"query": {"ids": {"values": ["a"]}}, "size": 200, "track_total_hits": False}
    assert rows_by_id_body(["a"]) == {**body, "_source": True}
    assert rows_by_id_body(["a"], sources=False) == {**body, "_source": False}


def test_dead_letters_are_the_failed_ones_of_a_tenant_newest_first() -> None:
    assert failed_instances_body(
        principal=ANN, workflow="w", since_ms=5, error_type="boom", label="a=b", after=(9, "id"), size=2
    ) == {
        "query": {
            "bool": {
                "filter": [
                    {"term": {"tenant": "acme"}},
                    {"terms": {"space": ["soc", "lab", "*"]}},
                    {"term": {"status": "failed"}},
                    {"term": {"workflow.name": "w"}},
                    {"term": {"error.type": "boom"}},
                    {"term": {"labels": "a=b"}},
                    {"range": {"@timestamp": {"gte": 5}}},
                ],
                "must_not": [{"exists": {"field": "parent_id"}}],
            }
        },
        "sort": [{"@timestamp": {"order": "desc"}}, {"workflow.id": {"order": "desc"}}],
        "_source": SHOWN,
        "size": 2,
        "search_after": [9, "id"],
        "track_total_hits": False,
    }
    everything = failed_instances_body(
        principal=EVERYBODY, workflow=None, since_ms=None, error_type=None, label=None, after=None, size=2
    )
    assert everything["query"]["bool"]["filter"] == [{"term": {"status": "failed"}}]
    assert "search_after" not in everything


def test_later_ends_are_those_of_instances_that_were_brought_back() -> None:
    assert later_ends_body(["a"])["query"] == {
        "bool": {"filter": [{"terms": {"workflow.id": ["a"]}}, {"range": {"redrives": {"gte": 1}}}]}
    }


def test_recorded_calls_are_asked_for_by_instance_and_step_without_payloads() -> None:
    lots = call_lots_body("i", path="a", after=None, size=2)
    assert lots["query"]["bool"]["filter"] == [
        {"term": {"workflow.id": "i"}},
        {"term": {"step.path": "a"}},
        {"exists": {"field": "step.path"}},
    ]
    assert lots["sort"] == [{"step.path": "asc"}, {"step.attempt": "asc"}, {"part": "asc"}]
    ends = attempt_calls_body("i", path=None, after=("a", 1), size=2)
    assert ends["query"]["bool"]["filter"] == [{"term": {"workflow.id": "i"}}]
    assert ends["search_after"] == ["a", 1]
    assert "step.output" not in ends["_source"]


def test_what_is_ahead_of_a_step_is_counted_and_not_read() -> None:
    assert ready_before_body(tenant="t", capability="c", rank=7) == {
        "query": {
            "bool": {"filter": [{"term": {"tenant": "t"}}, {"term": {"ready": "c"}}, {"range": {"rank": {"lt": 7}}}]}
        },
        "size": 0,
        "track_total_hits": True,
    }


def test_instances_that_have_ended_are_read_whole_newest_first() -> None:
    assert ended_instances_body(principal=ANN, workflow="w", after=(9, "id"), size=2) == {
        "query": {
            "bool": {
                "filter": [
                    {"term": {"tenant": "acme"}},
                    {"terms": {"space": ["soc", "lab", "*"]}},
                    {"term": {"workflow.name": "w"}},
                ]
            }
        },
        "sort": [{"@timestamp": {"order": "desc"}}, {"workflow.id": {"order": "desc"}}],
        "size": 2,
        "track_total_hits": False,
        "search_after": [9, "id"],
    }
    everything = ended_instances_body(principal=EVERYBODY, workflow="w", after=None, size=1)
    assert everything["query"] == {"bool": {"filter": [{"term": {"workflow.name": "w"}}]}}
    assert "search_after" not in everything
