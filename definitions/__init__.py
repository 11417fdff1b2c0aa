"""Workflow definitions: YAML text in, checked models and an executable plan out.

**The way of a text.** `source` reads YAML 1.2 into values that know their line and column, within bounds of size, depth
and aliases, whatever the bytes. `blueprints` writes out what is parameterised. `definition`, `steps` and `inputs.spec`
are the pydantic models: no unknown keys, no conversions. `outline` is how the steps stand: after each other (`graph`),
inside each other (`tree`), and what is visible from where (`places`). `checks` looks at what no model sees: that
outline, the templates and what they speak of (`templates`, `checks.scope`), where steps may stand (`checks.rules`),
declarations that contradict themselves (`inputs.faults`). It works on the document and not on the models, so that one
error does not hide another, and turns pydantic's errors into the same violations. `load` gathers all of them into one
`DefinitionError`, or returns definitions. `compiling` makes the `Plan`, the only thing that the machine reads, with
durations in milliseconds and templates compiled.

**Kinds of steps.** A step is of the kind of the one key that only this kind has (`steps.KINDS`), and `steps.Step` is
the union of their models. A new kind adds its model there, its templates to `outline.places`, its lists of steps, if
it has any, to `outline.tree`, its `plan.Flow`, and its line in `compiling.flows`.

**What is not there yet.** `checks.later` knows the names of what this release does not accept, so that it is refused by
name.

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
