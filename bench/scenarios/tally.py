"""What was started and what was claimed, counted against each other. Pure."""

from __future__ import annotations

from collections import Counter

from ..load.closed import Completed, Executed, Started


class Tally:
    """One run's instances, numbered from 0 on without gaps, of a workflow with these steps (run paths)."""

    def __init__(self, steps: tuple[str, ...]) -> None:
        self._steps = steps
        self._claimed: dict[str, Counter[int]] = {path: Counter() for path in steps}
        self._unknown_paths = 0
        self._refused: Counter[str] = Counter()
        self.instances = 0
        self.acknowledged = 0

    def started(self, found: Started, count: int) -> None:
        """So many more instances were to be started."""
        self.instances += count
        self.acknowledged += found.acknowledged
        # Those that were refused for now were sent again.
        self._refused["starts_refused"] += sum(n for code, n in found.refused.items() if code not in (429, 503))
        self._refused["starts_without_answer"] += found.lost

    def seeded(self, count: int) -> None:
        """So many more instances were written past the scheduler."""
        self.instances += count
        self.acknowledged += count

    def executed(self, found: Executed) -> None:
        for path, numbers in found.claimed.items():
            if path in self._claimed:
                self._claimed[path].update(numbers)
            else:
                self._unknown_paths += len(numbers)
        self._refused["claims_failed"] += found.failures
        self._refused["completions_refused"] += sum(found.refused.values())

    def completed(self, found: Completed) -> None:
        self._refused["completions_refused"] += sum(found.refused.values())

    def claimed(self) -> int:
        """How many steps were claimed, each counted once."""
        return sum(len(numbers) for numbers in self._claimed.values())

    @property
    def steps(self) -> int:
        """How many steps all instances have."""
        return self.instances * len(self._steps)

    def wrong(self) -> dict[str, int]:
        """What must never happen: `lost` steps of acknowledged starts that nobody could claim, `doubled` claims, ..."""
        lost = sum(max(0, self.acknowledged - len(numbers)) for numbers in self._claimed.values())
        doubled = sum(numbers.total() - len(numbers) for numbers in self._claimed.values())
        known = range(self.instances)
        never = sum(number not in known for numbers in self._claimed.values() for number in numbers)
        refused = ("starts_refused", "starts_without_answer", "claims_failed", "completions_refused")
        return {
            "lost": lost,
            "doubled": doubled,
            "never_started": never + self._unknown_paths,
            **{name: self._refused[name] for name in refused},
        }
