"""A context as the machine makes it, and short ways to render with it."""

from __future__ import annotations

from typing import Any

import pytest
from leasehold.definitions import DefinitionError, Limits, TemplateError, compile_value

CONTEXT: dict[str, Any] = {
    "inputs": {
        "n": 3,
        "f": 1.5,
        "yes": True,
        "nothing": None,
        "text": "Grüße",
        "hosts": ["b", "a", "c"],
        "items": [{"name": "x", "size": 2, "_id": "7"}, {"name": "y", "size": 1, "_id": "8"}],
        "nested": {"items": [1], "keys": "mine", "deep": {"er": [10, {"a": "b"}]}},
    },
    "trigger": {"kind": "manual"},
    "steps": {
        "fetch": {
            "result": {"hits": [1, 2, 3]},
            "status": "succeeded",
            "error": None,
            "attempts": 1,
            "started_at": None,
        },
        "gather-context": {
            "result": "found it",
            "status": "succeeded",
            "error": None,
            "attempts": 2,
            "started_at": None,
        },
        "2nd-try": {"result": 5, "status": "succeeded", "error": None, "attempts": 1, "started_at": None},
    },
    "instance": {
        "id": "03-x",
        "name": "demo",
        "version": 2,
        "tenant": "acme",
        "space": "soc",
        "started_at": "2026-03-01T11:59:00.000Z",
    },
    "now": "2026-03-01T12:00:00.000Z",
}


def render(value: Any, context: dict[str, Any] | None = None, **options: Any) -> Any:
    """The value rendered; a template must occur in it."""
    template = compile_value(value, **options)
    assert template is not None
    return template.render(CONTEXT if context is None else context)


def failure(value: Any, context: dict[str, Any] | None = None, limits: Limits | None = None) -> str:
    """Why a value that compiles does not render."""
    template = compile_value(value, limits=limits or Limits())
    assert template is not None
    with pytest.raises(TemplateError) as caught:
        template.render(CONTEXT if context is None else context)
    return str(caught.value)


def refusal(value: Any, **options: Any) -> str:
    """Why a value does not compile."""
    with pytest.raises(DefinitionError) as caught:
        compile_value(value, **options)
    assert not isinstance(caught.value, TemplateError)
    return caught.value.violations[0].message
