"""The kinds of steps, each a model; `Step` is any of them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from ..fields import Capability, Condition, Given, InputName, Model, Name, ShortText, Timeout, refusal
from .kinds import TAG, check_kind, tag_of
from .policies import ApprovalSpec, RetrySpec
from .values import (
    CaseName,
    Expression,
    ItemsOf,
    OnFailureForm,
    Outcome,
    Switched,
    Until,
    WaitFor,
    WaitTime,
    WorkflowVersion,
    on_failure_tag,
)

Steps = Annotated[list["Step"], Field(min_length=1)]
OnFailure = Annotated[
    Annotated[Literal["fail", "continue"], Tag(f"{TAG}word")] | Annotated[Steps, Tag(f"{TAG}steps")],
    Discriminator(on_failure_tag),
    OnFailureForm,
]
Variables = Annotated[dict[InputName, Any], Field(min_length=1, max_length=200)]
Cost = Annotated[float, Field(ge=0, le=1e12)]


class CommonStep(Model):
    """What every step has. `KIND` is the key that makes it one of its kind."""

    KIND: ClassVar[str]

    name: Name = Field(description="Names the step within its list of steps; `steps.<name>` in templates.")
    depends_on: Given[list[str]] = Field(
        default=None,
        description="Steps of the same list that must be done before it. The step before it where left out; "
        "[] starts at once.",
    )
    if_: Condition = Field(
        default=None, alias="if", description="An expression; where it is false the step is skipped."
    )


class GuardedStep(CommonStep):
    """What steps have that do work: what follows their failure, and who must agree to them."""

    on_failure: OnFailure = Field(
        default="fail",
        description="fail: the instance fails too. continue: it goes on without a result. Steps: these run, and see "
        "`error`; then it goes on.",
    )
    requires_approval: bool = Field(default=False, description="Whether somebody must approve before it starts.")
    approval_timeout: Given[Timeout] = Field(default=None, description="How long the approval may take.")
    approval: Given[ApprovalSpec] = Field(default=None, description="How the approval is asked for.")

    @model_validator(mode="after")
    def _approval_is_asked_for(self) -> GuardedStep:
        for key in ("approval", "approval_timeout"):
            if key in self.model_fields_set and "requires_approval" not in self.model_fields_set:
                raise refusal(f"`{key}` has no effect without `requires_approval: true`", key=key)
        return self


_TIMEOUT = "Of the whole step, from its beginning; then it fails with the type timeout."


class Compensate(Model):
    """What undoes a step that had succeeded, when the instance fails or is cancelled later."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["executor"]}, {"required": ["workflow"]}]})

    executor: Given[Capability] = Field(default=None, description="The capability that may claim it.")
    workflow: Given[Name] = Field(default=None, description="The workflow that does it, in place of an executor.")
    version: Given[WorkflowVersion] = Field(default=None, description="Of the workflow: active, or a number.")
    input: Any = Field(
        default=None, description="Any value, with templates, which see the step itself, those before it and `error`."
    )
    with_: Given[dict[str, Any]] = Field(default=None, alias="with", description="Further keys for the executor.")
    timeout: Given[Timeout] = Field(default=None, description="Of one attempt.")
    queue_timeout: Given[Timeout] = Field(default=None, description="From ready to claimed.")
    heartbeat_timeout: Given[Timeout] = Field(
        default=None, description="An attempt whose executor is silent for so long has lost its lease."
    )
    retry: Given[RetrySpec] = Field(default=None, description="Retries; keys left out come from `defaults.retry`.")
    permissions: list[ShortText] = Field(default=[], description="What it may do, such as read:logs-*.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Compensate:
        if self.executor is not None and self.workflow is not None:
            raise refusal("found `executor` and `workflow`; a compensation is one of both", key="workflow")
        if self.executor is None and self.workflow is None:
            raise refusal("`executor` is missing; a compensation has it, or `workflow`", key="executor")
        other = ("version",) if self.workflow is None else ("with", "queue_timeout", "heartbeat_timeout", "permissions")
        for key in other:
            if ("with_" if key == "with" else key) in self.model_fields_set:
                owner = "workflow" if self.workflow is None else "executor"
                raise refusal(f"`{key}` goes with `{owner}`, which this compensation does not have", key=key)
        return self


class ExecutorStep(GuardedStep):
    """A step that an executor claims and runs."""

    KIND: ClassVar[str] = "executor"
    executor: Capability = Field(description="The capability that may claim it.")
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
    compensate: Given[Compensate] = Field(
        default=None, description="What undoes it, in reverse order, when the instance fails or is cancelled later."
    )
    cost: Cost = Field(default=0.0, description="What an attempt costs whose executor reports no cost.")

    @model_validator(mode="after")
    def _model_stands_once(self) -> ExecutorStep:
        if "model" in self.model_fields_set and "model" in (self.with_ or {}):
            raise refusal("`model` stands under `with:` as well", key="model")
        return self


class ForeachStep(GuardedStep):
    """Steps, or a workflow, for each item of a list; its result is the list of their results, in order."""

    KIND: ClassVar[str] = "foreach"
    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["steps"]}, {"required": ["workflow"]}]})

    foreach: ItemsOf = Field(description="The items: one expression that gives a list, or a list.")
    steps: Given[Steps] = Field(default=None, description="What runs for each item; templates see `item` and `index`.")
    workflow: Given[Name] = Field(default=None, description="The workflow that is called for each item, or `steps`.")
    version: Given[WorkflowVersion] = Field(default=None, description="Of the workflow: active, or a number.")
    input: Any = Field(default=None, description="The workflow's params; templates see `item` and `index`.")
    retry: Given[RetrySpec] = Field(default=None, description="Retries of the workflow of one item.")
    max_parallel: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=10, description="How many items are under way at once."
    )
    on_item_failure: Literal["fail", "continue"] = Field(
        default="fail", description="Whether a failed item fails the step, or has null as its result."
    )
    timeout: Given[Timeout] = Field(default=None, description=_TIMEOUT)

    @model_validator(mode="after")
    def _steps_or_workflow(self) -> ForeachStep:
        if self.steps is not None and self.workflow is not None:
            raise refusal("found `steps` and `workflow`; a foreach has one of both", key="workflow")
        if self.steps is None and self.workflow is None:
            raise refusal("`steps` is missing; a foreach has it, or `workflow`", key="steps")
        for key in ("version", "input", "retry") if self.workflow is None else ():
            if key in self.model_fields_set:
                raise refusal(f"`{key}` goes with `workflow`; a foreach with `steps` has it on these", key=key)
        return self


