"""Workers that go on whatever happens to replicas, and note when which lane's work reached them."""

from .orders import Observed, Sighting, WatcherSetup
from .watcher import Watcher

__all__ = ["Observed", "Sighting", "Watcher", "WatcherSetup"]
