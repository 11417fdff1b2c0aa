"""The executor `python`."""

from typing import Any

import pytest
from leasehold.claim import ClaimError, StepFailed
from leasehold.claim.executors.python import Python
from leasehold.claim.testing import Outcome, run_step

HERE = __name__


def called(payload: Any, *allowed: str) -> Outcome:
    return run_step(Python(allowed), "python", payload)


def greet(name: str, *, loud: bool = False) -> dict[str, Any]:
    return {"text": name.upper() if loud else name}


async def greet_later(name: str) -> str:
    return name


class Choosy:
    @staticmethod
    def fail() -> None:
        raise StepFailed("choosy.no", "not today", retryable=False)


def test_an_allowed_function_gets_its_arguments_and_gives_the_result() -> None:
    payload = {"callable": f"{HERE}:greet", "args": ["Ada"], "kwargs": {"loud": True}}
    assert called(payload, f"{HERE}:greet").result == {"text": "ADA"}


def test_a_coroutine_function_is_awaited() -> None:
    payload = {"callable": f"{HERE}:greet_later", "args": ["Ada"]}
    assert called(payload, f"{HERE}:greet_later").result == "Ada"


def test_a_function_inside_a_class_may_be_allowed_and_may_choose_its_error() -> None:
    outcome = called({"callable": f"{HERE}:Choosy.fail"}, f"{HERE}:Choosy.fail")
    assert outcome.error is not None
    assert (outcome.error.type, outcome.retryable) == ("choosy.no", False)


def test_what_a_function_raises_is_its_error() -> None:
    outcome = called({"callable": "math:sqrt", "args": [-1]}, "math:sqrt")
    assert outcome.error is not None
    assert (outcome.error.type, outcome.retryable) == ("python.ValueError", True)


@pytest.mark.parametrize("name", ["os:system", "math:sqrt ", "builtins:eval", "math"])
def test_any_other_function_is_not_called(name: str) -> None:
    outcome = called({"callable": name, "args": ["id"]}, "math:sqrt")
    assert outcome.error is not None
    assert (outcome.error.type, outcome.retryable) == ("python.not_allowed", False)
    assert "allowed: math:sqrt" in outcome.error.message


@pytest.mark.parametrize("payload", [None, {"callable": 1}, {"callable": "math:sqrt", "arg": [1]}])
def test_a_payload_that_does_not_fit_calls_nothing(payload: Any) -> None:
    outcome = called(payload, "math:sqrt")
    assert outcome.error is not None
    assert outcome.error.type == "payload.invalid"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("math", "write module:function"),
        (":sqrt", "write module:function"),
        ("math:", "write module:function"),
        ("no.such.module:f", "No module named 'no'"),
        ("math:cosine", "has no attribute 'cosine'"),
        ("math:pi", "is no function"),
    ],
)
def test_a_function_that_is_not_there_is_refused_when_the_worker_starts(name: str, words: str) -> None:
    with pytest.raises(ClaimError, match=words):
        Python([name])
