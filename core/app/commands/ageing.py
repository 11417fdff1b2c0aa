"""How history ages, as it is written in a terminal: what is wrong comes first."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ....claim.wire.lifecycle import AgeingIndex, LifecycleView, PolicyView
from ....ilm.policies import Policy, time_text
from ...lifecycle.words import retention
from .shown import written

# So many passes may be left out before it is said to be wrong.
_PASSES_LATE = 5


def show_status(view: LifecycleView) -> None:
    """All of it, on standard output."""
    console = Console()
    for line in _wrong(view):
        console.print(f"! {line}", style="bold red", markup=False, highlight=False)
    console.print(_backend(view), markup=False, highlight=False)
    for policy in view.policies:
        console.print(f"{policy.family}: {told(policy)}", markup=False, highlight=False)
    console.print(_table(view))
    for line in (*_now(view), *_left_out(view)):
        console.print(line, markup=False, highlight=False)


def as_policy(view: PolicyView) -> Policy | None:
    """As the server has read it; None where it could not."""
    return None if view.policy is None else Policy(view.family, view.policy["phases"], view.policy.get("_meta"))


def told(view: PolicyView) -> str:
    """Where a policy comes from, and how long it keeps records."""
    if view.error is not None:
        return f"NOT VALID: {view.error}"
    policy = as_policy(view)
    assert policy is not None
    source = "the default" if view.source == "default" else f"revision {view.revision}"
    if view.updated_at_ms is not None and view.updated_by:
        source += f", changed {written(view.updated_at_ms)} by {view.updated_by}"
    return f"{source}; records are {retention(policy)}"


def _wrong(view: LifecycleView) -> list[str]:
    """What somebody has to do something about, the worst first."""
    lines = list(view.findings)
    last = view.last_pass
    late_ms = view.every_ms * _PASSES_LATE
    if last is None:
        lines.append(
            "no replica has seen to the ageing yet: the owner of the first lane does; see `leasehold lanes list`"
        )
    elif last.error is not None:
        lines.append(f"the last pass, {_ago(view.now_ms - last.at_ms)}, failed: {last.error}")
    elif view.now_ms - last.at_ms > late_ms:
        lines.append(
            f"the last pass was {_ago(view.now_ms - last.at_ms)}, and one is due every {time_text(view.every_ms)}: "
            "the owner of the first lane does it; see `leasehold lanes list`"
        )
    errors = ((one.index, one.error) for one in view.indices if one.error is not None)
    lines += [error if error.startswith(index) else f"{index}: {error}" for index, error in errors]
    return list(dict.fromkeys(lines))


def _backend(view: LifecycleView) -> str:
    name = (
        "Elasticsearch's own index lifecycle management (ilm)" if view.backend == "ilm" else "this release's own ager"
    )
    tried = (
        "tested on real servers"
        if view.run_on_a_server
        else "NEVER run on a real server: tested against Elastic's published interface alone"
    )
    last = view.last_pass
    passed = "" if last is None else f"; last pass {_ago(view.now_ms - last.at_ms)} by {last.replica}"
    return f"carried out by {name}, {tried}{passed}"


def _table(view: LifecycleView) -> Table:
    numbers = (Column(head, justify="right") for head in ("age", "docs", "size"))
    table = Table(Column("index", no_wrap=True), "phase", *numbers, Column("next", overflow="fold"))
    for one in sorted(view.indices, key=lambda one: one.error is None):
        failed = one.error is not None
        table.add_row(
            escape(one.index),
            f"{one.phase}, written to" if one.writes else one.phase,
            _age(one.age_ms),
            f"{one.docs:,}",
            _size(one.bytes),
            "FAILED, see above" if failed else _next(one, view.now_ms),
            style="red" if failed else None,
        )
    return table


def _next(one: AgeingIndex, now_ms: int) -> str:
    if one.writes:
        return f"roll-over, then {one.next}" if one.next is not None else "roll-over"
    if one.next is None:
        return "stays"
    return one.next if one.next_at_ms is None else f"{one.next} in {_age(one.next_at_ms - now_ms)}"


def _now(view: LifecycleView) -> list[str]:
    """What is being done to which index, or is due."""
    lines = []
    for one in view.indices:
        if one.under_way:
            lines.append(f"under way: {one.index}: {one.under_way}")
        elif one.due and one.error is None:
            lines.append(f"due: {one.index}: {', '.join(one.due)}")
    return lines


def _left_out(view: LifecycleView) -> list[str]:
    """What the policies say and this cluster does not do, each once."""
    said = {(one.family, text) for one in view.indices for text in one.not_carried_out}
    return [f"not carried out of {family}: {text}" for family, text in sorted(said)]


def _ago(ms: int) -> str:
    return f"{_age(ms)} ago"


def _age(ms: int) -> str:
    """In the two largest units: `3d 4h`, `12m 5s`."""
    seconds = max(0, ms) // 1_000
    for unit, unit_s, smaller, smaller_s in (("d", 86_400, "h", 3_600), ("h", 3_600, "m", 60), ("m", 60, "s", 1)):
        if seconds >= unit_s:
            rest = seconds % unit_s // smaller_s
            return f"{seconds // unit_s}{unit}" + (f" {rest}{smaller}" if rest else "")
    return f"{seconds}s"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1_000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1_000
    return f"{count:.1f} TB"
