"""The console script `leasehold`: says what is missing when its libraries are, else runs `commands`."""

from __future__ import annotations

import importlib.util
import sys


def main() -> None:
    """Entry point. Needs typer and rich, which the plain distribution (the claim client alone) does not bring."""
    missing = [name for name in ("typer", "rich") if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"leasehold: the command line needs {' and '.join(missing)}; run pip install 'leasehold[server]' for a"
            " scheduler, or pip install 'leasehold[executors]' for a worker\n"
        )
        sys.exit(1)
    from .commands.root import app

    app(prog_name="leasehold")


if __name__ == "__main__":
    main()
