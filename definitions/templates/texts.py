"""One string with templates in it, compiled: a plain path, one expression that keeps its type, or text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import CodeType, TracebackType
from typing import Any

from jinja2 import Template as JinjaTemplate
from jinja2 import nodes
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.exceptions import TemplateSyntaxError
from jinja2.nodes import EvalContext

from ..errors import DefinitionError, TemplateError, Violation
from .conditions import TESTS
from .context import RenderContext
from .filters.table import FILTERS
from .meter import LimitExceeded, Limits, Meter
from .references import Locate, Reference, path_of, references
from .rewriting import Refused, rewrite
from .sandbox import Sandbox

Evaluate = Callable[[Mapping[str, Any], Meter], Any]
_BRACKETS_MAX = 25
_MESSAGE_CHARS = 500
_RESULT = "result"


class TextCompiler:
    """Compiles the strings of one definition, whose names it knows. `lone`: the last one was one expression.

    Whatever a running template provokes in Python, any exception at all, is that template's failure: a TemplateError.
    """

    def __init__(self, steps: Collection[str] | None, signals: Collection[str] | None, limits: Limits) -> None:
        self.limits = limits
        self.lone = False
        self._sandbox = Sandbox(steps, signals)
        self._eval_ctx = EvalContext(self._sandbox, None)

    def compile(self, text: str, path: str, locate: Locate | None, spoken_of: list[Reference]) -> Evaluate:
        """What gives the string's value. What it speaks of joins `spoken_of`, also when the rest is refused.

        Raises: DefinitionError with one violation.
        """
        try:
            return self._compile(text, path, locate, spoken_of)
        except TemplateSyntaxError as error:
            raise _violation(error, path, locate) from error
        except (ValueError, SyntaxError, RecursionError, MemoryError, OverflowError) as error:
            # From the depths of Jinja2's lexer or of Python's compiler: numbers of 5,000 digits and the like.
            message = f"the template can't be read: {_sentence(error)}"
            raise _violation(TemplateSyntaxError(message, 1), path, locate) from error

    def _compile(self, text: str, path: str, locate: Locate | None, spoken_of: list[Reference]) -> Evaluate:
        if len(text) > self.limits.source_chars:
            raise TemplateSyntaxError(f"a template has at most {self.limits.source_chars} characters", 1)
        _check_brackets(self._sandbox, text)
        template = self._sandbox.parse(text)
        spoken_of += references(template, path, locate)
        lone = _lone_expression(template)
        self.lone = lone is not None
        rewrite(template, FILTERS, TESTS)
        if lone is None:
            return self._text(template, path, locate)
        keys = path_of(lone)
        if keys is not None:
            return self._path(keys, path, locate, lone.lineno)
        target = nodes.Name(_RESULT, "store", lineno=lone.lineno)
        # The rewritten node: `rewrite` may have put another one in its place.
        value = template.body[0].nodes[0]  # type: ignore[attr-defined]
        template.body = [nodes.Assign(target, value, lineno=lone.lineno)]
        template.set_environment(self._sandbox)
        return self._expression(template, path, locate)

    def _root(self, template: nodes.Template) -> JinjaTemplate:
        code = self._sandbox.compile(template)
        assert isinstance(code, CodeType)
        return JinjaTemplate.from_code(self._sandbox, code, {})

    def _expression(self, template: nodes.Template, path: str, locate: Locate | None) -> Evaluate:
        compiled = self._root(template)
        sandbox, eval_ctx, root = self._sandbox, self._eval_ctx, compiled.root_render_func

        def evaluate(context: Mapping[str, Any], meter: Meter) -> Any:
            try:
                running = RenderContext(sandbox, context, meter, eval_ctx)
                for _ in root(running):
                    pass
                return meter.made(running.vars[_RESULT])
            except Exception as error:
                raise _failure(error, compiled, path, locate) from error

        return evaluate

    def _text(self, template: nodes.Template, path: str, locate: Locate | None) -> Evaluate:
        compiled = self._root(template)
        sandbox, eval_ctx, root = self._sandbox, self._eval_ctx, compiled.root_render_func

        def evaluate(context: Mapping[str, Any], meter: Meter) -> Any:
            try:
                pieces, chars = [], 0
                for piece in root(RenderContext(sandbox, context, meter, eval_ctx)):
                    chars += len(piece)
                    if chars > meter.output_left:
                        meter.output(chars)
                    pieces.append(piece)
                return meter.made("".join(pieces))
            except Exception as error:
                raise _failure(error, compiled, path, locate) from error

        return evaluate

    def _path(self, keys: tuple[str | int, ...], path: str, locate: Locate | None, lineno: int) -> Evaluate:
        """A path needs no compiled code: its keys are followed one by one."""
        root, rest = str(keys[0]), keys[1:]
        sandbox = self._sandbox

        def evaluate(context: Mapping[str, Any], meter: Meter) -> Any:
            try:
                value: Any = context[root]
                for key in rest:
                    value = value[key]
                return meter.given(value)
            except (LookupError, TypeError, ValueError, LimitExceeded) as error:
                return slowly(context, meter, error)

        def slowly(context: Mapping[str, Any], meter: Meter, error: Exception) -> Any:
            """As the sandbox would do it, which knows methods and says what is absent."""
            try:
                if isinstance(error, LimitExceeded):
                    raise error
                running = RenderContext(sandbox, context, meter, self._eval_ctx)
                value = running.resolve(root)
                for key in rest:
                    value = sandbox.getattr(value, key) if isinstance(key, str) else sandbox.getitem(value, key)
                return meter.made(value)
            except Exception as failure:
                line = None if locate is None else locate(lineno, "")[0]
                raise TemplateError(_sentence(failure), path=path, line=line) from failure

        return evaluate


def _lone_expression(template: nodes.Template) -> nodes.Expr | None:
    """The expression, if the string is nothing else (a line feed at its end, as block scalars have it, apart)."""
    if len(template.body) != 1 or not isinstance(template.body[0], nodes.Output):
        return None
    output = template.body[0]
    if len(output.nodes) == 2 and isinstance(output.nodes[1], nodes.TemplateData) and output.nodes[1].data == "\n":
        del output.nodes[1]
    if len(output.nodes) != 1 or isinstance(output.nodes[0], nodes.TemplateData):
        return None
    return output.nodes[0]


def _check_brackets(sandbox: Sandbox, text: str) -> None:
    """Bound the parser's recursion by the template alone, not by the stack that happens to be above it."""
    depth = 0
    for line, kind, token in sandbox.lexer.tokeniter(text, None):
        if kind != "operator":
            continue
        if token in {"(", "[", "{"}:
            depth += 1
        elif token in {")", "]", "}"}:
            depth -= 1
        if depth > _BRACKETS_MAX:
            raise TemplateSyntaxError(f"brackets are nested deeper than {_BRACKETS_MAX} levels", line)


