"""What can go wrong while indices are prepared. `core` maps each to a sentence for whoever starts a replica."""

from __future__ import annotations


class IlmError(Exception):
    """Root of this package's errors."""


class SchemaTooNew(IlmError):
    """A newer release has prepared these indices; this one could damage what it does not know."""

    def __init__(self, prefix: str, found: int, known: int) -> None:
        super().__init__(
            f"the indices {prefix}-* have schema {found}, prepared by a newer release, and this release knows schemas "
            f"up to {known}: start a release at least as new, or use another index prefix"
        )
        self.found = found
        self.known = known


class BootstrapFailed(IlmError):
    """Elasticsearch refused a request that the indices need. Attributes say which and why."""

    def __init__(self, request: str, status: int, reason: str, advice: str = "") -> None:
        super().__init__(f"Elasticsearch refused {request}: {status} {reason}" + (f"; {advice}" if advice else ""))
        self.request = request
        self.status = status
        self.reason = reason


class UnsupportedServer(IlmError):
    """What answers is no Elasticsearch that this release can use."""


class LifecycleRefused(IlmError):
    """Elasticsearch refused a request without which nothing is known of how indices age."""

    def __init__(self, request: str, status: int, reason: str, advice: str = "") -> None:
        super().__init__(f"Elasticsearch refused {request}: {status} {reason}" + (f"; {advice}" if advice else ""))
        self.request = request
        self.status = status
        self.reason = reason
