"""What the kinds of steps without an executor do: `plan.Flow` of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..outline import BlockTree, StepTree
from ..outline.places import stripped
from ..plan import (
    Block,
    Fail,
    Flow,
    Foreach,
    Parallel,
    Remember,
    SetVars,
    SubWorkflow,
    Succeed,
    Switch,
    Wait,
    WaitForSignal,
    While,
)
from ..steps import (
    FailStep,
    ForeachStep,
    ParallelStep,
    RememberStep,
    SetStep,
    SignalStep,
    SucceedStep,
    SwitchStep,
    UntilStep,
    WaitStep,
    WhileStep,
    WorkflowStep,
)
from ..templates import Template, ValueCompiler
from .spoken import Spoken

FlowStep = (
    ForeachStep
    | ParallelStep
    | SwitchStep
    | WhileStep
    | WorkflowStep
    | WaitStep
    | UntilStep
    | SignalStep
    | SetStep
    | RememberStep
    | FailStep
    | SucceedStep
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a flow is made of: the step's place, the compiler of its templates, what is spoken of inside it."""

    tree: StepTree
    values: ValueCompiler
    spoken: Mapping[str, Spoken]

    def template(self, value: Any, key: str) -> Template:
        """The value of one of the step's keys. Raises: DefinitionError."""
        return self.values.compile_always(stripped(value), (*self.tree.at, key))

    def as_it_stands(self, value: Any, key: str) -> Template:
        """The same for text whose white space counts. Raises: DefinitionError."""
        return self.values.compile_always(value, (*self.tree.at, key))


def block_plan(tree: BlockTree) -> Block:
    """A list of steps as the machine reads it."""
    graph = tree.graph
    roots = tuple(name for name, needed in graph.depends_on.items() if not needed)
    owner = "" if tree.owner is None else tree.owner.path
    return Block(tree.prefix, tree.role, owner, tuple(graph.depends_on), roots)


def flow_of(step: FlowStep, parts: Parts) -> tuple[Flow, tuple[Template, ...]]:
    """The flow of a step, and the templates in it that are the step's own."""
    return _FLOWS[type(step)](step, parts)


def sub_workflow(workflow: str, version: Any) -> SubWorkflow:
    """A call; without a number it is of the version that is active at its start."""
    return SubWorkflow(workflow, version if isinstance(version, int) else None)


def _foreach(step: ForeachStep, parts: Parts) -> tuple[Flow, tuple[Template, ...]]:
    items = parts.template(step.foreach, "foreach")
    outer = frozenset(parts.spoken[parts.tree.path].steps)
    body = block_plan(parts.tree.inner("item"))
    return Foreach(items, body, step.max_parallel, step.on_item_failure, outer), (items,)


def _parallel(step: ParallelStep, parts: Parts) -> tuple[Flow, tuple[Template, ...]]:
    branches = {name: block_plan(parts.tree.inner("branch", name)) for name in step.parallel}
    needed: int = {"all": len(branches), "any": 1}.get(step.wait_for) or step.wait_for
    return Parallel(branches, needed), ()


def _switch(step: SwitchStep, parts: Parts) -> tuple[Flow, tuple[Template, ...]]:
    value = parts.template(step.switch, "switch")
    cases = {name: block_plan(parts.tree.inner("branch", name)) for name in step.cases}
    otherwise = None if step.else_ is None else block_plan(parts.tree.inner("branch", "else"))
    return Switch(value, cases, otherwise), (value,)


def _while(step: WhileStep, parts: Parts) -> tuple[Flow, tuple[Template, ...]]:
    condition = parts.template(step.while_, "while")
    return While(condition, block_plan(parts.tree.inner("iteration")), step.max_iterations), (condition,)


def _workflow(step: WorkflowStep, parts: Parts) -> tuple[Flow, tuple[Template, ...]]:
    return sub_workflow(step.workflow, step.version), ()


def _wait(step: WaitStep, parts: Parts) -> tuple[Flow, tuple[Template, ...]]:
    return Wait(wait_ms=step.wait), ()


def _until(step: UntilStep, parts: Parts) -> tuple[Flow, tuple[Template, ...]]:
    until = parts.template(step.until, "until")
    return Wait(until=until), (until,)


def _signal(step: SignalStep, parts: Parts) -> tuple[Flow, tuple[Template, ...]]:
    return WaitForSignal(step.wait_for_signal, step.on_timeout), ()


def _set(step: SetStep, parts: Parts) -> tuple[Flow, tuple[Template, ...]]:
    values = parts.template(step.set, "set")
    return SetVars(values), (values,)


def _remember(step: RememberStep, parts: Parts) -> tuple[Flow, tuple[Template, ...]]:
    values = parts.template(step.remember, "remember")
    return Remember(values), (values,)


def _fail(step: FailStep, parts: Parts) -> tuple[Flow, tuple[Template, ...]]:
    message = parts.as_it_stands(step.fail, "fail")
    return Fail(message), (message,)


def _succeed(step: SucceedStep, parts: Parts) -> tuple[Flow, tuple[Template, ...]]:
    if step.succeed is True:
        return Succeed(), ()
    outputs = parts.template(step.succeed, "succeed")
    return Succeed(outputs), (outputs,)


_FLOWS: dict[type[Any], Callable[[Any, Parts], tuple[Flow, tuple[Template, ...]]]] = {
    ForeachStep: _foreach,
    ParallelStep: _parallel,
    SwitchStep: _switch,
    WhileStep: _while,
    WorkflowStep: _workflow,
    WaitStep: _wait,
    UntilStep: _until,
    SignalStep: _signal,
    SetStep: _set,
    RememberStep: _remember,
    FailStep: _fail,
    SucceedStep: _succeed,
}
