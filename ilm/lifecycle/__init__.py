"""Ageing: the policies of rolled indices are carried out, by Elasticsearch itself or by the ager.

`Lifecycle` is the interface, `lifecycle_for` chooses what stands behind it: `Managed` tells Elasticsearch's own index
lifecycle management, `Ager` does the work where a cluster has none. Both keep all state in the cluster.
"""

from .ager import Ager
from .asking import cluster_time_ms
from .choosing import lifecycle_for
from .interface import BackendName, Done, IndexStatus, Lifecycle
from .managed import Managed

__all__ = ["Ager", "BackendName", "Done", "IndexStatus", "Lifecycle", "Managed", "cluster_time_ms", "lifecycle_for"]
