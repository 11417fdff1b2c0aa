"""The documents as pydantic models: what they do not know is an error, and types are not converted."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from .durations import DURATION_MAX_MS, PATTERN, WRITINGS, duration_ms, duration_text
from .words import shown

T = TypeVar("T")

INTEGER_MAX = 2**31 - 1
RATE_MAX = 1_000_000
WEIGHT_MAX = 1_000
AMOUNT_MAX = 1e15
ENTRIES_MAX = 1_000

CAPABILITY = r"^[a-z0-9][a-z0-9._-]{0,127}$"
WORKFLOW = r"^[a-z0-9][a-z0-9-]{0,127}$"
PATTERN_WORDS = {
    CAPABILITY: "the name of a capability: a-z, 0-9, -, _ and ., beginning with a letter or digit",
    WORKFLOW: "the name of a workflow: a-z, 0-9 and -, not beginning with -",
}


def refusal(message: str, *, found: str, allowed: str | None = None) -> PydanticCustomError:
    """What a validator raises; `explaining` takes the parts out again."""
    return PydanticCustomError("refused", "{message}", {"message": message, "found": found, "allowed": allowed})


def _not_null(value: Any) -> Any:
    if value is None:
        raise refusal("found null; give it a value or leave the key out", found="null")
    return value


def _duration(value: Any) -> int:
    ms = duration_ms(value) if isinstance(value, str) else None
    if ms is None:
        advice = f"; write {value}s or {value}ms" if type(value) is int else ""
        raise refusal(f"found {shown(value)}; allowed: {WRITINGS}{advice}", found=shown(value), allowed=WRITINGS)
    if not 0 < ms <= DURATION_MAX_MS:
        allowed = f"more than nothing and at most {duration_text(DURATION_MAX_MS)}"
        raise refusal(f"found {shown(value)}; allowed: {allowed}", found=shown(value), allowed=allowed)
    return ms


Given = Annotated[T | None, BeforeValidator(_not_null)]
"""May be left out, but not be null."""

Limit = Annotated[int, Field(ge=0, le=INTEGER_MAX)]
Amount = Annotated[float, Field(ge=0, le=AMOUNT_MAX, allow_inf_nan=False)]
Duration = Annotated[
    int, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["30s", "1m"]})
]
"""Milliseconds, written as a duration."""
Capability = Annotated[str, StringConstraints(pattern=CAPABILITY)]
Workflow = Annotated[str, StringConstraints(pattern=WORKFLOW)]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RateModel(Model):
    """At most `per_s` a second in the long run, and `burst` at once; without a burst as many as in one second."""

    per_s: Annotated[float, Field(gt=0, le=RATE_MAX, allow_inf_nan=False)]
    burst: Given[Annotated[int, Field(ge=1, le=RATE_MAX)]] = None


class BreakerModel(Model):
    """Opens for `open_for` when, within `window`, at least `min_attempts` ended and so large a share of them failed."""

    failure_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.5
    min_attempts: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    window: Duration = 60_000
    open_for: Duration = 30_000
    probes: Annotated[int, Field(ge=1, le=1_000)] = 1


class CapabilityModel(Model):
    """Limits of one capability."""

    max_running_steps: Given[Limit] = None
    claim_rate: Given[RateModel] = None
    breaker: Given[BreakerModel] = None


class WorkflowModel(Model):
    """Limits of the instances of one workflow."""

    max_running_instances: Given[Limit] = None
    max_waiting_instances: Given[Limit] = None
    start_rate: Given[RateModel] = None


class BudgetModel(Model):
    """What may be spent in one period."""

    llm_calls: Given[Annotated[int, Field(ge=0, le=2**53)]] = None
    llm_tokens: Given[Annotated[int, Field(ge=0, le=2**53)]] = None
    cost: Given[Amount] = None
    executor_s: Given[Amount] = None


class BudgetsModel(Model):
    """What may be spent in each UTC hour, day and month."""

    hour: Given[BudgetModel] = None
    day: Given[BudgetModel] = None
    month: Given[BudgetModel] = None


Capabilities = Annotated[dict[Capability, CapabilityModel], Field(max_length=ENTRIES_MAX)]
Workflows = Annotated[dict[Workflow, WorkflowModel], Field(max_length=ENTRIES_MAX)]


class TenantModel(Model):
    """A tenant's document: what is not given is at its default, which for limits is none."""

    weight: Annotated[float, Field(gt=0, le=WEIGHT_MAX, allow_inf_nan=False)] = 1.0
    priority_ceiling: Annotated[int, Field(ge=0, le=9)] = 0
    max_running_instances: Given[Limit] = None
    max_running_steps: Given[Limit] = None
    max_waiting_instances: Given[Limit] = None
    start_rate: Given[RateModel] = None
    claim_rate: Given[RateModel] = None
    breaker: Given[BreakerModel] = None
    budgets: Given[BudgetsModel] = None
    capabilities: Given[Capabilities] = None
    workflows: Given[Workflows] = None
    paused: bool = False


class DeploymentModel(Model):
    """The deployment's document: what holds for tenants without one, and for all tenants together."""

    defaults: Given[TenantModel] = None
    unknown_tenants: Literal["admit", "refuse"] = "admit"
    capabilities: Given[Capabilities] = None
