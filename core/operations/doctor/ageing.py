"""Does history age as its policies say, and do policies and retention fit together?"""

from __future__ import annotations

from ....claim.wire.lifecycle import LifecycleView
from ...engine import Engine
from ..lifecycle import Ageing
from .found import Found, Repair

# The owner of the first lane makes a pass at this pace; so many may be late or lost.
_PASSES_MISSED = 3
_SLACK_MS = 60_000


def judge(view: LifecycleView, *, keys_kept_ms: int, repair: Repair | None) -> list[Found]:
    """Pure. `repair` has the backend obey the policies again; None where they can't all be read."""
    status = "leasehold ilm status shows every index"
    found = [
        Found(severity="error", what=sentence, way_out=f"It is said there; {status}.", repair=repair)
        for sentence in view.findings
    ]
    found += [
        Found(
            severity="error",
            what=f"Index {one.index} does not age: {one.error}",
            way_out=f"Take the cause away; it is tried again by itself; {status}.",
            left="it is tried again with every pass",
        )
        for one in view.indices
        if one.error
    ]
    found += _judge_pass(view)
    for policy in view.policies:
        if policy.family == "instances" and policy.retention_ms is not None and policy.retention_ms < keys_kept_ms:
            found.append(
                Found(
                    severity="error",
                    what="Finished instances may go from history before the idempotency keys that name them: a repeat"
                    " would start them again.",
                    way_out="Have the policy of `instances` keep them longer (leasehold ilm apply), or lower"
                    " retention.keys_kept_ms.",
                    left="which of the two is right only you know",
                )
            )
    return found


def _judge_pass(view: LifecycleView) -> list[Found]:
    last = view.last_pass
    if last is None:
        return []
    if last.error:
        what = f"The last pass over ageing indices failed: {last.error}"
        way_out = "Take the cause away; it is tried again by itself (log lifecycle.pass_failed)."
        return [Found(severity="error", what=what, way_out=way_out, left="it is tried again by itself")]
    late_ms = view.now_ms - last.at_ms
    if late_ms > _PASSES_MISSED * view.every_ms + _SLACK_MS:
        what = (
            f"The last pass over ageing indices was {late_ms // 1_000} s ago; every {view.every_ms // 1_000} s is due."
        )
        way_out = "The owner of the first lane makes it: has that lane an owner, and what does its log say?"
        return [Found(severity="warning", what=what, way_out=way_out, left="its owner makes the next one")]
    return []


async def check(engine: Engine) -> list[Found]:
    """Raises: StoreError."""
    keeper = engine.ageing
    view = await Ageing(engine).view()
    policies = {one.family: one.policy for one in await keeper.policies.all() if one.policy is not None}

    async def obey() -> None:
        await keeper.backend.apply(policies)

    repair = (
        None if any(one.error for one in view.policies) else Repair("told the cluster the policies again", act=obey)
    )
    return judge(view, keys_kept_ms=engine.settings.retention.keys_kept_ms, repair=repair)
