"""A step of a definition. A step is one of several kinds; the kind that runs on an executor is the one there is now."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from .fields import Capability, Condition, Duration, Given, InputName, Model, Name, ShortText, Timeout, refusal
from .inputs.spec import InputSpec
from .later import check_kind


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


class ExecutorStep(Model):
    """A step that an executor claims and runs."""

    name: Name = Field(description="Names the step within the definition; `steps.<name>` in templates.")
    executor: Capability = Field(description="The capability that may claim it.")
    depends_on: Given[list[str]] = Field(
        default=None,
        description="Steps that must be done before it. The step before it where left out; [] starts at once.",
    )
    if_: Condition = Field(
        default=None, alias="if", description="An expression; where it is false the step is skipped."
    )
    input: Any = Field(default=None, description="What the executor gets as its payload; any value, with templates.")
    with_: Given[dict[str, Any]] = Field(
        default=None, alias="with", description="Further keys for the executor, handed on as they are, with templates."
    )
    model: Any = Field(default=None, description="The short form of `with: {model: ...}`.")
    timeout: Given[Timeout] = Field(default=None, description="Of one attempt, from claim to completion.")
    queue_timeout: Given[Timeout] = Field(default=None, description="From ready to claimed.")
    heartbeat_timeout: Given[Timeout] = Field(
        default=None, description="An attempt whose executor is silent for so long has lost its lease."
    )
    retry: Given[RetrySpec] = Field(default=None, description="Retries; keys left out come from `defaults.retry`.")
    permissions: list[ShortText] = Field(
        default=[], description="What the step may do, such as read:logs-*; handed to the executor."
    )
    requires_approval: bool = Field(default=False, description="Whether somebody must approve before it is ready.")
    approval_timeout: Given[Timeout] = Field(default=None, description="How long the approval may take.")
    approval: Given[ApprovalSpec] = Field(default=None, description="How the approval is asked for.")

    @model_validator(mode="after")
    def _keys_agree(self) -> ExecutorStep:
        for key in ("approval", "approval_timeout"):
            if key in self.model_fields_set and "requires_approval" not in self.model_fields_set:
                raise refusal(f"`{key}` has no effect without `requires_approval: true`", key=key)
        if "model" in self.model_fields_set and "model" in (self.with_ or {}):
            raise refusal("`model` stands under `with:` as well", key="model")
        return self


Step = Annotated[ExecutorStep, BeforeValidator(check_kind)]
"""A step of any kind: one member for now. Further kinds join here as a union, and leave `later.KINDS`."""