class ParallelStep(GuardedStep):
    """Branches that run at the same time; its result maps them to the results of their last steps."""

    KIND: ClassVar[str] = "parallel"
    parallel: Annotated[dict[Name, Steps], Field(min_length=1, max_length=100)] = Field(
        description="The branches, each a list of steps, by name."
    )
    wait_for: WaitFor = Field(
        default="all", description="How many branches must succeed; then the others are cancelled."
    )
    timeout: Given[Timeout] = Field(default=None, description=_TIMEOUT)

    @model_validator(mode="after")
    def _enough_branches(self) -> ParallelStep:
        count = len(self.parallel)
        if isinstance(self.wait_for, int) and self.wait_for > count:
            branches = "is 1 branch" if count == 1 else f"are {count} branches"
            raise refusal(f"found {self.wait_for}; there {branches} to wait for", key="wait_for")
        return self


class SwitchStep(GuardedStep):
    """The steps of one of several cases; its result is that of the last of them."""

    KIND: ClassVar[str] = "switch"
    switch: Switched = Field(description="An expression; its value is compared as text with the names of the cases.")
    cases: Annotated[dict[CaseName, Steps], Field(min_length=1, max_length=200)] = Field(
        description="Lists of steps by the value that they are for."
    )
    else_: Given[Steps] = Field(default=None, alias="else", description="What runs where no case fits.")
    timeout: Given[Timeout] = Field(default=None, description=_TIMEOUT)

    @model_validator(mode="after")
    def _cases_have_free_names(self) -> SwitchStep:
        for name in ("else", "on_failure"):
            if name in self.cases:
                advice = "; `else` stands next to `cases`" if name == "else" else ""
                raise refusal(f"`{name}` can't be the name of a case{advice}", key="cases")
        return self


class WhileStep(GuardedStep):
    """Steps that run again and again while a condition holds; its result is that of the last of them."""

    KIND: ClassVar[str] = "while"
    while_: Expression = Field(
        alias="while", description="Asked before each iteration; it sees the steps of the iteration before."
    )
    steps: Steps = Field(description="What runs in each iteration; templates see `index`.")
    max_iterations: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1_000, description="Reaching it fails the step with the type max_iterations."
    )
    timeout: Given[Timeout] = Field(default=None, description=_TIMEOUT)


