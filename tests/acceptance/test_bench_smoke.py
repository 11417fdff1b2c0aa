"""Every benchmark runs and finds nothing wrong, very small. No test here asserts a speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from leasehold.bench.scenarios import SCENARIOS

# A minute on a quiet machine of two processors.
WITHIN_S = 600


def test_no_scenario_loses_or_doubles_anything(elasticsearch_url: str) -> None:
    ran = subprocess.run(
        (sys.executable, "-m", "leasehold.bench", "smoke", "--json"),
        env={**os.environ, "LEASEHOLD_ES_URL": elasticsearch_url},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    wrong = json.loads(ran.stdout or "null")
    assert wrong is not None, ran.stderr
    assert wrong.keys() == SCENARIOS.keys()
    assert {name: counts for name, counts in wrong.items() if any(counts.values())} == {}
    assert ran.returncode == 0
