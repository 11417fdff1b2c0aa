"""The language's page: every example loads and is run to the end that it names, every refusal says what is shown, and
every key, filter and name of the language stands there, each key in an example too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jsonschema_rs
import pytest
from leasehold.claim.executors.rendering import environment, rendered
from leasehold.core.replay import replay
from leasehold.core.testing import Failure, Run, StubStep, play
from leasehold.definitions import json_schema
from leasehold.definitions.blueprints.spec import BlockSpec, Header
from leasehold.definitions.checks.later import DEFINITION_KEYS
from leasehold.definitions.checks.scope import ERROR_FACTS, FOREACH_FACTS, INSTANCE_FACTS, STEP_FACTS
from leasehold.definitions.definition import BudgetsSpec, ConcurrencySpec, DefaultsSpec, Definition, MemorySpec
from leasehold.definitions.fields import Model
from leasehold.definitions.inputs.spec import InputSpec
from leasehold.definitions.source.documents import read_documents
from leasehold.definitions.steps import KINDS, STEP_MODELS, ApprovalSpec, Compensate, RetrySpec, kind_of
from leasehold.definitions.steps.models import GuardedStep
from leasehold.definitions.templates import CONTEXT_NAMES, LATER_NAMES, PLACED_NAMES
from leasehold.definitions.templates.filters.table import FILTERS

from tests.kit.language_page import PAGE, Example, definitions_of, of_kind, refusal_of, runnable
from tests.kit.markdown import ROOT

PARAMS: dict[str, dict[str, Any]] = {
    "alert-triage": {"alert_id": "A-1"},
    "scan-hosts": {"since": "2026-01-01T00:00:00Z"},
}
DEEDS: dict[str, Callable[[Run], None]] = {
    "alert-triage": lambda run: run.approve(),
    "careful": lambda run: run.approve(by="lena", roles=["soc-lead"], form={"ticket": "CHG-1"}),
    "ticket": lambda run: run.signal("ticket-closed", {"by": "ada"}),
}
MODELS: dict[str, type[Model]] = {
    "definition": Definition, "defaults": DefaultsSpec, "budgets": BudgetsSpec, "concurrency": ConcurrencySpec,
    "memory": MemorySpec, "input": InputSpec, "retry": RetrySpec, "approval": ApprovalSpec, "compensate": Compensate,
    "step": GuardedStep, "header": Header, "block": BlockSpec, **STEP_MODELS,
}  # fmt: skip
BY_LINE = [pytest.param(example, id=f"line-{example.line}-{example.name}") for example in runnable()]

SCHEMA = jsonschema_rs.validator_for(json_schema())
_JINJA = environment()


def render(step: StubStep) -> Any:
    return rendered(_JINJA, step.payload["template"], step.payload.get("values", {}), 250_000)


EXECUTORS: dict[str, Any] = {
    "render": render,
    "es-query": {"hits": [{"level": "error", "message": "full", "hosts": ["web-1", "web-2"]}], "total": 0},
    "http": {"status": 200, "headers": {}, "json": {"hosts": [{"name": "web-2"}, {"name": "web-1"}]}},
    "ai-reasoning": {"verdict": "malicious", "why": "because"},
    "booking": {"id": "B-1"},
    "broken": Failure("broken", "it does not work", retryable=False),
    **{name: {"ok": True} for name in ("action", "cleaner", "scanner", "reporter", "voter", "pager", "sink")},
}  # fmt: skip


def test_the_page_has_examples_that_run_that_fail_and_that_are_refused() -> None:
    assert len(runnable()) >= 35
    assert len(of_kind("failed")) >= 8
    assert len(of_kind("refused")) >= 25


@pytest.mark.parametrize("example", BY_LINE)
def test_an_example_of_the_page_runs_to_the_end_that_it_names(example: Example) -> None:
    run = played(example)
    ended = (run.status, run.error.type if run.error is not None else "")
    assert ended == (("failed", example.about) if example.kind == "failed" else ("succeeded", "")), run.error


@pytest.mark.parametrize("example", BY_LINE)
def test_a_run_of_an_example_replays_without_a_difference(example: Example) -> None:
    run = played(example)
    assert replay(run.recording(), definitions_of(example)[0].compile()).difference is None


@pytest.mark.parametrize("example", BY_LINE)
def test_an_example_of_the_page_fits_the_json_schema(example: Example) -> None:
    for value in (*written_out(example), *(() if example.is_blueprint else as_they_stand(example))):
        SCHEMA.validate(value)


@pytest.mark.parametrize("example", of_kind("refused"), ids=lambda example: f"line-{example.line}-{example.name}")
def test_a_refused_example_is_refused_with_the_words_that_stand_below_it(example: Example) -> None:
    assert refusal_of(example) == example.says


def test_the_blueprint_of_the_page_gives_what_is_shown() -> None:
    (shown,) = of_kind("rendered")
    (example,) = (example for example in runnable() if example.is_blueprint)
    assert example.name == shown.about
    assert [definition.source for definition in definitions_of(example)] == [shown.text]


@pytest.mark.parametrize("name", MODELS)
def test_the_page_names_every_key(name: str) -> None:
    assert [key for key in keys_of(MODELS[name]) if f"`{key}`" not in PAGE and f".{key}`" not in PAGE] == []


@pytest.mark.parametrize("name", MODELS)
def test_every_key_is_in_an_example_that_runs(name: str) -> None:
    shown = {key for of, keys in SHOWN if of == name for key in keys}
    of_all = set(keys_of(GuardedStep)) if name in STEP_MODELS else set()
    assert set(keys_of(MODELS[name])) - of_all - shown == set()


def test_every_kind_of_step_is_in_an_example_that_is_refused() -> None:
    texts = "".join(example.text for example in of_kind("refused"))
    assert [kind for kind in KINDS if f"{kind}:" not in texts] == []


def test_the_page_names_every_filter_and_every_name_of_the_context() -> None:
    words = [name for name in FILTERS if not name.endswith("!")]
    words += [*CONTEXT_NAMES, *PLACED_NAMES, *STEP_FACTS, *FOREACH_FACTS, *ERROR_FACTS, *INSTANCE_FACTS, *LATER_NAMES]
    words += [*KINDS, *DEFINITION_KEYS]
    assert [word for word in words if f"`{word}" not in PAGE] == []


def test_the_page_names_every_type_of_error_that_the_scheduler_makes() -> None:
    sources = [path.read_text() for part in ("machine", "lanes") for path in (ROOT / "core" / part).glob("**/*.py")]
    types = {word for text in sources for word in re.findall(r'(?:ErrorInfo|NotBorn)\(\s*"(\w+)"', text)}
    assert len(types) > 20
    assert {word for word in types if f"`{word}`" not in PAGE} == set()


def played(example: Example) -> Run:
    """The first definition of an example, run to its end; it may call the others."""
    definition, *others = definitions_of(example)
    run = play(definition, params=PARAMS.get(definition.name), executors=EXECUTORS, workflows=others)
    if definition.name in DEEDS:
        DEEDS[definition.name](run)
    run.until_done()
    return run


def keys_of(model: type[Model]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def written_out(example: Example) -> Iterator[Any]:
    """The documents of an example as they are stored."""
    for definition in definitions_of(example):
        _, documents, _ = read_documents(definition.source)
        yield from (document.root.value for document in documents)


def as_they_stand(example: Example) -> Iterator[Any]:
    """The documents of an example as its author wrote them."""
    _, documents, _ = read_documents(example.text)
    yield from (document.root.value for document in documents)


def shown_keys() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What the examples that run have of each model: its name in MODELS, and a mapping with the keys."""
    for example in runnable():
        for value in as_they_stand(example):
            yield from _of_definition(value)


def _of_definition(raw: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "definition", raw
    yield "header", raw
    for name in ("defaults", "budgets", "concurrency", "memory"):
        yield name, raw.get(name, {})
    yield "retry", raw.get("defaults", {}).get("retry", {})
    yield from (("input", spec) for spec in raw.get("inputs", {}).values())
    for block in raw.get("blocks", {}).values():
        yield "block", block
    for key in ("steps", "on_failure", "on_cancel"):
        for step in raw.get(key, []):
            yield from _of_step(step)


def _of_step(step: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "step", step
    yield kind_of(step) or "", step
    for name in ("retry", "approval", "compensate"):
        yield name, step.get(name, {})
    inner = [step[key] for key in ("steps", "else", "on_failure") if isinstance(step.get(key), list)]
    inner += [steps for key in ("cases", "parallel") for steps in step.get(key, {}).values()]
    for one in (one for steps in inner for one in steps):
        yield from _of_step(one)


SHOWN = list(shown_keys())
