"""Stand-ins for what the examples' executors reach: services that answer, the real renderer, searches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from leasehold.claim.executors.rendering import environment, rendered
from leasehold.core.testing import Failure, StubStep

from tests.kit.markdown import ROOT

EXAMPLES = ROOT / "examples"

_JINJA = environment()


def render(step: StubStep) -> Any:
    """What the built-in executor `render` makes of it."""
    answer = rendered(_JINJA, step.payload["template"], step.payload.get("values", {}), 250_000)
    return answer if "text" in answer else Failure(answer["type"], answer["message"], retryable=False)


class Services:
    """Everything that speaks HTTP: each request is kept, in `asked`; what is `down` fails with 503.

    `down` holds parts of addresses. An answer is JSON with an id that is made of the step's name.
    """

    def __init__(self, *down: str) -> None:
        self.down = set(down)
        self.asked: list[tuple[str, str, Any]] = []

    def __call__(self, step: StubStep) -> Any:
        payload = step.payload
        method, url = payload.get("method", "GET"), payload["url"]
        self.asked.append((method, url, payload.get("json")))
        if any(part in url for part in self.down):
            return Failure("http.503", f"{url} answers 503")
        return {"status": 200, "headers": {}, "json": {"id": f"{step.name}-1"}}

    def addresses(self) -> list[str]:
        """`METHOD path` of each request, in order; a repeated one in a row stands once."""
        found: list[str] = []
        for method, url, _ in self.asked:
            line = f"{method} /{url.split('/', 3)[-1]}"
            if not found or found[-1] != line:
                found.append(line)
        return found


class Search:
    """An `es-query` that answers by index: with a result, or with what a function makes of the payload."""

    def __init__(self, answers: Mapping[str, Any | Callable[[dict[str, Any]], Any]]) -> None:
        self.answers = dict(answers)

    def __call__(self, step: StubStep) -> Any:
        answer = self.answers[step.payload["index"]]
        return answer(step.payload) if callable(answer) else answer


class Indexed:
    """An `es-index` that keeps the documents."""

    def __init__(self) -> None:
        self.documents: list[dict[str, Any]] = []

    def __call__(self, step: StubStep) -> Any:
        documents = step.payload["documents"]
        self.documents += documents
        return {
            "indexed": len(documents),
            "created": len(documents),
            "updated": 0,
            "index_created": False,
            "took_ms": 1,
        }


def hits(*sources: dict[str, Any], total: int | None = None) -> dict[str, Any]:
    """A search's result."""
    return {
        "hits": list(sources),
        "total": len(sources) if total is None else total,
        "aggregations": None,
        "took_ms": 1,
    }
