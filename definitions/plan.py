"""The compiled plan: what the machine reads of a definition. Immutable, built once a version, shared by its instances.

Compiling turns names into positions, durations into milliseconds and template strings into compiled templates, and
leaves nothing to look up on the way. The machine imports this module and `templates`, never the pydantic models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .templates import Template


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When and how fast to try again. `max_retries` counts retries after the first attempt.

    `on` and `not_on` are error-type patterns with `*` wildcards; an empty `on` means every type.
    """

    max_retries: int = 0
    backoff: Literal["exponential", "linear", "constant"] = "exponential"
    initial_ms: int = 1_000
    factor: float = 2.0
    max_delay_ms: int = 300_000
    jitter: Literal["full", "equal", "none"] = "full"
    on: tuple[str, ...] = ()
    not_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """`approvers` are principal names or roles; empty means anyone of the tenant. `timeout_ms` 0 waits for ever."""

    timeout_ms: int = 0
    on_timeout: Literal["fail", "approve", "skip"] = "fail"
    approvers: tuple[str, ...] = ()
    form: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step. `depends_on` and `dependents` hold step names; `ancestors` all names upstream: its templates see those.

    `static_input` is the input where no template occurs in it (`input` is None then). A timeout of 0 means none.
    `condition`, `input` and `with_` are templates over the instance's context; `with_` may be None.
    """

    name: str
    executor: str
    depends_on: tuple[str, ...] = ()
    dependents: tuple[str, ...] = ()
    ancestors: frozenset[str] = frozenset()
    condition: Template | None = None
    input: Template | None = None
    static_input: Any = None
    with_: Template | None = None
    static_with: Mapping[str, Any] = field(default_factory=dict)
    timeout_ms: int = 0
    queue_timeout_ms: int = 0
    heartbeat_timeout_ms: int = 0
    retry: RetryPolicy = RetryPolicy()
    approval: ApprovalPolicy | None = None
    permissions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A definition, ready to run. `steps` keeps the order of the YAML; `roots` start at once."""

    name: str
    version: int
    steps: Mapping[str, StepPlan]
    roots: tuple[str, ...]
    outputs: Template | None = None
    max_duration_ms: int = 0
    max_llm_calls: int | None = None
    priority: int = 5
    labels: Mapping[str, str] = field(default_factory=dict)
