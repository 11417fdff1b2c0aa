"""What tenants have used, as JSON or CSV."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from ....operations.tenancy.usage import By, day_ms
from ....principal import Principal
from ...authentication import NAME_ALLOWED, NAME_PATTERN
from ...usage_csv import as_csv
from ..parameters import DURATION_PATTERN, duration_ms
from ..surface import Reply, Surface

CSV = "text/csv"

_CSV_TYPE = f"{CSV}; charset=utf-8; header=present"
_SINCE_MS = 30 * 86_400_000
_DAY_PATTERN = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MOMENT = f"^({_DAY_PATTERN}|{DURATION_PATTERN.removeprefix('^').removesuffix('$')})$"
_ALLOWED = {"x-allowed": "a day such as 2026-01-31, or how long ago, such as 30d"}


class UsageParameters(Struct, frozen=True):
    id: Annotated[
        str,
        Meta(
            pattern=NAME_PATTERN,
            description="The tenant's name; `*`: all tenants together, for operators.",
            extra_json_schema={"x-allowed": NAME_ALLOWED, "examples": ["acme"]},
        ),
    ]
    since: (
        Annotated[
            str,
            Meta(
                pattern=_MOMENT,
                description="The first day, in UTC, or how long ago it was; `30d` by default.",
                extra_json_schema={**_ALLOWED, "examples": ["30d"]},
            ),
        ]
        | UnsetType
    ) = UNSET
    until: (
        Annotated[
            str,
            Meta(
                pattern=_MOMENT,
                description="The last day, in UTC, or how long ago it was; today by default.",
                extra_json_schema={**_ALLOWED, "examples": ["2026-01-31"]},
            ),
        ]
        | UnsetType
    ) = UNSET
    by: (
        Annotated[
            Literal["day", "workflow", "tenant", "total", "all"],
            Meta(description="What has a row of its own; `all`: each workflow on each day. `day` by default."),
        ]
        | UnsetType
    ) = UNSET
    format: Annotated[Literal["json", "csv"], Meta(description="`json` by default.")] | UnsetType = UNSET


async def usage(surface: Surface, principal: Principal, parameters: UsageParameters, body: None) -> Reply:
    """The rows, and in JSON their sum."""
    now_ms = surface.replica.now_ms()
    since_ms = now_ms - _SINCE_MS if parameters.since is UNSET else _moment_ms(parameters.since, now_ms)
    until_ms = now_ms if parameters.until is UNSET else _moment_ms(parameters.until, now_ms)
    by: By = "day" if parameters.by is UNSET else parameters.by
    view = await surface.replica.usage(principal, parameters.id, since_ms=since_ms, until_ms=until_ms, by=by)
    if parameters.format == "csv":
        return Reply(200, as_csv(view).encode(), _CSV_TYPE)
    return Reply(200, view)


def _moment_ms(text: str, now_ms: int) -> int:
    """Raises: InvalidRequest when there is no such day."""
    return day_ms(text) if text[4:5] == "-" else max(0, now_ms - duration_ms(text))