class WorkflowStep(GuardedStep):
    """A sub-workflow: a child instance; its result is the child's outputs."""

    KIND: ClassVar[str] = "workflow"
    workflow: Name = Field(description="The workflow that is called.")
    version: Given[WorkflowVersion] = Field(
        default=None, description="active, the default, or a number; active is looked up when the step starts."
    )
    input: Any = Field(default=None, description="The child's params, with templates.")
    timeout: Given[Timeout] = Field(default=None, description=_TIMEOUT)
    retry: Given[RetrySpec] = Field(default=None, description="Each retry is a new child instance.")
    compensate: Given[Compensate] = Field(
        default=None, description="What undoes it, in reverse order, when the instance fails or is cancelled later."
    )


class WaitStep(CommonStep):
    """Nothing, for some time."""

    KIND: ClassVar[str] = "wait"
    wait: WaitTime = Field(description="How long.")


class UntilStep(CommonStep):
    """Nothing, until a time."""

    KIND: ClassVar[str] = "until"
    until: Until = Field(description="A timestamp, or an expression that gives one; one that is past ends it at once.")


class SignalStep(CommonStep):
    """Nothing, until a signal of a name; its result is the signal's payload."""

    KIND: ClassVar[str] = "wait_for_signal"
    wait_for_signal: Name = Field(description="The signal's name; one that came before the wait is kept for it.")
    timeout: Given[Timeout] = Field(default=None, description="How long it waits; for ever where it is left out.")
    on_timeout: Literal["fail", "continue"] = Field(
        default="fail", description="continue: the step is skipped, and its result is null."
    )

    @model_validator(mode="after")
    def _a_timeout_is_there(self) -> SignalStep:
        if "on_timeout" in self.model_fields_set and self.timeout is None:
            raise refusal("`on_timeout` has no effect without `timeout`", key="on_timeout")
        return self


class SetStep(CommonStep):
    """Variables of the instance, which templates see as `vars`."""

    KIND: ClassVar[str] = "set"
    set: Variables = Field(description="Values, with templates, by name; each replaces the one before.")


class RememberStep(CommonStep):
    """What the next run with the same memory key sees as `memory`."""

    KIND: ClassVar[str] = "remember"
    remember: Variables = Field(description="Values, with templates, by name.")


class FailStep(CommonStep):
    """Failure, with the type fail."""

    KIND: ClassVar[str] = "fail"
    fail: ShortText = Field(description="What to say, with templates.")


class SucceedStep(CommonStep):
    """Success of the instance, at once."""

    KIND: ClassVar[str] = "succeed"
    succeed: Outcome = Field(description="The outputs, with templates; true for those of the definition.")


AnyStep = (
    Annotated[ExecutorStep, Tag(f"{TAG}executor")]
    | Annotated[ForeachStep, Tag(f"{TAG}foreach")]
    | Annotated[ParallelStep, Tag(f"{TAG}parallel")]
    | Annotated[SwitchStep, Tag(f"{TAG}switch")]
    | Annotated[WhileStep, Tag(f"{TAG}while")]
    | Annotated[WorkflowStep, Tag(f"{TAG}workflow")]
    | Annotated[WaitStep, Tag(f"{TAG}wait")]
    | Annotated[UntilStep, Tag(f"{TAG}until")]
    | Annotated[SignalStep, Tag(f"{TAG}wait_for_signal")]
    | Annotated[SetStep, Tag(f"{TAG}set")]
    | Annotated[RememberStep, Tag(f"{TAG}remember")]
    | Annotated[FailStep, Tag(f"{TAG}fail")]
    | Annotated[SucceedStep, Tag(f"{TAG}succeed")]
)
Step = Annotated[AnyStep, Discriminator(tag_of), BeforeValidator(check_kind)]
"""A step of any kind, told by the key that only this kind has."""

_ALL: tuple[type[CommonStep], ...] = (
    *(ExecutorStep, ForeachStep, ParallelStep, SwitchStep, WhileStep, WorkflowStep, WaitStep, UntilStep, SignalStep),
    *(SetStep, RememberStep, FailStep, SucceedStep),
)
STEP_MODELS = {model.KIND: model for model in _ALL}
"""The model of each kind."""

for _model in (ExecutorStep, ForeachStep, ParallelStep, SwitchStep, WhileStep, WorkflowStep):
    _model.model_rebuild()
