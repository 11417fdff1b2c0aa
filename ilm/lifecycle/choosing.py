"""Which backend a cluster gets."""

from __future__ import annotations

from ..capabilities import Capabilities
from ..names import IndexNames
from ..requests import Requests
from .ager import Ager
from .interface import Lifecycle
from .managed import Managed


def lifecycle_for(requests: Requests, names: IndexNames, capabilities: Capabilities) -> Lifecycle:
    """Elasticsearch's own index lifecycle management where the cluster has it, the ager elsewhere."""
    return Managed(requests, names) if capabilities.ilm else Ager(requests, names)
