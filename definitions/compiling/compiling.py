"""The plan of a definition: its steps by their static paths, and what it says of the whole instance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ..outline import BlockTree, StepTree, Tree
from ..outline.places import stripped
from ..plan import NO_BUDGETS, Block, Budgets, Concurrency, Plan, StepPlan
from ..steps import (
    Compensate,
    ExecutorStep,
    ForeachStep,
    GuardedStep,
    ParallelStep,
    Step,
    SwitchStep,
    WhileStep,
    WorkflowStep,
)
from ..templates import Template, ValueCompiler
from .flows import FlowStep, Parts, block_plan, flow_of, sub_workflow
from .policies import Path, approval_policy, further_keys, retry_policy
from .spoken import CHANGING, Spoken, spoken_inside

if TYPE_CHECKING:
    from ..definition import Definition


def compile_plan(definition: Definition, values: ValueCompiler, tree: Tree) -> Plan:
    """The plan of a sound definition, whose tree this is. Raises: DefinitionError for what is no valid template."""
    steps = _Steps(definition, values, spoken_inside(tree, values))
    main = steps.block(tree.main, definition.steps, None)
    on_failure = None if tree.on_failure is None else steps.block(tree.on_failure, definition.on_failure or (), None)
    on_cancel = None if tree.on_cancel is None else steps.block(tree.on_cancel, definition.on_cancel or (), None)
    outputs = None if definition.outputs is None else values.compile_always(definition.outputs, ("outputs",))
    memory = definition.memory
    return Plan(
        name=definition.name,
        version=definition.version,
        steps=steps.made,
        roots=main.roots,
        outputs=outputs,
        max_duration_ms=definition.max_duration or 0,
        budgets=_budgets(definition),
        main=main,
        priority=definition.priority,
        labels=dict(definition.labels),
        on_failure=on_failure,
        on_cancel=on_cancel,
        concurrency=_concurrency(definition, values),
        idempotency=_start_text(definition.idempotency, ("idempotency",), values),
        memory_key=None if memory is None else _start_text(memory.key, ("memory", "key"), values),
        compensates=any(step.compensation is not None for step in steps.made.values()),
    )


def _budgets(definition: Definition) -> Budgets:
    spec = definition.budgets
    if spec is None:
        calls = definition.max_llm_calls
        return NO_BUDGETS if calls is None else Budgets(llm_calls=calls, llm_calls_key="max_llm_calls")
    short = definition.max_llm_calls is not None
    return Budgets(
        llm_calls=definition.max_llm_calls if short else spec.llm_calls,
        llm_tokens=spec.llm_tokens,
        cost=None if spec.cost is None else float(spec.cost),
        steps=spec.steps,
        llm_calls_key="max_llm_calls" if short else "budgets.llm_calls",
    )


def _concurrency(definition: Definition, values: ValueCompiler) -> Concurrency | None:
    spec = definition.concurrency
    if spec is None:
        return None
    key = values.compile_always(stripped(spec.key), ("concurrency", "key"))
    return Concurrency(key, spec.limit, spec.strategy)


def _start_text(text: str | None, at: Path, values: ValueCompiler) -> Template | None:
    return None if text is None else values.compile_always(stripped(text), at)


@dataclass(slots=True)
class _Steps:
    """The steps compiled so far, by their static paths."""

    definition: Definition
    values: ValueCompiler
    spoken: dict[str, Spoken]
    made: dict[str, StepPlan] = field(default_factory=dict)

    def block(self, tree: BlockTree, models: Iterable[Step], outer: StepPlan | None) -> Block:
        """A list of steps: its plan; the steps and all inside them join `made`."""
        block = block_plan(tree)
        for step, model in zip(tree.steps, models, strict=True):
            self._step(step, model, block, outer)
        return block

    def _step(self, tree: StepTree, model: Any, block: Block, outer: StepPlan | None) -> None:
        assert tree.name is not None
        condition = None
        if model.if_ is not None and model.if_ is not True:
            condition = self.values.compile_always(stripped(model.if_), (*tree.at, "if"))
        graph = tree.block.graph
        keys: dict[str, Any] = {
            "name": tree.name,
            "depends_on": graph.depends_on[tree.name],
            "dependents": graph.dependents[tree.name],
            "ancestors": graph.ancestors[tree.name],
            "condition": condition,
            "path": tree.path,
            "block": block,
            "outer": outer,
        }
        own = [condition]
        if isinstance(model, ExecutorStep):
            keys |= self._work(model, tree.at)
            keys["cost"] = float(model.cost)
        else:
            keys |= self._flow(model, tree, own)
        if isinstance(model, GuardedStep):
            keys |= {"approval": approval_policy(model), "on_failure": _on_failure(model, tree)}
        keys["reads"] = _reads([*own, keys.get("input"), keys.get("with_")], self.spoken.get(tree.path))
        if isinstance(model, ExecutorStep | WorkflowStep) and model.compensate is not None:
            keys["compensation"] = self._compensation(model.compensate, tree, keys)
        step = StepPlan(**keys)
        self.made[step.path] = step
        self._inside(tree, model, step)
        if step.compensation is not None:
            self.made[step.compensation.path] = step.compensation

    def _inside(self, tree: StepTree, model: Any, step: StepPlan) -> None:
        for inner in tree.blocks:
            if inner.role == "item" and isinstance(model, ForeachStep) and model.steps is None:
                self._called(inner, model, step)
            else:
                self.block(inner, _models(model, inner), step)

    def _called(self, tree: BlockTree, model: ForeachStep, outer: StepPlan) -> None:
        """The one step in a foreach that calls a workflow."""
        run = WorkflowStep.model_construct(
            _fields_set={"name", "workflow"},
            name="run",
            workflow=model.workflow,
            version=model.version,
            input=model.input,
            retry=model.retry,
        )
        self.block(tree, [run], outer)

    def _work(self, model: ExecutorStep | Compensate, at: Path) -> dict[str, Any]:
        """What an executor is asked for."""
        defaults = self.definition.defaults
        static_with, with_ = further_keys(model, at, self.values)
        return {
            **self._input(model.input, at),
            "executor": model.executor,
            "with_": with_,
            "static_with": static_with,
            "timeout_ms": model.timeout or (defaults.timeout if defaults else None) or 0,
            "queue_timeout_ms": model.queue_timeout or 0,
            "heartbeat_timeout_ms": model.heartbeat_timeout or 0,
            "retry": retry_policy(model.retry, defaults.retry if defaults else None),
            "permissions": tuple(model.permissions),
        }

    def _flow(self, model: FlowStep, tree: StepTree, own: list[Template | None]) -> dict[str, Any]:
        """What a step without an executor does; the templates in it join `own`."""
        flow, templates = flow_of(model, Parts(tree, self.values, self.spoken))
        own += templates
        keys: dict[str, Any] = {"flow": flow, "timeout_ms": getattr(model, "timeout", None) or 0}
        if isinstance(model, WorkflowStep):
            keys |= {**self._input(model.input, tree.at), "retry": retry_policy(model.retry)}
        return keys

    def _input(self, value: Any, at: Path) -> dict[str, Any]:
        template = self.values.compile(value, (*at, "input"))
        return {"input": template, "static_input": value if template is None else None}

    def _compensation(self, model: Compensate, tree: StepTree, keys: dict[str, Any]) -> StepPlan:
        at = (*tree.at, "compensate")
        own: dict[str, Any]
        if model.workflow is None:
            own = self._work(model, at)
        else:
            own = {
                **self._input(model.input, at),
                "flow": sub_workflow(model.workflow, model.version),
                "timeout_ms": model.timeout or 0,
                "retry": retry_policy(model.retry),
            }
        return StepPlan(
            name=f"{tree.name}.compensate",
            path=f"{tree.path}.compensate",
            block=keys["block"],
            outer=keys["outer"],
            ancestors=keys["ancestors"] | {tree.name},
            reads=_reads([own["input"], own.get("with_")], None),
            **own,
        )


def _on_failure(model: GuardedStep, tree: StepTree) -> Literal["fail", "continue"] | Block:
    return model.on_failure if isinstance(model.on_failure, str) else block_plan(tree.inner("handler"))


def _reads(own: Iterable[Template | None], inside: Spoken | None) -> frozenset[str]:
    """Which of the names that change it speaks of; for a foreach, what its items do as well."""
    spoken = {reference.name for template in own if template is not None for reference in template.references}
    return frozenset((spoken & CHANGING) | (inside.reads if inside is not None else set()))


def _models(model: Any, inner: BlockTree) -> Iterable[Step]:
    """The models of the steps of one of a step's blocks."""
    return list(_all_models(model, inner))


def _all_models(model: Any, inner: BlockTree) -> Iterator[Step]:
    if inner.role == "handler":
        yield from model.on_failure
    elif isinstance(model, ForeachStep | WhileStep):
        yield from model.steps or ()
    elif isinstance(model, ParallelStep):
        yield from model.parallel[str(inner.key)]
    elif isinstance(model, SwitchStep):
        yield from (model.else_ if inner.key == "else" else model.cases[str(inner.key)]) or ()
