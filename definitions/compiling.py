"""From a definition's model to its plan: names resolved, defaults merged, templates compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .graph import Graph, Outline, build
from .plan import ApprovalPolicy, Block, Budgets, Plan, RetryPolicy, StepPlan
from .steps import ApprovalSpec, ExecutorStep, RetrySpec
from .templates import Template, ValueCompiler, has_template

if TYPE_CHECKING:
    from .definition import Definition


def compile_plan(definition: Definition, values: ValueCompiler) -> Plan:
    """The plan of a definition whose graph is sound. Raises: DefinitionError for what is no valid template."""
    outlines = [
        Outline(index, step.name, None if step.depends_on is None else tuple(step.depends_on))
        for index, step in enumerate(definition.steps)
    ]
    graph, _ = build(outlines)
    roots = tuple(name for name, needed in graph.depends_on.items() if not needed)
    main = Block("", "main", "", tuple(graph.depends_on), roots)
    steps = {
        step.name: _step(definition, step, ("steps", index), graph, values, main)
        for index, step in enumerate(definition.steps)
    }
    outputs = None if definition.outputs is None else values.compile_always(definition.outputs, ("outputs",))
    return Plan(
        name=definition.name,
        version=definition.version,
        steps=steps,
        roots=roots,
        outputs=outputs,
        max_duration_ms=definition.max_duration or 0,
        budgets=Budgets(llm_calls=definition.max_llm_calls, llm_calls_key="max_llm_calls"),
        main=main,
        priority=definition.priority,
        labels=dict(definition.labels),
    )


def condition_of(value: Any) -> Any:
    """An `if` as it is compiled: white space around the expression would make it text."""
    return value.strip() if isinstance(value, str) else value


def _step(
    definition: Definition,
    step: ExecutorStep,
    path: tuple[str | int, ...],
    graph: Graph,
    values: ValueCompiler,
    main: Block,
) -> StepPlan:
    defaults = definition.defaults
    condition = None
    if step.if_ is not None and step.if_ is not True:
        condition = values.compile_always(condition_of(step.if_), (*path, "if"))
    template = values.compile(step.input, (*path, "input"))
    static_with, with_ = _with(step, path, values)
    return StepPlan(
        name=step.name,
        executor=step.executor,
        depends_on=graph.depends_on[step.name],
        dependents=graph.dependents[step.name],
        ancestors=graph.ancestors[step.name],
        condition=condition,
        input=template,
        static_input=step.input if template is None else None,
        with_=with_,
        static_with=static_with,
        timeout_ms=step.timeout or (defaults.timeout if defaults else None) or 0,
        queue_timeout_ms=step.queue_timeout or 0,
        heartbeat_timeout_ms=step.heartbeat_timeout or 0,
        retry=_retry(step.retry, defaults.retry if defaults else None),
        approval=_approval(step),
        permissions=tuple(step.permissions),
        path=step.name,
        block=main,
    )


def _with(
    step: ExecutorStep, path: tuple[str | int, ...], values: ValueCompiler
) -> tuple[Mapping[str, Any], Template | None]:
    """Further keys for the executor: those that are fixed, and a template of the others."""
    given = {key: ((*path, "with", key), value) for key, value in (step.with_ or {}).items()}
    if "model" in step.model_fields_set:
        given["model"] = ((*path, "model"), step.model)
    static = {key: value for key, (_, value) in given.items() if not has_template(value)}
    made = {key: values.compile_always(value, at) for key, (at, value) in given.items() if key not in static}
    return static, Template.mapping(made) if made else None


def _retry(own: RetrySpec | None, default: RetrySpec | None) -> RetryPolicy:
    """The step's retries, with the keys that it leaves out from the definition's defaults."""
    given: dict[str, Any] = {}
    for spec in (default, own):
        if spec is not None:
            given |= {key: getattr(spec, key) for key in spec.model_fields_set}
    merged = RetrySpec.model_construct(**given)
    return RetryPolicy(
        max_retries=merged.max,
        backoff=merged.backoff,
        initial_ms=merged.initial,
        factor=float(merged.factor),
        max_delay_ms=merged.max_delay,
        jitter=merged.jitter,
        on=tuple(merged.on),
        not_on=tuple(merged.not_on),
    )


def _approval(step: ExecutorStep) -> ApprovalPolicy | None:
    if not step.requires_approval:
        return None
    spec = step.approval or ApprovalSpec()
    form = None
    if spec.form is not None:
        form = {name: field.model_dump(mode="json", exclude_unset=True) for name, field in spec.form.items()}
    return ApprovalPolicy(
        timeout_ms=step.approval_timeout or 0,
        on_timeout=spec.on_timeout,
        approvers=tuple(spec.approvers),
        form=form,
    )
