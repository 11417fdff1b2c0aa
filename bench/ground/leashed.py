"""`leasehold` on a leash: the command that users run, which also ends when its standard input does.

The benchmark holds the other end of that pipe, so a replica never outlives it, however the benchmark ended.
"""

from __future__ import annotations

import os
import signal
import sys
from threading import Thread

from ...core.app.script import main


def _end_with_input() -> None:
    # Not by way of `sys.stdin`, whose lock a thread that waits here would hold at the interpreter's end.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    Thread(target=_end_with_input, daemon=True).start()
    main()
