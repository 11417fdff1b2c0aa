"""Tenant documents: what is accepted, what is said about the rest, and that nothing is lost there and back."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.tenancy.documents import (
    DeploymentRules,
    DocumentError,
    deployment_document,
    deployment_rules,
    json_schema,
    tenant_document,
    tenant_rules,
)
from leasehold.tenancy.rules import Breaker, Budget, CapabilityRules, Rate, TenantRules, WorkflowRules

SCHEMA = jsonschema_rs.validator_for(json_schema())
DEPLOYMENT_SCHEMA = jsonschema_rs.validator_for(json_schema(deployment=True))

LIMITS = st.none() | st.integers(0, 2**31 - 1)
AMOUNTS = st.none() | st.integers(0, 2**53)
COSTS = st.none() | st.floats(0, 1e15, allow_nan=False)
RATES = st.none() | st.builds(Rate, st.floats(1e-6, 1e6), st.integers(1, 1_000_000))
BREAKERS = st.none() | st.builds(
    Breaker,
    st.floats(0, 1, exclude_min=True),
    st.integers(1, 1_000_000),
    st.integers(1, 7 * 86_400_000),
    st.integers(1, 7 * 86_400_000),
    st.integers(1, 1_000),
)
BUDGETS = st.dictionaries(
    st.sampled_from(["hour", "day", "month"]), st.builds(Budget, AMOUNTS, AMOUNTS, COSTS, COSTS), max_size=3
)
CAPABILITIES = st.dictionaries(
    st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True),
    st.builds(CapabilityRules, LIMITS, RATES, BREAKERS),
    max_size=3,
)
WORKFLOWS = st.dictionaries(
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True),
    st.builds(WorkflowRules, LIMITS, LIMITS, RATES),
    max_size=3,
)


def tenants(name: str, **more: Any) -> st.SearchStrategy[TenantRules]:
    return st.builds(
        TenantRules,
        tenant=st.just(name),
        weight=st.floats(0, 1_000, exclude_min=True),
        priority_ceiling=st.integers(0, 9),
        max_running_instances=LIMITS,
        max_running_steps=LIMITS,
        max_waiting_instances=LIMITS,
        start_rate=RATES,
        claim_rate=RATES,
        breaker=BREAKERS,
        budgets=BUDGETS,
        capabilities=CAPABILITIES,
        workflows=WORKFLOWS,
        paused=st.booleans(),
        refused=more.get("refused", st.just(False)),
    )


def sentence(document: Any) -> str:
    with pytest.raises(DocumentError) as caught:
        tenant_rules("acme", document)
    return str(caught.value)


@given(tenants("acme"))
def test_rules_written_as_a_document_and_read_again_are_the_same_rules(rules: TenantRules) -> None:
    written = json.loads(json.dumps(tenant_document(rules)))
    assert tenant_rules("acme", written) == rules
    SCHEMA.validate(written)


@given(st.builds(DeploymentRules, tenants("*", refused=st.booleans()), CAPABILITIES))
def test_the_deployments_rules_are_the_same_there_and_back(rules: DeploymentRules) -> None:
    written = json.loads(json.dumps(deployment_document(rules)))
    assert deployment_rules(written) == rules
    DEPLOYMENT_SCHEMA.validate(written)


def test_an_empty_document_limits_nothing() -> None:
    assert tenant_rules("acme", {}) == TenantRules(tenant="acme")


def test_what_the_api_adds_is_not_looked_at_whatever_it_holds() -> None:
    kept = {"kind": 7, "tenant": "other", "updated_at_ms": "now", "updated_by": None, "change_id": []}
    assert tenant_rules("acme", {"weight": 2, **kept}) == TenantRules(tenant="acme", weight=2.0)


@pytest.mark.parametrize(("per_s", "burst"), [(0.1, 1), (1, 1), (2.5, 3), (100, 100)])
def test_a_rate_without_a_burst_lets_through_as_many_at_once_as_in_a_second(per_s: float, burst: int) -> None:
    assert tenant_rules("acme", {"start_rate": {"per_s": per_s}}).start_rate == Rate(per_s, burst)


def test_a_breaker_says_its_durations_as_they_are_written_elsewhere() -> None:
    rules = tenant_rules("acme", {"breaker": {"window": "2m", "open_for": "1500ms"}})
    assert rules.breaker == Breaker(0.5, 20, 120_000, 1_500, 1)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "found a list; a document is an object"),
        ({"wieght": 3}, 'wieght: unknown key "wieght"; did you mean `weight`?'),
        ({"capabilities": {"es-query": {"claim-rate": {"per_s": 1}}}}, "did you mean `claim_rate`?"),
        ({"weight": "3"}, 'weight: found "3"; allowed: a number'),
        ({"weight": 0}, "weight: found 0; allowed: more than 0"),
        ({"weight": True}, "weight: found true; allowed: a number"),
        ({"weight": 1001}, "weight: found 1001; allowed: at most 1000"),
        ({"priority_ceiling": 10}, "priority_ceiling: found 10; allowed: at most 9"),
        ({"max_running_steps": 1.5}, "max_running_steps: found 1.5; allowed: an integer"),
        ({"max_running_steps": None}, "max_running_steps: found null; give it a value or leave the key out"),
        ({"claim_rate": 5}, 'claim_rate: found 5; allowed: an object such as {"per_s": 5, "burst": 10}'),
        (
            {"capabilities": {"es-query": {"claim_rate": {"per_s": 1, "burst": 0}}}},
            "capabilities.es-query.claim_rate.burst: found 0; allowed: at least 1",
        ),
        ({"start_rate": {"burst": 3}}, "start_rate.per_s: `per_s` is missing"),
        ({"capabilities": {"A b": {}}}, 'capabilities."A b": found the name "A b"; allowed: the name of a capability'),
        ({"workflows": {"a.b": {}}}, 'workflows."a.b": found the name "a.b"; allowed: the name of a workflow'),
        ({"breaker": {"open_for": 30}}, "breaker.open_for: found 30; allowed: a duration such as 250ms, 30s"),
        ({"breaker": {"window": "0s"}}, 'breaker.window: found "0s"; allowed: more than nothing and at most 7d'),
        ({"budgets": {"week": {}}}, 'budgets.week: unknown key "week"; allowed: `hour`, `day`, `month`'),
        ({"paused": "yes"}, 'paused: found "yes"; allowed: true or false'),
    ],
)
def test_one_sentence_says_where_what_was_found_and_what_is_allowed(document: Any, said: str) -> None:
    assert sentence(document).startswith(said) or said in sentence(document)


def test_every_fault_is_found_and_the_first_is_told() -> None:
    assert sentence({"weight": 0, "paused": 1, "foo": 2}).endswith("allowed: more than 0 (and 2 more)")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"unknown_tenants": "refused"}, 'found "refused"; allowed: admit or refuse; did you mean `refuse`?'),
        ({"weight": 2}, 'weight: unknown key "weight"; allowed: `defaults`, `unknown_tenants`, `capabilities`'),
        ({"defaults": {"weigth": 2}}, "did you mean `weight`?"),
    ],
)
def test_the_deployments_document_is_checked_alike(document: Any, said: str) -> None:
    with pytest.raises(DocumentError) as caught:
        deployment_rules(document)
    assert said in str(caught.value)


def test_unknown_tenants_are_refused_through_the_defaults() -> None:
    rules = deployment_rules({"unknown_tenants": "refuse", "defaults": {"weight": 2}})
    assert rules.defaults == TenantRules(tenant="*", weight=2.0, refused=True)


@pytest.mark.parametrize(
    "bad", [{"wieght": 1}, {"weight": 0}, {"capabilities": {"A b": {}}}, {"breaker": {"window": 30}}, {"paused": None}]
)
def test_the_schema_refuses_what_the_model_refuses(bad: dict[str, Any]) -> None:
    assert not SCHEMA.is_valid(bad)
