"""The row of `workflow-audit` that says how a policy of history was changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ..principal import EVERY_SPACE, EVERY_TENANT, Principal
from .rows import ActionFields, AuditRow, SourceFields, UserFields


def policy_change_row(
    family: str,
    *,
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any],
    to_default: bool,
    shorter: str | None,
    by: Principal,
    at_ms: int,
) -> bytes:
    """`old` and `new` are the policies in force before and after; `old` is None where what stood could not be read.

    `shorter` says how records are kept less long by it, None where they are not.
    Its id is `policy:<family>:<first change in ms>:<revision>`. It is about no tenant's, so it is all tenants'.
    """
    row = AuditRow(
        timestamp=datetime.fromtimestamp(at_ms / 1_000, UTC),
        event=ActionFields("reset_policy" if to_default else "change_policy", "success", shorter),
        user=UserFields(by.name, by.roles, by.tenant, by.spaces),
        source=SourceFields(by.address) if by.address else None,
        tenant=EVERY_TENANT,
        space=EVERY_SPACE,
        details={"family": family, "old": old, "new": new},
    )
    return msgspec.json.encode(row)
