"""Endless and huge templates are stopped by counting, before they take time or memory."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from leasehold.definitions import DefinitionError, Limits, compile_value

from .seen import failure, render

BIG = {
    "inputs": {
        "big": "x" * 250_000,
        "list": list(range(20_000)),
        "rows": [{"a": {"b": n}, "s": "abc def abc def"} for n in range(3_000)],
    },
    "now": "2026-03-01T12:00:00.000Z",
}

doubled = "{% set a = [1] %}" + "{% set a = [a, a, a, a, a, a, a, a] %}" * 12
ENDLESS = [
    "{{ 'a' * 10**9 }}",
    "{{ 10**9 * 'a' }}",
    "{{ 10**10**10 }}",
    "{{ 9**9**9**9 }}",
    "{{ [0] * 10**9 }}",
    "{{ (1, 2) * 10**9 }}",
    "{{ range(10**12) }}",
    "{{ range(0, 0 - 10**12, -1) }}",
    "{{ range(10**9) | list | length }}",
    "{% for i in range(10**9) %}x{% endfor %}",
    "{% for a in range(700) %}{% for b in range(700) %}{% for c in range(700) %}x{% endfor %}{% endfor %}{% endfor %}",
    "{% for i in range(10000) %}{% for h in inputs.list %}{{ h }}{% endfor %}{% endfor %}",
    "{% for i in range(10000) %}" + "x" * 1000 + "{% endfor %}",
    '{{ "%1000000000d" | format(1) }}',
    '{{ "%*d" | format(1000000000, 1) }}',
    '{{ "%.1000000000f" | format(1.0) }}',
    '{{ "%.*f" | format(1000000000, 1.0) }}',
    '{{ "%(a)99999s" | format(a=1) }}',
    '{{ "%s" * 20000 | int | format(inputs.big) }}',
    '{{ ("%(a)s" * 2000) | format(a=inputs.big) }}',
    "{{ 'x' | center(10**9) }}",
    "{{ 'x'.center(10**9) }}",
    "{{ 'x'.ljust(10**9) }}",
    "{{ 'x'.rjust(10**9) }}",
    "{{ 'x'.zfill(10**9) }}",
    "{{ inputs.big.replace('x', 'y' * 10000) }}",
    "{{ inputs.big | replace('x', inputs.big) }}",
    "{{ inputs.big | replace('', inputs.big) }}",
    "{{ 'x' | indent(10**9) }}",
    "{{ ('\n' * 100000) | indent(100, true, true) }}",
    "{{ inputs.list | batch(10**9, 'x') }}",
    "{{ inputs.list | slice(10**9) }}",
    "{{ inputs.list | join(inputs.big) }}",
    "{{ inputs.big.join(inputs.list) }}",
    "{{ inputs.list | map('center', 10000) | join }}",
    "{{ 1.5 | round(10**9) }}",
    "{{ 1.5 | round(10**9, 'ceil') }}",
    "{{ 1 | json(indent=10**9) }}",
    "{{ now | date('%1000000000Y') }}",
    "{{ ('[' * 100000) | from_json }}",
    "{{ ('[' * 70 ~ ']' * 70) | from_json }}",
    "{{ ('9' * 100000) | from_json }}",
    "{% for i in range(20000) %}{% set x = ('9' * 4300) | float %}{% endfor %}",
    "{% set a = 'aaaaaaaaaa' %}" + "{% set a = a ~ a ~ a ~ a ~ a ~ a ~ a ~ a ~ a ~ a %}" * 8 + "{{ a | length }}",
    "{% set a = [1] %}" + "{% set a = a + a + a + a %}" * 20 + "{{ a | length }}",
    doubled + "{{ a }}",
    doubled + "x{{ a }}",
    doubled + "{{ a == a }}{% set b = a + [] %}{{ a == b }}",
    doubled + "{{ [a] in [[a]] }}",
    doubled + "{{ a | json }}",
    doubled + "{{ a | hash }}",
    doubled + "{{ a | string | length }}",
    doubled + "{{ a | sort }}",
    doubled + "{{ a | unique | list }}",
    doubled + "{{ a | max }}",
    doubled + "{{ [a, a] | join }}",
    doubled + "{{ a | jmespath('to_string(@)') }}",
    doubled + "{{ {} | dictsort }}{{ a.index(5) }}",
    "{% set a = 1 %}" + "{% set a = [a] %}" * 100 + "{{ a }}",
    "{% for i in range(20000) %}{% set x = inputs.big == inputs.big ~ 'y' %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = 'zz' in inputs.big %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = -5 in inputs.list %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.big[1:] %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.list[1:] %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.list | sort %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.rows | groupby('s') %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.rows | map(attribute='a.b') %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.rows | selectattr('a.b', 'gt', 5) %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.rows | sort(attribute='s,a.b') %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.rows | json %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.rows | jmespath('[*].a.b') %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.big | upper %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.big | title %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.big | urlencode %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.big | wordcount %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.big | hash %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.big | b64 %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.big.split('x') %}{% endfor %}",
    "{% for i in range(20000) %}{% set x = inputs.big | list %}{% endfor %}",
    "{{ range(100000) | map('jmespath', 'a') | list }}",
    "{{ inputs.rows | map(attribute='a.' * 50000) | list }}",
    "{{ inputs | jmespath('" + "|".join(["[@,@]"] * 14) + "') }}",
    "{{ inputs | jmespath('list|" + "|".join(["[@,@][]"] * 13) + "') }}",
    "{{ inputs | jmespath('join(big, map(&to_string(@), list))') }}",
    "{{ inputs | jmespath('rows[*].[" + ",".join(["a"] * 40) + "]') }}",
    "{{ inputs | jmespath('" + "(" * 40 + "a" + ")" * 40 + "') }}",
    "{{ inputs | jmespath('" + "a." * 300 + "a') }}",
    "{{ inputs | jmespath('" + "a|" * 200 + "a') }}",
    "{{ inputs.big ~ inputs.big }}",
    "{{ [inputs.big, inputs.big] }}",
    "{{ inputs.big | batch(1) }}",
]


@pytest.mark.parametrize("text", ENDLESS, ids=lambda text: text[:60])
def test_an_endless_or_huge_template_is_stopped_soon_and_in_little_memory(text: str) -> None:
    try:
        template = compile_value(text)
    except DefinitionError:
        return
    assert template is not None
    began = time.process_time()
    with pytest.raises(DefinitionError):
        template.render(BIG)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "text",
    [
        doubled + "{{ a }}",
        "{{ inputs.big | replace('x', inputs.big) }}",
        "{{ inputs.list | join(inputs.big) }}",
        "{{ range(10**9) }}",
        "{% set a = [1] %}" + "{% set a = a + a + a + a %}" * 20,
        "{% for i in range(20000) %}{% set x = inputs.big.split('x') %}{% endfor %}",
        "{{ inputs | jmespath('list|" + "|".join(["[@,@][]"] * 13) + "') }}",
    ],
    ids=lambda text: text[:60],
)
def test_what_is_stopped_took_little_memory(text: str) -> None:
    template = compile_value(text)
    assert template is not None
    tracemalloc.start()
    try:
        with pytest.raises(DefinitionError):
            template.render(BIG)
        assert tracemalloc.get_traced_memory()[1] < 64_000_000
    finally:
        tracemalloc.stop()


def test_each_limit_is_a_parameter() -> None:
    assert "more than 10 operations" in failure("{% for i in range(100) %}x{% endfor %}", limits=Limits(operations=10))
    assert "larger than 10 bytes" in failure("{{ 'x' * 20 }}", limits=Limits(output_bytes=10))
    assert "the limit is 10" in failure("{{ ('x' * 20) | length }}", limits=Limits(text_chars=10))
    assert "deeper than 2 levels" in failure("{{ [[[1]]] }}", limits=Limits(depth=2))


def test_the_output_is_bounded_over_the_whole_value_and_counted_in_bytes_of_json() -> None:
    limits = Limits(output_bytes=1_000)
    text = {"inputs": {"t": "x" * 300, "l": [1] * 300, "ü": "ü" * 300}}
    assert render("{{ inputs.t }}", text, limits=limits) == "x" * 300
    assert "larger than 1000 bytes" in failure(["{{ inputs.t }}"] * 4, text, limits)
    assert "larger than 1000 bytes" in failure(["{{ inputs.l }}"] * 2, text, limits)
    assert "larger than 1000 bytes" in failure(["{{ inputs['ü'] }}"] * 2, text, limits)
    assert "larger than 1000 bytes" in failure(["{{ inputs.t }}", "x" * 800], text, limits)
    assert "larger than 1000 bytes" in failure("{{ inputs.t }}" * 4, text, limits)


def test_a_report_on_a_thousand_rows_is_within_the_limits() -> None:
    rows = [
        {"level": "WARN", "logger": f"org.example.Class{n}", "message": f"something happened {n}"} for n in range(1_000)
    ]
    text = (
        "{% for row in inputs.rows if row.level == 'WARN' -%}\n"
        "{{ loop.index }}. **{{ row.logger | upper }}**: {{ row.message | truncate(60) | replace('|', '/') }}\n"
        "{% endfor %}"
    )
    assert render(text, {"inputs": {"rows": rows}}).count("\n") == 1_000


def test_large_results_pass_through_within_the_limits() -> None:
    hits = [{"_id": str(n), "_source": {"n": n, "message": "x" * 20}} for n in range(3_000)]
    context = {"steps": {"a": {"result": {"hits": hits}}}}
    assert render("{{ steps.a.result.hits }}", context) is hits
    assert render("{{ steps.a.result.hits | map(attribute='_source.n') | sum }}", context) == sum(range(3_000))
    assert len(render("{{ steps.a.result.hits | sort(attribute='_source.n', reverse=true) }}", context)) == 3_000
    assert render("{{ steps.a.result | jmespath('length(hits[?_source.n > `10`])') }}", context) == 2_989
