"""Retries, approvals, and what an executor is given: the parts that several kinds of steps share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..inputs.params import ParamsCheck
from ..plan import ApprovalPolicy, RetryPolicy
from ..steps import ApprovalSpec, Compensate, ExecutorStep, GuardedStep, RetrySpec
from ..templates import Template, ValueCompiler, has_template

Path = tuple[str | int, ...]


def retry_policy(own: RetrySpec | None, default: RetrySpec | None = None) -> RetryPolicy:
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


def approval_policy(step: GuardedStep) -> ApprovalPolicy | None:
    """How its approval is asked for, if it needs one."""
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
        form_check=None if spec.form is None else ParamsCheck(spec.form),
    )


def further_keys(
    step: ExecutorStep | Compensate, at: Path, values: ValueCompiler
) -> tuple[Mapping[str, Any], Template | None]:
    """Further keys for the executor: those that are fixed, and a template of the others."""
    given = {key: ((*at, "with", key), value) for key, value in (step.with_ or {}).items()}
    if isinstance(step, ExecutorStep) and "model" in step.model_fields_set:
        given["model"] = ((*at, "model"), step.model)
    static = {key: value for key, (_, value) in given.items() if not has_template(value)}
    made = {key: values.compile_always(value, place) for key, (place, value) in given.items() if key not in static}
    return static, Template.mapping(made) if made else None
