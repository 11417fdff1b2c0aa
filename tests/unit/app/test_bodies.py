"""Decoding bodies: what is refused, and with which words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.claim.wire import CompleteBody, InstanceView, StartBody, StartItems, StepReports, Usage
from leasehold.core.app.problems import RequestProblem
from leasehold.core.app.web.bodies import MAX_DEPTH, BodyReader
from leasehold.core.app.web.strict import strict

COMPLETE = BodyReader(CompleteBody)
START = BodyReader(StartBody)
REPORTS = BodyReader(StepReports)


def refusal(raw: bytes, reader: BodyReader[CompleteBody] | BodyReader[StepReports] = COMPLETE) -> RequestProblem:
    with pytest.raises(RequestProblem) as caught:
        reader.decode(raw)
    assert caught.value.problem.status == 400
    caught.value.problem.detail.encode()
    return caught.value


def nested(depth: int) -> bytes:
    return b'{"result":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_a_body_becomes_its_wire_struct() -> None:
    body = COMPLETE.decode(b'{"result":{"n":1},"usage":{"llm_calls":2}}')
    assert isinstance(body, CompleteBody)
    assert (body.result, body.usage) == ({"n": 1}, strict(Usage)(llm_calls=2))


def test_a_misspelt_field_is_refused_with_the_nearest() -> None:
    problem = refusal(b'{"reslt": 1}').problem
    assert problem.detail == 'there is no field "reslt" at $; allowed: calls, result and usage; did you mean result?'
    assert problem.violations[0].nearest == "result"


def test_a_misspelt_field_deep_down_is_refused_with_the_fields_of_that_place() -> None:
    raw = (
        b'{"reports":[{"step_id":"a","action":"complete","complete":{"calls":[{"name":"x","usage":{"llm_call":1}}]}}]}'
    )
    problem = refusal(raw, REPORTS).problem
    assert "at $.reports[0].complete.calls[0].usage; allowed: cost, llm_calls and llm_tokens" in problem.detail
    assert problem.violations[0].nearest == "llm_calls"


def test_a_value_of_another_type_is_refused_with_its_place() -> None:
    problem = refusal(b'{"usage": {"llm_calls": "2"}}').problem
    assert problem.violations[0].path == "$.usage.llm_calls"
    assert problem.detail == "the body does not fit: expected int, got str at $.usage.llm_calls"


def test_a_whole_number_is_an_integer_however_it_is_written() -> None:
    body = COMPLETE.decode(b'{"result":2.0,"usage":{"llm_calls":2.0},"calls":[{"name":"a","duration_ms":1e3}]}')
    assert repr(body.result) == "2.0"
    assert body.usage == strict(Usage)(llm_calls=2)
    assert repr(body.calls[0].duration_ms) == "1000"
    assert START.decode(b'{"version":3.0}').version == 3


def test_a_fraction_is_no_integer() -> None:
    assert "expected int, got float" in refusal(b'{"usage":{"llm_calls":2.5}}').problem.detail


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"  ",
        b"[",
        b"{",
        b"nul",
        b"[]",
        b'"text"',
        b'{"result": NaN}',
        b'{"result": 1e999}',
        b'{"result": ' + b"9" * 5_000 + b"}",
        b'{"result": "\xff"}',
        b'{"\xff": 1}',
        b'{"result": "\\ud800"}',
        b'\xef\xbb\xbf{"result": 1}',
        b'{"result": 1} {}',
        '{"result": 1}'.encode("utf-16"),
        b'{"usage": {"llm_calls": 9223372036854775808}}',
        b'{"usage": {"cost": -0.1}}',
        nested(2_000),
        nested(200_000),
        b'{"result":' * 50_000,
    ],
    ids=lambda raw: repr(raw[:24]),
)
def test_what_is_no_fitting_json_is_refused(raw: bytes) -> None:
    refusal(raw)


def test_nesting_is_allowed_up_to_its_bound_and_no_further() -> None:
    COMPLETE.decode(nested(MAX_DEPTH))
    assert f"deeper than {MAX_DEPTH} levels" in refusal(nested(MAX_DEPTH + 1)).problem.detail


def test_brackets_inside_strings_are_no_nesting() -> None:
    text = b'"' + b"[" * 500 + b'\\"{{{' + b'"'
    assert COMPLETE.decode(b'{"result":' + text + b"}").result == "[" * 500 + '"{{{'


def test_a_wide_body_is_not_deep() -> None:
    reports = b",".join(b'{"step_id":"a","action":"complete","complete":{"result":[[1],{"x":[]}]}}' for _ in range(500))
    assert len(REPORTS.decode(b'{"reports":[' + reports + b"]}").reports) == 500


def test_a_bulk_of_too_many_items_is_refused() -> None:
    items = b",".join([b'{"workflow":"a"}'] * 10_001)
    with pytest.raises(RequestProblem, match="10000"):
        BodyReader(StartItems).decode(b'{"starts":[' + items + b"]}")


def test_strict_twins_are_their_structs_and_answers_stay_lenient() -> None:
    assert issubclass(strict(StartBody), StartBody)
    assert strict(StartBody) is strict(StartBody)
    assert InstanceView.__struct_config__.forbid_unknown_fields is False
    assert strict(StartBody).__struct_config__.forbid_unknown_fields is True


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        START.decode(raw)
    except RequestProblem as refused:
        refused.problem.detail.encode()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
        max_leaves=30,
    )
)
def test_any_json_result_is_read_as_it_was_meant(value: object) -> None:
    assert COMPLETE.decode(json.dumps({"result": value}).encode()).result == value
