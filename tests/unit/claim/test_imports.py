"""What an executor pays for importing the client."""

import subprocess
import sys

HEAVY = ("elasticsearch", "elastic_transport", "pydantic", "jinja2", "typer", "rich", "structlog", "ruamel", "click")

LOOK = f"""
import sys
import leasehold.claim, leasehold.claim.testing, leasehold.claim.executors
print([name for name in {HEAVY!r} if name in sys.modules])
print([name for name in sys.modules if name.startswith("leasehold.") and not name.startswith("leasehold.claim")])
"""


def test_importing_the_client_brings_nothing_of_the_server() -> None:
    answer = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout.split("\n")[:2] == ["[]", "[]"]


def test_every_public_name_is_there() -> None:
    import leasehold.claim

    for name in leasehold.claim.__all__:
        assert getattr(leasehold.claim, name) is not None
