"""The policies that hold where nobody has written one."""

from __future__ import annotations

import pytest
from leasehold.ilm import CURRENT
from leasehold.ilm.policies import FAMILIES, default_policy, disagreements, max_age_ms, parse, retention_ms

DAY_MS = 86_400_000


def test_every_rolled_family_has_a_policy() -> None:
    assert set(FAMILIES) == {family.name for family in CURRENT.families if family.rolled}


@pytest.mark.parametrize("repository", [None, "backups"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_default_is_valid(family: str, repository: str | None) -> None:
    policy = default_policy(family, repository=repository)
    assert parse(family, policy.document()) == policy


def test_a_frozen_phase_comes_with_a_repository_alone() -> None:
    assert "frozen" not in default_policy("audit").phases
    frozen = default_policy("audit", repository="backups").actions("frozen")
    assert frozen == {"searchable_snapshot": {"snapshot_repository": "backups"}}


def test_how_long_rows_are_kept() -> None:
    days = {family: (retention_ms(default_policy(family)) or 0) // DAY_MS for family in FAMILIES}
    assert days == {"steps": 30, "instances": 90, "events": 180, "audit": 400}


def test_an_instance_that_ran_for_sixty_days_can_be_replayed_as_long_as_its_row_stands() -> None:
    instances, events = default_policy("instances"), default_policy("events")
    row_stands_ms = (max_age_ms(instances) or 0) + (retention_ms(instances) or 0)
    assert (retention_ms(events) or 0) - row_stands_ms == 60 * DAY_MS
    assert disagreements({family: default_policy(family) for family in FAMILIES}) == []
