"""The executor `render`, child processes and all."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from leasehold.claim.executors.render import Render, RenderLimits
from leasehold.claim.executors.rendering import environment, rendered
from leasehold.claim.testing import Outcome, run_step_async

LIMITS = RenderLimits(result_max_bytes=10_000, processor_s=2, processes=2)


@pytest.fixture
async def render() -> AsyncIterator[Render]:
    async with Render(LIMITS) as made:
        yield made


async def of(render: Render, template: str, **values: Any) -> Outcome:
    return await run_step_async(render, "render", {"template": template, "values": values})


def error_of(outcome: Outcome) -> tuple[str, str]:
    assert outcome.error is not None, outcome
    assert not outcome.retryable
    return outcome.error.type, outcome.error.message


async def test_a_template_renders_its_values(render: Render) -> None:
    assert (await of(render, "Hello {{ name }}, ä€𝄞", name="Ada")).result == {"text": "Hello Ada, ä€𝄞"}


async def test_one_process_renders_one_template_after_the_other(render: Render) -> None:
    for number in range(5):
        assert (await of(render, "{{ n }}", n=number)).result == {"text": str(number)}
    assert len(render._idle) == 1


async def test_templates_render_side_by_side_in_a_bounded_number_of_processes(render: Render) -> None:
    outcomes = await asyncio.gather(*(of(render, "{{ n }}", n=number) for number in range(10)))
    assert [outcome.result["text"] for outcome in outcomes] == [str(number) for number in range(10)]
    assert len(render._idle) == LIMITS.processes


async def test_a_template_that_needs_too_much_memory_is_stopped_and_the_next_one_renders(render: Render) -> None:
    for greedy in (
        "{{ 'a' * 10**10 }}",
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    ):
        assert error_of(await of(render, greedy))[0] == "render.limit"
        assert (await of(render, "fine")).result == {"text": "fine"}


@pytest.mark.slow
async def test_a_template_that_does_not_end_is_stopped_and_the_next_one_renders(render: Render) -> None:
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    assert error_of(await of(render, endless)) == (
        "render.limit",
        "the template used more than 2 s or 512 MiB and was stopped",
    )
    assert (await of(render, "fine")).result == {"text": "fine"}


async def test_a_cancelled_rendering_leaves_no_process_behind(render: Render) -> None:
    await of(render, "warm")
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    rendering = asyncio.create_task(of(render, endless))
    while render._idle:
        await asyncio.sleep(0)
    rendering.cancel()
    await asyncio.wait({rendering})
    assert render._idle == []
    assert (await of(render, "fine")).result == {"text": "fine"}


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({}, "missing required field template"),
        ({"template": 1}, "template"),
        ({"template": "", "vlaues": {}}, "values?"),
    ],
)
async def test_a_payload_that_does_not_fit_is_not_rendered(render: Render, payload: Any, words: str) -> None:
    kind, message = error_of(await run_step_async(render, "render", payload))
    assert kind == "payload.invalid"
    assert words in message


def text_of(template: str, max_bytes: int = 10_000, **values: Any) -> dict[str, str]:
    return rendered(environment(), template, values, max_bytes)


def test_lines_with_a_block_tag_alone_leave_no_empty_line() -> None:
    template = "a\n{% for n in ns %}\n  - {{ n }}\n{% endfor %}\nb\n"
    assert text_of(template, ns=[1, 2]) == {"text": "a\n  - 1\n  - 2\nb\n"}


def test_values_may_be_written_as_json() -> None:
    assert text_of("{{ v | json }}", v={"a": [1, None]}) == {"text": '{"a":[1,null]}'}
    assert text_of("{{ v | json(indent=2) }}", v=[1]) == {"text": "[\n  1\n]"}


@pytest.mark.parametrize("name", ["self", "loop", "range", "template", "values"])
def test_a_value_may_have_any_name(name: str) -> None:
    assert rendered(environment(), "fine", {name: 1}, 100) == {"text": "fine"}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a\nb {{ missing }}", "line 2: 'missing' is undefined"),
        ("{{ v.missing }}", "line 1: 'dict object' has no attribute 'missing'"),
        ("a\n{% if %}", "line 2: Expected an expression, got 'end of statement block'"),
        ("a\n\n{{ 1 / 0 }}", "line 3: ZeroDivisionError: division by zero"),
        ("{{ v | nofilter }}", "line 1: No filter named 'nofilter'."),
        ("{% include 'other' %}", "line 1: TypeError: no loader for this environment specified"),
    ],
)
def test_a_template_that_fails_is_told_with_its_line(template: str, message: str) -> None:
    assert text_of(template, v={}) == {"type": "render.template", "message": message}


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ (1).__class__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ lipsum.__globals__['os'] }}",
        "{{ ''['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ '{0.__class__}'.format(1) }}",
        "{{ '%s'.__mod__ }}",
        "{{ v.append(1) }}",
        "{{ v.clear() }}",
        "{% set x = v.__setitem__ %}{{ x(0, 1) }}",
        "{{ joiner.__init__.__globals__ }}",
        "{{ request }}",
        "{{ range.__self__ }}",
    ],
)
def test_a_template_can_not_reach_python_or_change_its_values(template: str) -> None:
    values = [1]
    answer = text_of(template, v=values)
    assert answer.get("type") == "render.template", answer
    assert values == [1]


def test_a_text_over_the_bound_is_not_built_to_its_end() -> None:
    answer = text_of("{% for i in range(99999) %}0123456789{% endfor %}", max_bytes=1_000)
    assert answer == {
        "type": "render.too_large",
        "message": "the text has more than 1000 bytes, which is all that is allowed",
    }
