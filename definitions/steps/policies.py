"""What several kinds of steps share: retries, approvals."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..fields import Duration, Given, InputName, Model, ShortText, refusal
from ..inputs.spec import InputSpec


class RetrySpec(Model):
    """When and how fast a failed attempt is tried again."""

    max: Annotated[int, Field(ge=0, le=1000)] = Field(default=0, description="Retries after the first attempt.")
    backoff: Literal["exponential", "linear", "constant"] = Field(
        default="exponential", description="How the delay grows from retry to retry."
    )
    initial: Duration = Field(default=1_000, description="The delay before the first retry.")
    factor: Annotated[float, Field(ge=1, le=100)] = Field(
        default=2.0, description="What an exponential delay is multiplied by each time."
    )
    max_delay: Duration = Field(default=300_000, description="The longest delay.")
    jitter: Literal["full", "equal", "none"] = Field(
        default="full", description="Which part of the delay is random: all of it, half of it, none."
    )
    on: list[ShortText] = Field(
        default=[], description="Error types to retry, with * as a wildcard; every type where it is left out."
    )
    not_on: list[ShortText] = Field(default=[], description="Error types that are never retried, with * as a wildcard.")

    @model_validator(mode="after")
    def _bounds_agree(self) -> RetrySpec:
        if {"initial", "max_delay"} <= self.model_fields_set and self.max_delay < self.initial:
            raise refusal("`max_delay` is shorter than `initial`", key="max_delay")
        return self


class ApprovalSpec(Model):
    """How a step's approval is asked for."""

    on_timeout: Literal["fail", "approve", "skip"] = Field(
        default="fail", description="What becomes of the step when nobody decides within `approval_timeout`."
    )
    approvers: list[ShortText] = Field(
        default=[], description="Names or roles of those who may decide; anyone of the tenant where it is left out."
    )
    form: Given[dict[InputName, InputSpec]] = Field(
        default=None, description="Fields that the decision carries, declared as inputs are."
    )
