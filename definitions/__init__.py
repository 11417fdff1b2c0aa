"""Workflow definitions: YAML text in, checked models and an executable plan out.

**The way of a text.** `source` reads YAML 1.2 into values that know their line and column, within bounds of size, depth
and aliases, whatever the bytes. `definition`, `steps` and `inputs.spec` are the pydantic models: no unknown keys, no
conversions. `checks` looks at what no model sees: the graph of steps (`graph`), the templates and what they speak of
(`templates`, `checks.scope`), declarations that contradict themselves (`inputs.faults`). It works on the document and
not on the models, so that one error does not hide another, and turns pydantic's errors into the same violations. `load`
gathers all of them into one `DefinitionError`, or returns definitions. `compiling` makes the `Plan`, the only thing
that the machine reads, with durations in milliseconds and templates compiled.

**What is not there yet.** The language has more parts than this release accepts. `later` knows their names, so that
they are refused by name. A step is a union of kinds with one member; a new kind adds its model to `steps.Step`, its
plan to `plan`, and leaves `later.KINDS`.

**Purity.** Nothing here reads a clock, draws a random number or does I/O. Loading and rendering are functions of their
arguments, and bounded: no text, params or template makes them run long (`templates.Limits`, `inputs.patterns`).

Errors: `DefinitionError` is the root; `InputsError` for the params of a start, `TemplateError` for a template at run
time. Every one of them carries `violations`.
"""

from .definition import Definition
from .errors import DefinitionError, InputsError, TemplateError, Violation
from .loading import load, validate_text
from .plan import ApprovalPolicy, Plan, RetryPolicy, StepPlan
from .schema import json_schema
from .templates import Limits, Template, compile_value

__all__ = [
    "ApprovalPolicy",
    "Definition",
    "DefinitionError",
    "InputsError",
    "Limits",
    "Plan",
    "RetryPolicy",
    "StepPlan",
    "Template",
    "TemplateError",
    "Violation",
    "compile_value",
    "json_schema",
    "load",
    "validate_text",
]
