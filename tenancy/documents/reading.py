"""From documents to what is in force."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec import Struct
from pydantic import ValidationError

from ..rules import (
    Breaker,
    Budget,
    CapabilityRules,
    Period,
    Rate,
    TenantRules,
    WorkflowRules,
)
from .errors import DocumentError, Fault
from .explaining import faults_of
from .models import (
    BreakerModel,
    BudgetsModel,
    CapabilityModel,
    DeploymentModel,
    Model,
    RateModel,
    TenantModel,
    WorkflowModel,
)
from .words import shown

M = TypeVar("M", bound=Model)

DEPLOYMENT = "*"
"""The id of the deployment's document; every other id is a tenant's name."""

BOOKKEEPING = frozenset({"kind", "tenant", "updated_at_ms", "updated_by", "change_id"})
"""What the API adds to a document. Who writes one without the API may leave it, take it away or make it up."""

_PERIODS: tuple[Period, ...] = ("hour", "day", "month")


class DeploymentRules(Struct, frozen=True):
    """What the deployment's document puts in force: `defaults` for tenants without one, limits over all tenants."""

    defaults: TenantRules = TenantRules(tenant=DEPLOYMENT)
    capabilities: Mapping[str, CapabilityRules] = {}


def without_bookkeeping(document: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody wants to be in force."""
    return {key: value for key, value in document.items() if key not in BOOKKEEPING}


def tenant_rules(tenant: str, document: Any) -> TenantRules:
    """A tenant's document, compiled. Raises: DocumentError with every fault."""
    return _tenant_rules(tenant, _checked(TenantModel, document))


def deployment_rules(document: Any) -> DeploymentRules:
    """The deployment's document, compiled. Raises: DocumentError with every fault."""
    model = _checked(DeploymentModel, document)
    refused = model.unknown_tenants == "refuse"
    return DeploymentRules(
        defaults=_tenant_rules(DEPLOYMENT, model.defaults or TenantModel(), refused=refused),
        capabilities=_capabilities(model.capabilities),
    )


def _checked(kind: type[M], document: Any) -> M:
    if not isinstance(document, dict):
        raise DocumentError([Fault((), f"found {shown(document)}; a document is an object", shown(document))])
    try:
        return kind.model_validate(without_bookkeeping(document))
    except ValidationError as error:
        raise DocumentError(faults_of(error, kind)) from None


def _tenant_rules(tenant: str, model: TenantModel, *, refused: bool = False) -> TenantRules:
    return TenantRules(
        tenant=tenant,
        weight=float(model.weight),
        priority_ceiling=model.priority_ceiling,
        max_running_instances=model.max_running_instances,
        max_running_steps=model.max_running_steps,
        max_waiting_instances=model.max_waiting_instances,
        start_rate=_rate(model.start_rate),
        claim_rate=_rate(model.claim_rate),
        breaker=_breaker(model.breaker),
        budgets=_budgets(model.budgets),
        capabilities=_capabilities(model.capabilities),
        workflows={name: _workflow(rules) for name, rules in (model.workflows or {}).items()},
        paused=model.paused,
        refused=refused,
    )


def _rate(model: RateModel | None) -> Rate | None:
    if model is None:
        return None
    burst = max(1, math.ceil(model.per_s)) if model.burst is None else model.burst
    return Rate(float(model.per_s), burst)


def _breaker(model: BreakerModel | None) -> Breaker | None:
    if model is None:
        return None
    return Breaker(float(model.failure_share), model.min_attempts, model.window, model.open_for, model.probes)


def _budgets(model: BudgetsModel | None) -> dict[Period, Budget]:
    budgets: dict[Period, Budget] = {}
    for period in _PERIODS:
        budget = None if model is None else getattr(model, period)
        if budget is not None:
            cost, executor_s = (None if one is None else float(one) for one in (budget.cost, budget.executor_s))
            budgets[period] = Budget(budget.llm_calls, budget.llm_tokens, cost, executor_s)
    return budgets


def _capabilities(models: Mapping[str, CapabilityModel] | None) -> dict[str, CapabilityRules]:
    return {
        name: CapabilityRules(model.max_running_steps, _rate(model.claim_rate), _breaker(model.breaker))
        for name, model in (models or {}).items()
    }


def _workflow(model: WorkflowModel) -> WorkflowRules:
    return WorkflowRules(model.max_running_instances, model.max_waiting_instances, _rate(model.start_rate))
