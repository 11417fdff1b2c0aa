"""A definition: the pydantic model of one YAML document, and what can be asked of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from .compiling import compile_plan
from .fields import INTEGER_MAX, Given, InputName, Labels, Model, Name, Priority, ShortText, Text, Timeout, refusal
from .inputs.params import ParamsCheck
from .inputs.spec import InputSpec
from .outline import STEPS_MAX, Tree, read_tree
from .plan import Plan
from .steps import RetrySpec, Step, Steps
from .templates import ValueCompiler

INPUTS_MAX = 200
MANAGED_PREFIX = "system-"


class DefaultsSpec(Model):
    """What every step has that does not say otherwise."""

    timeout: Given[Timeout] = Field(default=None, description="The timeout of steps that name none.")
    retry: Given[RetrySpec] = Field(default=None, description="Retries of steps, key by key, where they say nothing.")


class BudgetsSpec(Model):
    """What an instance, with all its children, may use; above it fails by the budget's name."""

    llm_calls: Given[Annotated[int, Field(ge=0, le=INTEGER_MAX)]] = Field(
        default=None, description="LLM calls that executors may report."
    )
    llm_tokens: Given[Annotated[int, Field(ge=0, le=2**53)]] = Field(
        default=None, description="LLM tokens that executors may report, input and output."
    )
    cost: Given[Annotated[float, Field(ge=0, le=1e12)]] = Field(
        default=None, description="Cost that executors report, or steps declare; in whatever currency these do."
    )
    steps: Given[Annotated[int, Field(ge=1, le=INTEGER_MAX)]] = Field(
        default=None, description="Attempts that may end, retries and those inside loops counted."
    )


class ConcurrencySpec(Model):
    """How many instances with the same key may be under way at once."""

    key: ShortText = Field(description="Instances with the same one share the limit; templates see inputs and trigger.")
    limit: Annotated[int, Field(ge=1, le=10_000)] = Field(default=1, description="Live instances with the same key.")
    strategy: Literal["queue", "drop", "cancel_running", "replace_waiting"] = Field(
        default="queue",
        description="What becomes of one more: it waits, is refused, takes the place of a running one, or of those "
        "that wait.",
    )


class MemorySpec(Model):
    """What runs with the same key hand on from one to the next."""

    key: ShortText = Field(description="Runs with the same one share a memory; templates see inputs and trigger.")


class Definition(Model):
    """A workflow: what runs after what, and what it needs. Immutable once stored under its name and version."""

    name: Name = Field(description="Names the workflow. Names that begin with system- are reserved.")
    version: Annotated[int, Field(ge=1, le=INTEGER_MAX)] = Field(
        default=1, description="A stored version never changes: other content needs a higher one."
    )
    description: Given[Text] = Field(default=None, description="For people.")
    labels: Labels = Field(default={}, description="Stand on every instance and can be searched for.")
    inputs: Given[Annotated[dict[InputName, InputSpec], Field(max_length=INPUTS_MAX)]] = Field(
        default=None, description="The params that a start gives. Without it a start may give any."
    )
    max_duration: Given[Timeout] = Field(default=None, description="Of the whole instance.")
    max_llm_calls: Given[Annotated[int, Field(ge=0, le=INTEGER_MAX)]] = Field(
        default=None, description="LLM calls that executors may report; above it the instance fails."
    )
    budgets: Given[BudgetsSpec] = Field(default=None, description="What an instance may use, its children counted.")
    concurrency: Given[ConcurrencySpec] = Field(
        default=None, description="How many instances with the same key may be under way at once."
    )
    idempotency: Given[ShortText] = Field(
        default=None,
        description="A start whose text is that of an earlier one gives the instance of that; templates see inputs and "
        "trigger.",
    )
    memory: Given[MemorySpec] = Field(
        default=None, description="What `remember` keeps for the next run with the same key, which sees it as `memory`."
    )
    priority: Priority = Field(default=5, description="high, normal or low, or 0 (first) to 9.")
    defaults: Given[DefaultsSpec] = Field(default=None, description="What steps have that do not say otherwise.")
    steps: Annotated[list[Step], Field(min_length=1, max_length=STEPS_MAX)] = Field(
        description="What is to be done, each step after the one before it unless `depends_on` says otherwise."
    )
    outputs: Given[dict[str, Any]] = Field(
        default=None, description="The result of an instance that succeeds, with templates that see every step."
    )

    on_failure: Given[Steps] = Field(
        default=None, description="Steps that run when the instance fails; they see every step, and `error`."
    )
    on_cancel: Given[Steps] = Field(
        default=None, description="Steps that run when the instance is cancelled; they see every step, and `error`."
    )

    _source: str = PrivateAttr(default="")
    _content: Any = PrivateAttr(default=None)
    _values: ValueCompiler | None = PrivateAttr(default=None)
    _tree: Tree | None = PrivateAttr(default=None)
    _plan: Plan | None = PrivateAttr(default=None)
    _params: ParamsCheck | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _keys_agree(self) -> Definition:
        if self.max_llm_calls is not None and self.budgets is not None and self.budgets.llm_calls is not None:
            raise refusal(
                "found with `budgets.llm_calls`, of which it is the short form; keep one", key="max_llm_calls"
            )
        return self

    @property
    def source(self) -> str:
        """The text of this document, comments and all; empty for a definition that was not loaded from text."""
        return self._source

    def content_hash(self) -> str:
        """SHA-256, in hexadecimal, of what the document says, however it is written.

        Comments, layout, quoting and the order of keys do not count; every value does, in the form in which it
        stands: `60s` and `1m` are different content, `1` and `1.0` too. It covers what was written and not what this
        release makes of it, so a later release with more keys and defaults gives the same hash.
        """
        content = self._content
        if content is None:
            content = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def compile(self) -> Plan:
        """What the machine reads; the same object at each call. Raises: DefinitionError, but never after `load`."""
        if self._plan is None:
            tree = self._tree or read_tree(self.model_dump(by_alias=True, exclude_unset=True))
            values = self._values or ValueCompiler(tree.step_names(), tree.signal_names())
            self._plan = compile_plan(self, values, tree)
            self._values = self._tree = None
        return self._plan

    def check_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The params of a start with defaults applied, to be seen as `inputs`.

        Nothing is converted, but that timestamps are brought into the form that templates see. A definition without
        `inputs` takes any params. Raises: InputsError with every violation.
        """
        return self.params_check()(params)

    def params_check(self) -> ParamsCheck:
        """`check_params` for whoever checks often: finding it costs a model more than most checks do."""
        if self._params is None:
            self._params = ParamsCheck(self.inputs)
        return self._params

    def loaded(self, source: str, content: Any, values: ValueCompiler, tree: Tree) -> Definition:
        """The same definition, with the text that it came from and its templates, compiled as they were checked."""
        self._source, self._content, self._values, self._tree = source, content, values, tree
        return self
