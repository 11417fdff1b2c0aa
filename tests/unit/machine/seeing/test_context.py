from __future__ import annotations

import pytest
from leasehold.core.machine.seeing.context import Context

from ..runs import START_MS, Run, plan, step


def context() -> Context:
    run = Run(plan(step("z"), step("a", "z"), step("other")))
    run.claim("z")
    run.complete("z", 1)
    return Context(run.instance, run.plan, run.instance.steps, run.plan.steps["a"], "a", START_MS)


def test_a_context_is_a_mapping_of_the_names_of_the_language() -> None:
    made = context()
    names = ["inputs", "trigger", "steps", "instance", "now", "vars", "signals", "memory", "error"]
    assert list(made) == names
    assert len(made) == 9
    with pytest.raises(KeyError):
        made["secrets"]
    assert made.get("secrets") is None


def test_the_steps_of_a_context_are_the_visible_ones_alone() -> None:
    steps = context()["steps"]
    assert (list(steps), len(steps)) == (["z"], 1)
    assert ("z" in steps, "other" in steps, "ghost" in steps) == (True, False, False)
    assert steps["z"]["result"] == 1
    with pytest.raises(KeyError):
        steps["other"]


def test_what_a_context_showed_once_it_shows_again() -> None:
    made = context()
    assert made["steps"] is made["steps"]
    assert made["steps"]["z"] is made["steps"]["z"]
