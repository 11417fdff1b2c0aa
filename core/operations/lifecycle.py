"""What is asked about the ageing of history: how it stands, which policies are in force, and others in their place."""

from __future__ import annotations

import msgspec

from ...claim.wire import Violation
from ...claim.wire.lifecycle import AgeingIndex, LastPass, LifecycleView, PolicyChanged, PolicyView
from ...definitions.source.documents import read_documents
from ...definitions.source.nodes import Node
from ...ilm import IlmError
from ...ilm.lifecycle import IndexStatus, cluster_time_ms
from ...ilm.policies import (
    FAMILIES,
    Fault,
    Policy,
    PolicyInvalid,
    default_policy,
    disagreements,
    parse,
    retention_ms,
)
from ..engine import Engine
from ..errors import Conflict, InvalidRequest, NotFound, PayloadTooLarge, Unavailable
from ..lifecycle.documents import DOCUMENT_MAX_BYTES, OUTBOX_MAX, InForce, changed
from ..lifecycle.keeper import NOTE_ID, LastPassDocument
from ..lifecycle.words import less_long
from ..principal import Principal
from ..violations import wire_violations

_ATTEMPTS = 10


class Ageing:
    """Any replica tells and changes it; the owner of the first lane has it carried out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._keeper = engine.ageing

    async def view(self) -> LifecycleView:
        """How all of it stands now. What can't be told is among the findings. Raises: StoreError."""
        keeper, now_ms = self._keeper, self._engine.clock.now_ms()
        found = await keeper.policies.all()
        policies = {one.family: one.policy for one in found if one.policy is not None}
        indices: list[IndexStatus] = []
        findings = [f"{one.family}: {one.fault}; {self._meanwhile()}" for one in found if one.fault is not None]
        if len(policies) == len(FAMILIES):
            findings += disagreements(policies)
        try:
            findings += await keeper.backend.findings(policies)
            now_ms = await cluster_time_ms(self._engine.store.request)
            indices = await keeper.backend.status(policies, now_ms)
        except IlmError as error:
            findings.append(str(error))
        return LifecycleView(
            backend=keeper.backend.name,
            run_on_a_server=keeper.backend.run_on_a_server,
            now_ms=now_ms,
            every_ms=self._engine.settings.lifecycle.every_ms,
            last_pass=await self._last_pass(),
            findings=findings,
            policies=[_policy_view(one) for one in found],
            indices=[_index_view(one, now_ms) for one in indices],
        )

    async def policy(self, family: str) -> PolicyView:
        """What is in force for one family. Raises: NotFound; StoreError."""
        return _policy_view(await self._keeper.policies.of(_known(family)))

    async def put(
        self, principal: Principal, family: str, source: bytes, *, revision: int | None, yes: bool
    ) -> PolicyChanged:
        """Put the policy of a YAML or JSON text in force. The same one again changes nothing.

        Raises: NotFound; Forbidden; InvalidRequest with every violation; PayloadTooLarge; Conflict when it stands at
        another revision, or keeps the audit trail less long and not `yes`; StoreError.
        """
        return await self._change(principal, _known(family), _policy_in(family, source), revision, yes)

    async def reset(self, principal: Principal, family: str, *, revision: int | None, yes: bool) -> PolicyChanged:
        """Put the default in force. Raises: as `put`."""
        return await self._change(principal, _known(family), None, revision, yes)

    async def _change(
        self, principal: Principal, family: str, policy: Policy | None, revision: int | None, yes: bool
    ) -> PolicyChanged:
        principal.check_operator("changing how history ages")
        policies = self._keeper.policies
        for _ in range(_ATTEMPTS):
            before = await policies.of(family)
            _check_revision(before, revision)
            index = await self._keeper.delivery.row_index()
            document = changed(before, policy, by=principal, at_ms=self._engine.clock.now_ms(), index=index)
            if document is None:
                return PolicyChanged(_policy_view(before), _policy_view(before), changed=False)
            _check_outbox(before)
            _check_audit(before, policy or default_policy(family), yes)
            after = await policies.write(before, document)
            if after is not None:
                self._keeper.changed()
                return PolicyChanged(_policy_view(before), _policy_view(after), changed=True)
        raise Unavailable(f"the policy of {family} is being changed by others all the time")

    def _meanwhile(self) -> str:
        """What holds for a family whose policy is not obeyed."""
        if self._keeper.backend.name == "ager":
            return "nothing of it ages"
        return "the policy that Elasticsearch was given last holds on"

    async def _last_pass(self) -> LastPass | None:
        found = await self._engine.store.get(self._engine.names.control, NOTE_ID)
        if found is None:
            return None
        try:
            last = msgspec.json.decode(found.source, type=LastPassDocument)
        except msgspec.MsgspecError:
            return None
        return LastPass(at_ms=last.at_ms, replica=last.replica, done=last.done, error=last.error)


