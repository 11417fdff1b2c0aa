"""Names with hyphens in templates: `steps.gather-context` is the step of that name, not a subtraction.

The names of steps and of signals may hold hyphens and begin with digits, which Jinja2 reads as operators and numbers.
The lexer's own tokens are joined again here, before the parser sees them, into `steps['gather-context']`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from jinja2 import Environment
from jinja2.lexer import Lexer

Token = tuple[int, str, str]
"""Line, type and text, as `Lexer.tokeniter` yields them."""

_WORDS = frozenset({"name", "integer", "float"})
_NAME_CHARS = 128


Known = Mapping[str, Collection[str] | None]
"""By `steps` and `signals`, the names that may stand behind each; None: any hyphenated word is one."""


class HyphenLexer(Lexer):
    """Jinja2's lexer, for templates of a definition that has these names."""

    def __init__(self, environment: Environment, known: Known) -> None:
        super().__init__(environment)
        self._known = known

    def tokeniter(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> Iterator[Token]:
        tokens = list(super().tokeniter(source, name, filename, state))
        return _joined(tokens, self._known)


def _joined(tokens: list[Token], known: Known) -> Iterator[Token]:
    position = 0
    before = ""
    while position < len(tokens):
        token = tokens[position]
        if token[1] == "name" and token[2] in known and before not in {".", "|"}:
            found = _hyphened(tokens, position, known[token[2]])
            if found is not None:
                line = token[0]
                yield from ((line, "name", token[2]), (line, "operator", "["))
                yield from ((line, "string", f"'{found.text}'"), (line, "operator", "]"))
                position = found.end
                before = "]"
                continue
        yield token
        if token[1] != "whitespace":
            before = token[2]
        position += 1


@dataclass(slots=True)
class _Name:
    """A possible name; `end` is the position of the token behind it; `plain`: Jinja2 itself reads it likewise."""

    text: str
    end: int
    plain: bool


def _hyphened(tokens: list[Token], position: int, names: Collection[str] | None) -> _Name | None:
    """The name behind the `steps` or `signals` at this position, if it must be joined: the longest that is known.

    Where none is known it is the longest without white space, so that the message about it is about the whole word.
    """
    start = _skip_space(tokens, position + 1)
    if start >= len(tokens) or tokens[start][2] != "." or tokens[start][1] != "operator":
        return None
    candidates = list(_candidates(tokens, _skip_space(tokens, start + 1), spaces=names is not None))
    if not candidates:
        return None
    known = [candidate for candidate in candidates if names is not None and candidate.text in names]
    if not known:
        known = list(_candidates(tokens, _skip_space(tokens, start + 1), spaces=False))[-1:]
    chosen = known[-1]
    return None if chosen.plain else chosen


def _candidates(tokens: list[Token], position: int, *, spaces: bool) -> Iterator[_Name]:
    """Names that the tokens from here on may mean, shortest first: words, joined by hyphens."""
    text = ""
    while True:
        end = position
        while end < len(tokens) and tokens[end][1] in _WORDS and "." not in tokens[end][2]:
            text += tokens[end][2]
            end += 1
        if end > position:
            yield _Name(text, end, plain=text.isidentifier())
        position = end
        end = _skip_space(tokens, position) if spaces else position
        if not 0 < len(text) <= _NAME_CHARS or end >= len(tokens) or tokens[end][1:] != ("operator", "-"):
            return
        while end < len(tokens) and tokens[end][1:] == ("operator", "-"):
            text += "-"
            end += 1
        position = _skip_space(tokens, end) if spaces else end
        if position >= len(tokens) or tokens[position][1] not in _WORDS:
            return


def _skip_space(tokens: list[Token], position: int) -> int:
    while position < len(tokens) and tokens[position][1] == "whitespace":
        position += 1
    return position
