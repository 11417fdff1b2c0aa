"""As much of curl as the README needs, for machines without it: `python curl.py OPTIONS URL`.

Knows `-s`, `-X METHOD`, `-H 'Name: value'`, `-d TEXT` and `--data-binary @FILE`; refuses anything else, so that it
never does something other than curl would.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path


def request_of(arguments: list[str]) -> urllib.request.Request:
    """The request that these arguments describe. Raises: SystemExit for an option that this does not know."""
    method: str | None = None
    body: bytes | None = None
    headers: dict[str, str] = {}
    urls: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        match argument:
            case "-s":
                pass
            case "-X":
                method = next(rest)
            case "-H":
                name, _, value = next(rest).partition(":")
                headers[name] = value.strip()
            case "-d":
                body = next(rest).encode()
            case "--data-binary":
                body = Path(next(rest).removeprefix("@")).read_bytes()
            case _ if argument.startswith("-"):
                raise SystemExit(f"this stand-in for curl does not know {argument}")
            case _:
                urls.append(argument)
    if len(urls) != 1:
        raise SystemExit(f"this stand-in for curl takes one address, found {len(urls)}")
    return urllib.request.Request(urls[0], data=body, headers=headers, method=method)


def main() -> None:
    """Print the body of the answer, whatever its status, as curl does."""
    try:
        with urllib.request.urlopen(request_of(sys.argv[1:])) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    sys.stdout.buffer.write(body)


if __name__ == "__main__":
    main()
