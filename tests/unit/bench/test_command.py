"""The command line, as far as it needs no cluster."""

from __future__ import annotations

import pytest
from leasehold.bench.command import app
from leasehold.bench.scenarios import SCENARIOS
from typer.testing import CliRunner


def test_an_unknown_scenario_is_answered_with_those_there_are() -> None:
    ran = CliRunner().invoke(app, ["latencies"], env={"COLUMNS": "200"})
    assert ran.exit_code == 2
    assert "there is no scenario 'latencies'" in ran.stderr
    for name in SCENARIOS:
        assert name in ran.stderr
    assert ran.stdout == ""


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_scenario_asks_a_question(name: str) -> None:
    assert SCENARIOS[name].name == name
    assert SCENARIOS[name].question.endswith("?")


def test_a_cluster_that_does_not_answer_is_one_sentence_and_exit_code_1() -> None:
    ran = CliRunner().invoke(app, ["latency", "--json"], env={"LEASEHOLD_ES_URL": "http://127.0.0.1:1"})
    assert ran.exit_code == 1
    assert ran.stdout == ""
    assert ran.stderr.startswith("bench: ")
    assert ran.stderr.count("\n") == 1


def test_all_tells_of_every_scenario_that_could_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name, scenario in SCENARIOS.items() if scenario.alone]:
        monkeypatch.delitem(SCENARIOS, name)
    ran = CliRunner().invoke(app, ["all", "--json"], env={"LEASEHOLD_ES_URL": "http://127.0.0.1:1"})
    assert ran.exit_code == 1
    assert ran.stdout == ""
    assert ran.stderr.count("bench: ") == len(SCENARIOS)


def test_smoke_on_a_cluster_that_does_not_answer_is_one_sentence_and_exit_code_1() -> None:
    ran = CliRunner().invoke(app, ["smoke"], env={"LEASEHOLD_ES_URL": "http://127.0.0.1:1"})
    assert ran.exit_code == 1
    assert ran.stdout == ""
    assert ran.stderr.startswith("bench: ")
    assert ran.stderr.count("\n") == 1