def _violation(error: TemplateSyntaxError, path: str, locate: Locate | None) -> DefinitionError:
    message = error.message or "the template can't be read"
    word, near = (error.word, error.near) if isinstance(error, Refused) else ("", None)
    text = message if isinstance(error, Refused) else f"template syntax: {message}"
    line, column = (None, None) if locate is None else locate(error.lineno, word)
    return DefinitionError([Violation(path, text, line, column, found=word or None, nearest=near)])


def _failure(error: Exception, compiled: JinjaTemplate, path: str, locate: Locate | None) -> TemplateError:
    line = None
    if locate is not None:
        line = locate(_template_line(error.__traceback__, compiled), "")[0]
    return TemplateError(_sentence(error), path=path, line=line)


def _template_line(traceback: TracebackType | None, compiled: JinjaTemplate) -> int:
    """The line of the template that was running when the error was raised."""
    line = 1
    root = compiled.root_render_func
    while traceback is not None:
        if traceback.tb_frame.f_globals is root.__globals__:
            line = compiled.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


def _sentence(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, ZeroDivisionError):
        return "division by zero"
    if isinstance(error, JinjaError | LimitExceeded | TypeError | ValueError | LookupError):
        text = str(error)
    else:
        text = f"{type(error).__name__}: {error}"
    return text[:_MESSAGE_CHARS] or type(error).__name__
