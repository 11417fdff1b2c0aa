from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.core.ids import LeaseName, lane_of, new_instance_id, parse_step_id, step_id


def test_ids_of_a_lane_sort_by_time_and_name_their_lane() -> None:
    random = Random(1)
    ids = [new_instance_id("03", now_ms, random) for now_ms in (1, 2, 1_800_000_000_000)]
    assert ids == sorted(ids)
    assert {lane_of(id) for id in ids} == {"03"}


@pytest.mark.parametrize(
    "text", ["", "03", "03-", "03-xyz", "../03", "03-" + "0" * 27, "x3-" + "0" * 28, "3-" + "0" * 28]
)
def test_what_is_no_instance_id_names_no_lane(text: str) -> None:
    assert lane_of(text) is None


def test_a_loop_index_survives_the_way_through_an_address() -> None:
    text = step_id("03-abc", "each-host[17].scan", 5)
    assert text == "03-abc~each-host:17.scan~5"
    assert parse_step_id(text) == LeaseName("03-abc", "each-host[17].scan", 5)


@pytest.mark.parametrize("text", ["", "a~b", "a~b~", "a~b~x", "a~b~-1", "a~b~1~2", "a~b~²", "a~b~" + "9" * 19])
def test_what_is_no_step_id_is_none(text: str) -> None:
    assert parse_step_id(text) is None


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    name = parse_step_id(text)
    assert name is None or name.token >= 0


def test_a_step_in_a_case_with_a_free_name_has_an_id_for_addresses_too() -> None:
    text = step_id("03-abc", "branch.HTTP 500 (größer).retry", 5)
    assert text.isascii()
    assert " " not in text
    name = LeaseName("03-abc", "branch.HTTP 500 (größer).retry", 5)
    assert parse_step_id(text) == name
    assert parse_step_id("03-abc~branch.HTTP 500 (größer).retry~5") == name
