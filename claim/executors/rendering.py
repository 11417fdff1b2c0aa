"""The child process of `render`: reads payloads, one JSON line each, and answers them; bounds itself.

Run as a script, hence it imports nothing of this package. An answer is eight bytes of length, then JSON: `{"text"}` or
`{"type", "message"}`. It ends with its input, or when a rendering uses up its processor time.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Mapping
from typing import IO, Any

import msgspec

try:
    import resource
except ImportError:  # not a Unix: the parent's own clock is what bounds a rendering
    resource = None  # type: ignore[assignment]


class TooLarge(Exception):
    """The text has more bytes than allowed."""


def environment() -> Any:
    """Jinja2 as templates see it: sandboxed, nothing undefined, nothing but their values and Jinja2's own."""
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    made = ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"],
    )
    made.filters["json"] = _as_json
    return made


def rendered(made: Any, template: str, values: Mapping[str, Any], max_bytes: int) -> dict[str, str]:
    """The answer to one payload."""
    import jinja2

    try:
        return {"text": _joined(made.from_string(template).generate(values), max_bytes)}
    except TooLarge as error:
        return {"type": "render.too_large", "message": str(error)}
    except MemoryError:
        return {"type": "render.limit", "message": "the template used more memory than it may, and was stopped"}
    except jinja2.TemplateSyntaxError as error:
        return {"type": "render.template", "message": f"line {error.lineno}: {error.message}"}
    except Exception as error:  # noqa: BLE001  whatever a template can raise is its author's to know
        line = _line_of(error)
        words = f"{type(error).__name__}: {error}" if not isinstance(error, jinja2.TemplateError) else str(error)
        return {"type": "render.template", "message": f"line {line}: {words}" if line else words}


def _joined(parts: Iterable[str], max_bytes: int) -> str:
    found: list[str] = []
    size_bytes = 0
    for part in parts:
        size_bytes += len(part.encode(errors="replace"))
        if size_bytes > max_bytes:
            raise TooLarge(f"the text has more than {max_bytes} bytes, which is all that is allowed")
        found.append(part)
    return "".join(found).encode(errors="replace").decode()


def _as_json(value: Any, indent: int | None = None) -> str:
    encoded = msgspec.json.encode(value)
    return (encoded if indent is None else msgspec.json.format(encoded, indent=indent)).decode()


def _line_of(error: BaseException) -> int | None:
    """The template's line, which Jinja2 puts into the traceback."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _bound_memory(memory_bytes: int) -> None:
    if resource is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        with contextlib.suppress(ValueError, OSError):  # not every system bounds it
            resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, hard))


def _bound_time(processor_s: int) -> None:
    """From now on so much more; the system ends the process at the limit."""
    if resource is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        with contextlib.suppress(ValueError, OSError):  # the system's own limit is lower
            resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + processor_s, hard))


def _answer(output: IO[bytes], value: Any) -> None:
    encoded = msgspec.json.encode(value)
    output.write(len(encoded).to_bytes(8) + encoded)
    output.flush()


def main(processor_s: int, memory_bytes: int, max_bytes: int) -> None:
    """Answer until the input ends."""
    made = environment()
    _bound_memory(memory_bytes)
    _answer(sys.stdout.buffer, "ready")
    for line in sys.stdin.buffer:
        _bound_time(processor_s)
        payload = msgspec.json.decode(line)
        _answer(sys.stdout.buffer, rendered(made, payload["template"], payload.get("values", {}), max_bytes))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
