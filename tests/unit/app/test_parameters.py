"""Reading paths, queries and headers into typed structs."""

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leasehold.core.app.problems import RequestProblem
from leasehold.core.app.web.parameters import Duration, NoParameters, ParameterReader, duration_ms
from msgspec import UNSET, Meta, Struct, UnsetType
from multidict import CIMultiDict, CIMultiDictProxy


class Asked(Struct, frozen=True):
    id: Annotated[str, Meta(min_length=1, max_length=8)]
    capability: Annotated[str, Meta(max_length=20)]
    wait: Duration | UnsetType = UNSET
    max: Annotated[int, Meta(ge=1, le=1000)] | UnsetType = UNSET
    key: Annotated[str, Meta(extra_json_schema={"x-header": "Idempotency-Key"})] | UnsetType = UNSET


READER = ParameterReader(Asked, "/steps/{id}")


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


def refusal(query: str, *pairs: tuple[str, str], id: str = "a") -> str:
    with pytest.raises(RequestProblem) as caught:
        READER.read([id], query, headers(*pairs))
    problem = caught.value.problem
    assert problem.status == 400
    problem.detail.encode()
    return problem.detail


def test_each_place_fills_its_fields() -> None:
    found = READER.read(["s-1"], "capability=es%2Dquery&max=10&wait=5s", headers(("idempotency-key", "k")))
    assert found == Asked(id="s-1", capability="es-query", wait="5s", max=10, key="k")


def test_what_is_not_given_is_unset() -> None:
    assert READER.read(["s-1"], "capability=x", headers()) == Asked(id="s-1", capability="x")


def test_a_plus_in_a_query_is_a_space() -> None:
    assert READER.read(["a"], "capability=a+b", headers()).capability == "a b"


def test_a_misspelt_parameter_is_refused_with_the_nearest_and_all_allowed() -> None:
    assert refusal("capabilty=x") == (
        'there is no query parameter "capabilty"; allowed: capability, wait and max; did you mean capability?'
    )


def test_a_missing_parameter_is_named() -> None:
    assert refusal("max=3") == "the query parameter capability is missing; allowed: text of 0 to 20 characters"


@pytest.mark.parametrize("value", ["0", "1001", "-1", "ten", "", "null", "true", "9" * 400, "٣", "1_0", " 1"])
def test_a_number_out_of_its_bounds_is_refused_with_the_bounds(value: str) -> None:
    assert "the query parameter max is" in refusal(f"capability=x&max={value}")
    assert "allowed: an integer from 1 to 1000" in refusal(f"capability=x&max={value}")


@pytest.mark.parametrize("value", ["30", "s", "-5s", "5 s", "P", "PT", "P1DT", "1.5s", "1w", "5S", "9" * 13 + "s"])
def test_a_malformed_duration_is_refused_with_examples(value: str) -> None:
    assert "a duration such as 500ms, 30s" in refusal(f"capability=x&wait={value}")


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("4h", 14_400_000),
        ("7d", 604_800_000),
        ("0s", 0),
        ("PT30S", 30_000),
        ("P1D", 86_400_000),
        ("P1DT1H2M3S", 90_123_000),
        ("PT5M", 300_000),
    ],
)
def test_durations_are_read_as_the_definition_language_writes_them(text: str, expected_ms: int) -> None:
    assert duration_ms(READER.read(["a"], f"capability=x&wait={text}", headers()).wait or "") == expected_ms


def test_a_parameter_given_twice_is_refused() -> None:
    assert "given twice" in refusal("capability=x&capability=y")


def test_a_header_given_twice_is_refused() -> None:
    assert "given 2 times" in refusal("capability=x", ("Idempotency-Key", "a"), ("Idempotency-Key", "b"))


def test_a_long_path_value_is_refused_without_repeating_it() -> None:
    detail = refusal("capability=x", id="y" * 5_000)
    assert "text of 1 to 8 characters" in detail
    assert len(detail) < 200


def test_a_path_without_parameters_takes_none() -> None:
    with pytest.raises(RequestProblem, match="this path takes none"):
        ParameterReader(NoParameters, "/healthz").read([], "x=1", headers())


def test_a_struct_that_does_not_hold_its_paths_parameters_is_a_mistake_of_the_table() -> None:
    with pytest.raises(TypeError, match="path parameters"):
        ParameterReader(Asked, "/steps/{step}")


@given(st.text(max_size=200), st.text(alphabet=st.characters(codec="latin-1"), max_size=30))
def test_any_query_and_header_is_read_or_refused(query: str, header: str) -> None:
    try:
        READER.read(["a"], query, headers(("Idempotency-Key", header)))
    except RequestProblem as refused:
        refused.problem.detail.encode()
