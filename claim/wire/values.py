"""What many bodies hold: bounded numbers and texts, usage, calls and errors."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

# Bounded, so that sums over many attempts still fit an Elasticsearch `long`, and JSON numbers stay exact everywhere.
NonNegative = Annotated[int, Meta(ge=0, le=2**53 - 1)]
NonNegativeFloat = Annotated[float, Meta(ge=0, le=1e15)]
ShortText = Annotated[str, Meta(max_length=1024)]
Reason = Annotated[str, Meta(max_length=8192)]
Labels = Annotated[dict[Annotated[str, Meta(min_length=1, max_length=128)], ShortText], Meta(max_length=64)]


class Usage(Struct, frozen=True, omit_defaults=True, gc=False):
    """What an attempt consumed; summed into the instance's budgets. `cost` is in the tenant's own currency unit.

    A report is cumulative for its attempt, in heartbeats and at the end alike: the largest figures reported stand, so
    repeats count once.
    """

    llm_calls: NonNegative = 0
    llm_tokens: NonNegative = 0
    cost: NonNegativeFloat = 0.0


class Call(Struct, frozen=True, omit_defaults=True, gc=False):
    """One tool or model call that an executor made during an attempt.

    `number` counts the calls made under one lease, from 1: reported twice, a call of that number is shown once.
    """

    name: ShortText
    input: Any = None
    output: Any = None
    duration_ms: NonNegative = 0
    usage: Usage | None = None
    number: NonNegative = 0


class ErrorInfo(Struct, frozen=True, omit_defaults=True, gc=False):
    """Why an attempt, a step or an instance failed. `type` is what `retry.on` matches, such as `http.503`."""

    type: Annotated[str, Meta(min_length=1, max_length=256)]
    message: str = ""
