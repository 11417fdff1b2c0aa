"""What may become of a head: pure, each from the head as it was read. The conditional write is `heads`'.

A change that is fulfilled already returns the head that it was given.
"""

from __future__ import annotations

from msgspec.structs import replace

from .documents import Action, Activation, Canary, HeadDocument

PREVIOUS_MAX = 20
ACTIVATIONS_MAX = 50


def stored(head: HeadDocument | None, tenant: str, name: str, version: int) -> HeadDocument:
    """A version was stored; which one is active stays as it is."""
    if head is None:
        return HeadDocument(tenant=tenant, name=name, active=0, versions=[version])
    if version in head.versions:
        return head
    return replace(head, versions=sorted({*head.versions, version}))


def activated(head: HeadDocument, version: int, description: str | None, *, at_ms: int, by: str) -> HeadDocument:
    """The version is active. The canary that is activated is one no longer."""
    if head.active == version:
        return head
    previous = [*head.previous, head.active][-PREVIOUS_MAX:] if head.active else head.previous
    after = replace(
        head,
        active=version,
        description=description,
        previous=previous,
        canary=None if head.canary is not None and head.canary.version == version else head.canary,
    )
    return _noted(after, "activated", version, at_ms=at_ms, by=by, before=head.active)


def rolled_back(head: HeadDocument, description: str | None, *, at_ms: int, by: str) -> HeadDocument:
    """The version is active that was active before; the one before that is next in turn."""
    version = head.previous[-1]
    after = replace(
        head,
        active=version,
        description=description,
        previous=head.previous[:-1],
        canary=None if head.canary is not None and head.canary.version == version else head.canary,
    )
    return _noted(after, "rolled_back", version, at_ms=at_ms, by=by, before=head.active)


def retired(head: HeadDocument, *, at_ms: int, by: str) -> HeadDocument:
    """No version is active: the name is out of use. A rollback brings it back."""
    after = replace(head, active=0, canary=None, previous=[*head.previous, head.active][-PREVIOUS_MAX:])
    return _noted(after, "retired", head.active, at_ms=at_ms, by=by, before=head.active)


def with_canary(head: HeadDocument, canary: Canary) -> HeadDocument:
    """The canary takes the place of the one before. One that says the same goes on, with what it has counted."""
    standing = head.canary
    if standing is not None:
        same = replace(canary, began_at_ms=standing.began_at_ms, began_by=standing.began_by)
        if same == standing:
            return head
    after = replace(head, canary=canary)
    return _noted(
        after, "canary_began", canary.version, at_ms=canary.began_at_ms, by=canary.began_by, before=head.active,
        reason=in_words(canary),
    )  # fmt: skip


def without_canary(head: HeadDocument, *, at_ms: int, by: str = "", reason: str | None = None) -> HeadDocument:
    """No start gets the canary any more. With a reason it was removed by itself."""
    if head.canary is None:
        return head
    action: Action = "canary_ended" if reason is None else "canary_rolled_back"
    after = replace(head, canary=None)
    return _noted(after, action, head.canary.version, at_ms=at_ms, by=by, before=head.active, reason=reason)


def in_words(canary: Canary) -> str:
    """Which starts get it."""
    shares = [f"{canary.percent:g} % of the starts"] if canary.percent else []
    if canary.labels:
        shares.append("starts with " + ", ".join(f"{key}={value}" for key, value in sorted(canary.labels.items())))
    return " and ".join(shares)


def last_change(head: HeadDocument) -> Activation | None:
    """The latest change of which version is active."""
    for one in reversed(head.activations):
        if one.action in ("activated", "rolled_back", "retired"):
            return one
    return None


def _noted(
    head: HeadDocument, action: Action, version: int, *, at_ms: int, by: str, before: int, reason: str | None = None
) -> HeadDocument:
    note = Activation(at_ms=at_ms, action=action, version=version, by=by, before=before, reason=reason)
    return replace(head, activations=[*head.activations, note][-ACTIVATIONS_MAX:])
