"""How a replica learns of writes that it did not make: woken by changes, without searching for them.

A feed watches one single-shard index and says when its global checkpoint has moved. There are two behind one interface
(`ChangeFeed`), and one contract suite for both:

- `FleetFeed` holds a long poll of `_fleet/global_checkpoints`: the cluster itself says so, within milliseconds.
- `StatsFeed` asks `_stats?level=shards` at an interval that adapts. All of a replica's go into one request
  (`SharedLooks`), so what is watched at the same pace costs nothing more.

`Feeds.of` decides by what the cluster has, and no setting is needed. `Watch` is the loop that waits on a feed and tells
its consumer. A change says whether it is an advance, and above which number the new writes are, or that the index has
been made anew or has lost writes: then everything is to be read again. The first change of a feed is of that kind,
since nothing was known before it. Nothing is missed between changes: a feed compares with what it has told.
"""

from .changes import Change, ChangeFeed, FeedKind
from .choice import Feeds
from .fleet import FleetFeed
from .looks import SharedLooks
from .stats import StatsFeed
from .watch import Watch

__all__ = ["Change", "ChangeFeed", "FeedKind", "Feeds", "FleetFeed", "SharedLooks", "StatsFeed", "Watch"]
