"""The graph of steps, and the circles in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from leasehold.definitions.outline.graph import Outline, build

from .builders import fault, faults, marked, with_steps


def test_a_circle_is_named_from_its_first_step_on() -> None:
    text, line, column = marked(
        with_steps(
            "{name: start, executor: x}",
            "{name: a, executor: x, depends_on: ¦[start, c]}",
            "{name: b, executor: x}",
            "{name: c, executor: x}",
            "{name: end, executor: x}",
        )
    )
    violation = fault(text)
    assert violation.message == "steps depend on each other in a circle: a -> c -> b -> a"
    assert (violation.path, violation.line, violation.column) == ("steps[1].depends_on", line, column)


def test_two_steps_that_wait_for_each_other_are_a_circle() -> None:
    text = with_steps("{name: a, executor: x, depends_on: [b]}", "{name: b, executor: x}")
    assert fault(text).message == "steps depend on each other in a circle: a -> b -> a"


def test_an_unknown_dependency_has_the_nearest_name() -> None:
    violation = fault(
        with_steps("{name: gather-context, executor: x}", "{name: b, executor: x, depends_on: [gather_contxt]}")
    )
    assert violation.message == "there is no step `gather_contxt`; did you mean `gather-context`?"
    assert violation.nearest == "gather-context"


def test_a_doubled_dependency_is_refused() -> None:
    assert fault(with_steps("{name: a, executor: x}", "{name: b, executor: x, depends_on: [a, a]}")).message == (
        "`a` stands twice"
    )


def test_a_step_without_a_name_does_not_hide_what_is_wrong_with_others() -> None:
    found = faults(with_steps("{executor: x}", "{name: b, executor: x, depends_on: [c]}"))
    assert [violation.path for violation in found] == ["steps[0].name", "steps[1].depends_on[0]"]


@given(st.data())
def test_ancestors_are_the_closure_of_the_dependencies(data: st.DataObject) -> None:
    names = [f"s{n}" for n in range(data.draw(st.integers(1, 8)))]
    chosen = {name: data.draw(st.lists(st.sampled_from(names), unique=True, max_size=3)) for name in names}
    outlines = [Outline(at, name, tuple(chosen[name])) for at, name in enumerate(names)]
    graph, found = build(outlines)

    def upstream(name: str) -> set[str]:
        seen: set[str] = set()
        waiting = list(graph.depends_on[name])
        while waiting:
            other = waiting.pop()
            if other not in seen:
                seen.add(other)
                waiting += graph.depends_on[other]
        return seen

    circular = any(name in upstream(name) for name in names)
    assert graph.cyclic is circular
    assert any("in a circle" in fault.message for fault in found) is circular
    if not circular:
        assert graph.ancestors == {name: frozenset(upstream(name)) for name in names}
    for name in names:
        assert all(name in graph.dependents[other] for other in graph.depends_on[name])
