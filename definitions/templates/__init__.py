"""Templates: Jinja2 in its sandbox, closed further, with every rendering bounded.

A definition's strings may hold `{{ expressions }}` and `{% statements %}`. `compile_value` turns a JSON-like value into
a `Template`, or into nothing where no template occurs; `Template.render(context)` gives pure JSON. A string that is
exactly one expression keeps the expression's type, any other becomes text, in which what is no string stands as JSON
(`true`, `null`, `[1,2]`).

**Context.** The machine gives a mapping of this shape; all values are JSON:

    inputs    mapping: the checked params, defaults applied
    trigger   mapping: what the start request said caused it
    steps     mapping: name -> {"result": any, "status": str, "error": None or {"type": str, "message": str},
              "attempts": int, "started_at": timestamp or None}; a step sees the steps before it, `outputs` sees all
    instance  {"id", "name", "version", "tenant", "space", "started_at"}; version is an integer
    now       timestamp of the event that is being applied
    vars      mapping: what `set` steps have set
    signals   mapping: name -> the last payload
    item, index   inside a foreach (index from 0, in a while too: of the iteration)
    error     where a failure is seen to: {"type", "message", "step"}
    approval  in the values of a step that was approved: {"decision", "by", "comment", "form"}
    memory    mapping: what the run before has remembered, where the definition has `memory`

Timestamps are ISO 8601 texts in UTC with milliseconds, `2026-03-01T12:00:00.000Z`; they sort as texts, and the `date`
filter turns them into other forms.

**Safety.** Three fences, one behind the other. `rewriting` lets only harmless parts of Jinja2 pass and makes loops and
comparisons pay. `sandbox` is Jinja2's ImmutableSandboxedEnvironment with attribute access reduced to keys of mappings
and a list of methods, so no Python object can be reached. `meter` counts operations and sizes and stops what goes over
`Limits`. Nothing here reads a clock or draws a random number: a rendering depends on template and context alone.

**Way of a string.** `lexing` joins hyphenated step names; Jinja2 parses; `references` lists what it speaks of;
`rewriting` checks and rewrites; Jinja2 compiles to Python, but for plain paths such as `{{ inputs.x }}`, which are
followed key by key (about a microsecond against about ten).
"""

from ..errors import TemplateError
from .meter import LIMITS, Limits
from .references import Reference
from .rewriting import CONTEXT_NAMES, LATER_NAMES, PLACED_NAMES
from .template import Template, ValueCompiler, compile_value, has_template, path_text

__all__ = [
    "CONTEXT_NAMES",
    "LATER_NAMES",
    "LIMITS",
    "PLACED_NAMES",
    "Limits",
    "Reference",
    "Template",
    "TemplateError",
    "ValueCompiler",
    "compile_value",
    "has_template",
    "path_text",
]
