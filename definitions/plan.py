"""The compiled plan: what the machine reads of a definition. Immutable, built once a version, shared by its instances.

Compiling turns names into positions, durations into milliseconds and template strings into compiled templates, and
leaves nothing to look up on the way. The machine imports this module and `templates`, never the pydantic models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .inputs.params import ParamsCheck
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
    """`approvers` are principal names or roles; empty means anyone of the tenant. `timeout_ms` 0 waits for ever.

    `form` is the form's fields as they were declared, for people; `form_check` checks what a decision gives for them.
    """

    timeout_ms: int = 0
    on_timeout: Literal["fail", "approve", "skip"] = "fail"
    approvers: tuple[str, ...] = ()
    form: Mapping[str, Any] | None = None
    form_check: ParamsCheck | None = None


BlockRole = Literal["main", "item", "branch", "iteration", "handler", "on_failure", "on_cancel"]


@dataclass(frozen=True, slots=True)
class Block:
    """A list of steps: that of the definition itself, or one inside a step.

    `prefix` is what the static paths of its steps begin with: `""` for `main`, `each-host.` for the items of a foreach
    and the iterations of a while, `both.left.` for a branch of a parallel or a case of a switch (`branch.else.` for its
    `else`), `reason.on_failure.` for a step's `on_failure`, `on_failure.` and `on_cancel.` for the definition's.
    `owner` is the static path of the step that it belongs to, empty for those of the definition. `names` keeps the
    order of the YAML; `roots` start at once; the result of the last name is an item's result.
    """

    prefix: str
    role: BlockRole
    owner: str
    names: tuple[str, ...]
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Foreach:
    """`items` gives a list. `outer` names the steps outside that templates inside speak of."""

    items: Template
    body: Block
    max_parallel: int = 10
    on_item_failure: Literal["fail", "continue"] = "fail"
    outer: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Parallel:
    """`needed`: how many branches have to succeed; when they have, the others are cancelled."""

    branches: Mapping[str, Block]
    needed: int


@dataclass(frozen=True, slots=True)
class Switch:
    """`value` is compared as text with the keys of `cases` (a boolean is `true` or `false`, null is `null`)."""

    value: Template
    cases: Mapping[str, Block]
    otherwise: Block | None = None


@dataclass(frozen=True, slots=True)
class While:
    """`condition` is asked before each iteration; the one after the last allowed fails the step."""

    condition: Template
    body: Block
    max_iterations: int


@dataclass(frozen=True, slots=True)
class SubWorkflow:
    """A child instance with the step's `input` as its params. `version` None: the one that is active at its start."""

    workflow: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """`wait_ms` after activation, or until `until`, a timestamp; one of both."""

    wait_ms: int = 0
    until: Template | None = None


@dataclass(frozen=True, slots=True)
class WaitForSignal:
    """Until a signal of that name; the step's `timeout_ms` is how long. `continue` skips the step then."""

    signal: str
    on_timeout: Literal["fail", "continue"] = "fail"


@dataclass(frozen=True, slots=True)
class SetVars:
    """`values` gives a mapping that goes into `vars`, key by key."""

    values: Template


@dataclass(frozen=True, slots=True)
class Remember:
    """`values` gives a mapping that goes into what the next run with the same memory key sees as `memory`."""

    values: Template


@dataclass(frozen=True, slots=True)
class Fail:
    """`message` gives the error's text; its type is `fail`."""

    message: Template


@dataclass(frozen=True, slots=True)
class Succeed:
    """Ends the instance well, at once. `outputs` gives its outputs; None: those of the definition."""

    outputs: Template | None = None


Flow = Foreach | Parallel | Switch | While | SubWorkflow | Wait | WaitForSignal | SetVars | Remember | Fail | Succeed


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step. `depends_on` and `dependents` hold names within its block; `ancestors` all of its block's upstream.

    `path` is its static path: its block's prefix and its name. A run path has the indices of loops in it as well, and
    ends with the name too, so what stands before the name is the block's place in the run. `flow` is None for a step
    that an executor runs; every other kind has it, and no `executor`. `outer` is the step whose block this one stands
    in. A step's templates see its ancestors, then those of `outer`, and so on; the nearest of a name counts.

    `static_input` is the input where no template occurs in it (`input` is None then). A timeout of 0 means none; that
    of a step without an executor counts from its activation. `condition`, `input` and `with_` are templates over the
    instance's context; `with_` may be None. `reads`: which of `vars` and `signals` the step's templates speak of, since
    these change while it waits. `on_failure`: what follows when the step has failed for good. `compensation` is the
    step that undoes this one; its name is `<name>.compensate`, its path accordingly, its block that of this one.
    `cost` is what an attempt costs whose executor reports no cost.
    """

    name: str
    executor: str = ""
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
    path: str = ""
    block: Block | None = None
    outer: StepPlan | None = None
    flow: Flow | None = None
    on_failure: Literal["fail", "continue"] | Block = "fail"
    compensation: StepPlan | None = None
    reads: frozenset[str] = frozenset()
    cost: float = 0.0

    def prefix_of(self, path: str) -> str:
        """The place in the run of the block that the step stands in, given the step's run path."""
        return path[: len(path) - len(self.name)]


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most `limit` live instances of one tenant and workflow whose `key` renders to the same text, in all lanes.

    `strategy` says what becomes of one more.
    """

    key: Template
    limit: int = 1
    strategy: Literal["queue", "drop", "cancel_running", "replace_waiting"] = "queue"


@dataclass(frozen=True, slots=True)
class Budgets:
    """What an instance and all its children may use; None: without limit. `llm_calls_key`: the key that set it."""

    llm_calls: int | None = None
    llm_tokens: int | None = None
    cost: float | None = None
    steps: int | None = None
    llm_calls_key: str = "budgets.llm_calls"


NO_BUDGETS = Budgets()
"""The one that is in every plan without limits, so that it can be told by identity."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A definition, ready to run.

    `steps` maps static paths to every step, those inside blocks and the compensations too, in the order of the YAML;
    `main` is the block that an instance starts with, `roots` are its roots. `idempotency` and `memory_key` give texts
    and see `inputs` and `trigger` alone, as does the key of `concurrency`.
    """

    name: str
    version: int
    steps: Mapping[str, StepPlan]
    roots: tuple[str, ...]
    outputs: Template | None = None
    max_duration_ms: int = 0
    budgets: Budgets = NO_BUDGETS
    priority: int = 5
    labels: Mapping[str, str] = field(default_factory=dict)
    main: Block = field(kw_only=True)
    on_failure: Block | None = None
    on_cancel: Block | None = None
    concurrency: Concurrency | None = None
    idempotency: Template | None = None
    memory_key: Template | None = None
    compensates: bool = False

    def step(self, path: str) -> StepPlan:
        """The step at a run path. Raises: KeyError."""
        step = self.steps.get(path)
        return self.steps[_INDEX.sub("", path)] if step is None else step


_INDEX = re.compile(r"\[\d+\]")
