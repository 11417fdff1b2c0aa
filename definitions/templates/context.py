"""What a running template holds on to: the values it sees, its own variables, and the meter that it pays at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from jinja2.utils import missing

from .meter import Meter
from .methods import RANGE

if TYPE_CHECKING:
    from .sandbox import Sandbox


class RenderContext(Context):
    """A context over the machine's own mapping, which is not copied; made anew for each rendering of each template."""

    def __init__(self, environment: Sandbox, given: Mapping[str, Any], meter: Meter, eval_ctx: EvalContext) -> None:
        # The base class's work, but for its copies: this runs for every template that is more than a path.
        self.environment = environment
        self.parent = given  # type: ignore[assignment]
        self.vars = {}
        self.exported_vars = set()
        self.eval_ctx = eval_ctx
        self.name = None
        self.blocks = {}
        self.globals_keys = set()
        self.meter = meter

    def resolve_or_missing(self, key: str) -> Any:
        value = self.vars.get(key, missing)
        if value is missing:
            value = self.parent.get(key, missing)
        if value is missing and key == "range":
            return RANGE
        return value


def meter_of(context: Context) -> Meter:
    """The meter of the rendering that a filter or test was called in."""
    assert isinstance(context, RenderContext)
    return context.meter