def _known(family: str) -> str:
    if family not in FAMILIES:
        raise NotFound("family of history", family[:64], f"there are {', '.join(FAMILIES)}")
    return family


def _policy_in(family: str, source: bytes) -> Policy:
    """Raises: InvalidRequest; PayloadTooLarge."""
    if len(source) > DOCUMENT_MAX_BYTES:
        raise PayloadTooLarge("the policy", len(source), DOCUMENT_MAX_BYTES)
    _, documents, violations = read_documents(source)
    if violations:
        raise InvalidRequest(violations[0].message, wire_violations(violations))
    if len(documents) > 1:
        raise InvalidRequest(f"found {len(documents)} documents; a family has one policy")
    root = documents[0].root if documents else Node({}, 1, 1)
    if not isinstance(root.value, dict):
        raise InvalidRequest("found no mapping; a policy is a mapping with `phases`")
    try:
        return parse(family, root.value)
    except PolicyInvalid as error:
        raise InvalidRequest(str(error), [_violation(fault, root) for fault in error.faults]) from None


def _violation(fault: Fault, root: Node) -> Violation:
    path = tuple(fault.path.split(".")) if fault.path else ()
    if "policy" in root.children and path[:1] != ("policy",):
        path = ("policy", *path)
    line, column = root.key_place(path) if path else (root.line, root.column)
    return Violation(fault.path, fault.message, line, column)


def _check_revision(before: InForce, wanted: int | None) -> None:
    if wanted is not None and wanted != before.revision:
        detail = f"the policy of {before.family} stands at revision {before.revision}, not {wanted}"
        raise Conflict(f"{detail}; look what was changed")


def _check_audit(before: InForce, new: Policy, yes: bool) -> None:
    """The trail is never kept less long by accident. Raises: Conflict."""
    shorter = less_long(before.policy, new) if before.family == "audit" and not yes else None
    if shorter is not None:
        raise Conflict(f"{shorter}; say so with yes=true (`--yes` on the command line) if that is meant")


def _check_outbox(before: InForce) -> None:
    """Raises: Unavailable while as many changes as are kept wait for the audit trail."""
    if before.document is not None and len(before.document.outbox) >= OUTBOX_MAX:
        detail = f"{OUTBOX_MAX} changes of the policy of {before.family} wait for the audit trail, which takes none"
        raise Unavailable(f"{detail} at the moment; see the log for the reason, and come back")


def _policy_view(found: InForce) -> PolicyView:
    document = found.document
    return PolicyView(
        family=found.family,
        source=found.source,
        policy=None if found.policy is None else found.policy.document(),
        revision=found.revision,
        retention_ms=None if found.policy is None else retention_ms(found.policy),
        updated_by=None if document is None else document.updated_by,
        updated_at_ms=None if document is None else document.updated_at_ms,
        error=found.fault,
    )


def _index_view(status: IndexStatus, now_ms: int) -> AgeingIndex:
    since_ms = status.created_at_ms if status.rolled_at_ms is None else status.rolled_at_ms
    return AgeingIndex(
        index=status.index,
        family=status.family,
        phase=status.phase,
        writes=status.is_write_index,
        rolled=status.rolled_at_ms is not None,
        age_ms=max(0, now_ms - since_ms),
        docs=status.docs,
        bytes=status.bytes,
        done=list(status.done),
        due=list(status.due),
        next=status.next_phase,
        next_at_ms=status.next_at_ms,
        under_way=status.under_way,
        error=status.error,
        not_carried_out=list(status.not_carried_out),
    )
