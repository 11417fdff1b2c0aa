"""What follows from the documents that were read: the rules in force, and what is wrong with the rest. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from ...tenancy.documents import DEPLOYMENT, DeploymentRules, DocumentError
from ...tenancy.rules import Rules, TenantRules
from ..ports import StoredDocument
from .stored import BEGAN_ID, Audited, audited_of, audited_tenant, began_of, compiled, content_of


class Known(Struct, frozen=True, gc=False):
    """A document as it was read. `fault`: why it is not in force."""

    seq_no: int
    content: str
    fault: str | None = None


class InForce:
    """One replica's. A document that is not valid changes nothing: its tenant's last valid rules stay.

    `began_ms`: when the index was first seen by anybody; None while it does not say so.
    """

    def __init__(self) -> None:
        self.documents: dict[str, Known] = {}
        self.audited: dict[str, Audited] = {}
        self.began_ms: int | None = None
        self._tenants: dict[str, TenantRules] = {}
        self._deployment = DeploymentRules()
        self._ids: set[str] = set()

    @property
    def count(self) -> int:
        """How many documents the index holds, as far as is known here."""
        return len(self._ids)

    @property
    def began_is_broken(self) -> bool:
        """Whether there is a document that should say when the index was first seen, and does not."""
        return self.began_ms is None and BEGAN_ID in self._ids

    @property
    def invalid(self) -> Mapping[str, Known]:
        return {tenant: known for tenant, known in self.documents.items() if known.fault is not None}

    def rules(self, seq_no: int) -> Rules:
        """What is in force now. O(tenants)."""
        return Rules(dict(self._tenants), self._deployment.defaults, self._deployment.capabilities, seq_no)

    def take(self, found: Iterable[StoredDocument]) -> tuple[set[str], bool]:
        """These documents are new. Returns the tenants that they concern, and whether other rules are in force."""
        concerned, changed, own = set(), False, []
        for document in found:
            self._ids.add(document.id)
            tenant = audited_tenant(document.id)
            if document.id == BEGAN_ID:
                self.began_ms = began_of(document.source)
            elif tenant is None:
                own.append(document)
                concerned.add(document.id)
            else:
                self._take_audited(tenant, document)
                concerned.add(tenant)
        for document in own:
            changed |= self._take(document)
        return concerned, changed

    def take_all(self, found: Iterable[StoredDocument]) -> tuple[set[str], bool]:
        """These documents are all that there are. Returns as `take`; who is gone is concerned too.

        What was read of the audit stays known where its document is gone: with the next change it is written again.
        """
        found = list(found)
        self._ids = {document.id for document in found}
        self.began_ms = None
        # The index may be another one, whose numbers begin anew.
        self.documents = {tenant: replace(known, seq_no=-1) for tenant, known in self.documents.items()}
        gone = [tenant for tenant in self.documents if tenant not in self._ids]
        changed = False
        for tenant in gone:
            del self.documents[tenant]
            changed |= self._drop(tenant)
        concerned, others = self.take(found)
        return concerned | set(gone), changed | others

    def unaudited(self, tenants: Iterable[str]) -> set[str]:
        """Those of these whose last change may not be recorded, or not be confirmed as recorded."""
        return {tenant for tenant in tenants if not self._is_recorded(tenant)}

    def _is_recorded(self, tenant: str) -> bool:
        audited, known = self.audited.get(tenant), self.documents.get(tenant)
        if audited is None:
            return known is None
        return not audited.outbox and audited.content == (None if known is None else known.content)

    def _take_audited(self, tenant: str, document: StoredDocument) -> None:
        audited = audited_of(document.source)
        if audited is not None:
            self.audited[tenant] = audited

    def _take(self, document: StoredDocument) -> bool:
        assert document.version is not None
        tenant, seq_no, content = document.id, document.version.seq_no, content_of(document.source)
        before = self.documents.get(tenant)
        if before is not None and before.seq_no > seq_no:
            # What a search brings may be older than what was read by id since it began.
            return False
        if before is not None and before.content == content:
            self.documents[tenant] = Known(seq_no, content, before.fault)
            return False
        rules = compiled(tenant, content)
        fault = str(rules) if isinstance(rules, DocumentError) else None
        self.documents[tenant] = Known(seq_no, content, fault)
        audited = self.audited.get(tenant)
        if fault is not None and before is None and audited is not None and audited.valid is not None:
            rules = compiled(tenant, audited.valid)
        return False if isinstance(rules, DocumentError) else self._put(tenant, rules)

    def _put(self, tenant: str, rules: TenantRules | DeploymentRules) -> bool:
        if isinstance(rules, DeploymentRules):
            before, self._deployment = self._deployment, rules
            return before != rules
        changed = self._tenants.get(tenant) != rules
        self._tenants[tenant] = rules
        return changed

    def _drop(self, tenant: str) -> bool:
        if tenant == DEPLOYMENT:
            return self._put(tenant, DeploymentRules())
        return self._tenants.pop(tenant, None) is not None
