"""The schema as a whole: nothing dynamic, nothing auto-created, a fixed number of indices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from leasehold.ilm import CURRENT, Family, IndexNames, lane_names

NAMES = IndexNames("workflow")


def fields(properties: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, spec in properties.items():
        if "properties" in spec:
            yield from fields(spec["properties"], f"{prefix}{name}.")
        else:
            yield prefix + name, spec


def test_names_follow_the_prefix() -> None:
    assert lane_names(3) == ["00", "01", "02"]
    assert [NAMES.lane("07"), NAMES.control, NAMES.definitions, NAMES.tenants, NAMES.keys, NAMES.usage] == [
        "workflow-lane-07",
        "workflow-control",
        "workflow-definitions",
        "workflow-tenants",
        "workflow-keys",
        "workflow-usage",
    ]
    assert [NAMES.steps, NAMES.instances, NAMES.events, NAMES.audit] == [
        "workflow-steps",
        "workflow-instances",
        "workflow-events",
        "workflow-audit",
    ]
    assert NAMES.first(NAMES.steps) == "workflow-steps-000001"


@pytest.mark.parametrize("family", CURRENT.families, ids=lambda family: family.name)
class TestEveryFamily:
    def test_maps_nothing_dynamically_and_says_its_version(self, family: Family) -> None:
        mapping = CURRENT.mapping(family)

        assert mapping["dynamic"] is False
        assert mapping["_meta"] == {"leasehold": {"schema": CURRENT.version}}

    def test_is_never_created_by_a_write(self, family: Family) -> None:
        template = CURRENT.index_template(family, NAMES)
        matched = template["index_patterns"]

        assert template["allow_auto_create"] is False
        assert f"workflow-{family.name}" in matched or f"workflow-{family.name}-*" in matched
        assert not family.rolled or set(matched) == {f"workflow-{family.name}", f"workflow-{family.name}-*"}

    def test_refreshes_at_an_interval_of_its_own_and_syncs_every_write(self, family: Family) -> None:
        assert family.settings["refresh_interval"].endswith("s")
        assert family.settings["translog.durability"] == "request"

    def test_takes_keywords_of_any_length(self, family: Family) -> None:
        keywords = {name: spec for name, spec in fields(family.fields) if spec["type"] == "keyword"}

        # A term of four-byte characters must stay within Lucene's 32,766 bytes.
        assert all(spec["ignore_above"] * 4 < 32_766 for spec in keywords.values())


def test_lanes_have_no_timestamp_field() -> None:
    (lane,) = [family for family in CURRENT.families if family.name == "lane"]

    assert "@timestamp" not in lane.fields
