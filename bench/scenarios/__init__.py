"""One scenario a module, each with its question; `SCENARIOS` lists them by name."""

from ..scenario import Scenario
from .claims import CLAIMS
from .latency import LATENCY
from .raw import RAW

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in (RAW, CLAIMS, LATENCY)}

__all__ = ["SCENARIOS"]
