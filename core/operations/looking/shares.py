"""Steps that are in children of an instance, which run shares of the items of its foreach steps: named, and shown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from ....claim.wire import InstanceView
from ....definitions.plan import Foreach, Plan
from ...engine import Engine
from ...lanes import codec
from ...lanes.memory.loading import side_values
from ...machine.children import CHILD_ITEMS
from ...machine.state import FINAL_INSTANCE, Instance
from ...machine.views import in_order, step_view

# So many children of a depth are shown, with up to 16 items each, and so many foreach steps within each other.
_SHARES_MAX = 64
_DEPTH_MAX = 4
_ITEM = re.compile(r"\[(\d+)\]")


def share_with(instance: Instance, path: str) -> str | None:
    """The id of the child under way that runs the item in which the step at `path` stands.

    None where the instance has the step itself, or no child under way has it.
    """
    if path in instance.steps:
        return None
    for match in _ITEM.finditer(path):
        state = instance.steps.get(path[: match.start()])
        if state is None or state.flow is None:
            continue
        number = int(match[1]) // CHILD_ITEMS
        for child in state.flow.children:
            if child.number == number:
                return child.id
    return None


async def with_open_shares(engine: Engine, view: InstanceView, instance: Instance, plan: Plan | None) -> InstanceView:
    """The view with the steps of items that run in children just now, after their foreach; not all of very many.

    The children of one depth are read in one request. Raises: StoreError.
    """
    if plan is None or instance.status in FINAL_INSTANCE:
        return view
    steps = {step.run_path: step for step in view.steps}
    wanted = _shares_of(instance, plan)
    for _ in range(_DEPTH_MAX):
        shares = await _read(engine, instance.id, wanted[:_SHARES_MAX])
        if not shares:
            break
        for share in shares:
            steps.update((path, step_view(share, plan, path)) for path in share.steps)
        wanted = [id for share in shares for id in _shares_of(share, plan)]
    return replace(view, steps=[steps[path] for path in in_order(steps, plan)])


def _shares_of(instance: Instance, plan: Plan) -> list[str]:
    return [
        child.id
        for path, state in instance.steps.items()
        if state.flow is not None and state.flow.children and isinstance(plan.step(path).flow, Foreach)
        for child in state.flow.children
    ]


async def _read(engine: Engine, instance_id: str, ids: Sequence[str]) -> list[Instance]:
    """The children that stand, without what all of them share."""
    if not ids:
        return []
    index = engine.names.lane(instance_id.partition("-")[0])
    found = [document for document in await engine.store.mget(index, ids) if document is not None]
    instances = [codec.decode_document(document.source)[0] for document in found]
    bare = [replace(one, inputs_ref=None, trigger_ref=None, outer_ref=None) for one in instances]
    values = await side_values(engine.store, index, bare)
    # One whose values have gone has moved on since: its foreach shows what it left.
    standing = [one for one in bare if values.keys() >= set(codec.side_refs(one))]
    return [codec.with_side_values(one, values) for one in standing]
