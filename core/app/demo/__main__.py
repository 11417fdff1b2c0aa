"""`python -m leasehold.core.app.demo [--keep]`."""

from __future__ import annotations

import argparse
import signal
import sys
from types import FrameType
from typing import NoReturn

from ...errors import LeaseholdError
from .kept import run_detached, stay
from .processes import ENDINGS
from .run import Ground, Outcome, demonstrate
from .screen import Screen


def main() -> int:
    """The exit code: 0 when everything was shown, 1 after a failure, 128 and the signal's number when it was ended."""
    arguments = _arguments()
    if arguments.keep:
        return run_detached()
    received: list[int] = []

    def end(number: int, frame: FrameType | None) -> NoReturn:
        received.append(number)
        for other in ENDINGS:
            signal.signal(other, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in ENDINGS:
        signal.signal(number, end)
    try:
        _demonstrate(arguments.kept)
    except LeaseholdError as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("demo: ended before its end; nothing is left running\n")
        return 128 + received[0]
    return 0


def _demonstrate(told: int | None) -> None:
    screen = Screen()
    done: list[Outcome] = []

    def after(ground: Ground, outcome: Outcome) -> None:
        done.append(outcome)
        if told is not None:
            stay(screen, ground, outcome, told)

    demonstrate(screen, after)
    screen.say(f"demo: ok, {done[0].attempts} attempts in workflow-steps")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m leasehold.core.app.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running, and say how to go on")
    parser.add_argument("--kept", type=int, metavar="DESCRIPTOR", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
