"""The report's blueprint: rendered for a team, and run."""

from __future__ import annotations

from typing import Any

from leasehold.core.testing import Run, StubStep, play
from leasehold.definitions import Definition, load
from leasehold.definitions.blueprints import Expansion, blocks_of, values_of

from .stubs import EXAMPLES, Services, hits, render

FOLDER = EXAMPLES / "blueprints"


def report_of(**values: Any) -> Definition:
    expansion = Expansion(
        values={**values_of((FOLDER / "web.values.yaml").read_bytes()), **values},
        blocks=blocks_of((FOLDER / "blocks.yaml").read_bytes()),
    )
    (definition,) = load((FOLDER / "nightly-report.yaml").read_bytes(), expansion=expansion)
    return definition


def night(definition: Definition, services: Services, errors: int) -> Run:
    def search(step: StubStep) -> Any:
        field = step.payload.get("aggs", {}).get("top", {}).get("terms", {}).get("field")
        buckets = [{"key": f"{field}-{number}", "doc_count": number} for number in (2, 1)]
        return {**hits(total=errors), "aggregations": {"top": {"buckets": buckets}}}

    return play(definition, executors={"es-query": search, "render": render, "http": services})


def test_the_report_of_a_quiet_night_goes_to_the_teams_channel() -> None:
    services = Services()
    run = night(report_of(), services, 3)
    run.until_done()
    assert (run.status, run.outputs) == ("succeeded", {"errors": 3})
    ((_, _, told),) = services.asked
    assert told["channel"] == "#web"
    assert told["text"].split("\n") == [
        "# web: 3 errors",
        *("## By service.name", "- service.name-2: 2", "- service.name-1: 1", ""),
        *("## By url.path", "- url.path-2: 2", "- url.path-1: 1", "", ""),
    ]
    assert run.steps["ask-for-attention"].status == "skipped"


def test_many_errors_ask_for_attention_as_the_parameter_says() -> None:
    services = Services()
    run = night(report_of(many=3), services, 3)
    run.until_done()
    assert [body["channel"] for _, _, body in services.asked] == ["#web", "#on-call"]


def test_a_chat_that_is_down_costs_no_report() -> None:
    run = night(report_of(), Services("chat.example"), 3)
    run.until_done()
    assert run.status == "succeeded"
    assert run.steps["tell.notify.send"].handled


def test_each_team_has_a_definition_of_its_own_that_needs_no_blueprint() -> None:
    definition = report_of(team="db")
    assert (definition.name, definition.labels) == ("nightly-report-db", {"team": "db"})
    (again,) = load(definition.source)
    assert again.content_hash() == definition.content_hash()
    assert "${{" not in definition.source
