"""The private folder of one run: configuration, shards, logs, temporary files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .account import Account
from .ports import HOST

Setting = str | int | bool | Sequence[str]

# A module that speeds up vector search and that the small Java from the wheel does not have.
_ABSENT_MODULE = "jdk.incubator.vector"


@dataclass(frozen=True)
class NodeSettings:
    """What one node is told. Without `seed_hosts` it is a cluster of its own."""

    cluster_name: str
    node_name: str
    http_port: int
    transport_port: int
    seed_hosts: Sequence[str] = ()
    initial_masters: Sequence[str] = ()
    more: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """The paths of one run. `shards` may lie outside the private folder, to outlive it."""

    folder: Path
    shards: Path

    @property
    def configuration(self) -> Path:
        """What `ES_PATH_CONF` names."""
        return self.folder / "config"

    @property
    def logs(self) -> Path:
        """Where the server writes its logs, and its ports once it listens."""
        return self.folder / "logs"

    @property
    def temporary(self) -> Path:
        """The server's folder for temporary files."""
        return self.folder / "tmp"

    @property
    def console(self) -> Path:
        """What server and supervisor print."""
        return self.folder / "console.log"


def lay_out(layout: Layout, home: Path, settings: NodeSettings, account: Account | None) -> None:
    """Make and fill the folders, all of them owned by the server's account. Raises OSError."""
    for folder in (layout.configuration, layout.logs, layout.temporary, layout.shards):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for source in sorted((home / "config").rglob("*")):
        _copy(source, layout.configuration / source.relative_to(home / "config"))
    options = layout.configuration / "jvm.options"
    options.write_text(without_absent_module(options.read_text()))
    (layout.configuration / "elasticsearch.yml").write_text(yaml_of(settings, layout))
    layout.console.touch()
    if account is not None:
        _give(layout.folder, account)
        _give(layout.shards, account)


def without_absent_module(jvm_options: str) -> str:
    """JVM options without the module that the Java from the wheel lacks; the start fails with it."""
    return "".join(line for line in jvm_options.splitlines(keepends=True) if _ABSENT_MODULE not in line)


def yaml_of(settings: NodeSettings, layout: Layout) -> str:
    """The text of `elasticsearch.yml`. JSON values are YAML values."""
    values: dict[str, Setting] = {
        "cluster.name": settings.cluster_name,
        "node.name": settings.node_name,
        "node.portsfile": True,
        "network.host": HOST,
        "http.port": settings.http_port,
        "transport.port": settings.transport_port,
        "path.data": str(layout.shards),
        "path.logs": str(layout.logs),
        "xpack.security.enabled": False,
        "cluster.routing.allocation.disk.threshold_enabled": False,
        **_discovery(settings),
        **settings.more,
    }
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in values.items())


def environment(layout: Layout, java_home: Path, heap_mb: int) -> dict[str, str]:
    """The whole environment of the server: nothing of the caller's but the search path.

    Every JVM, those of the start script included, keeps its temporary files in the private folder.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(layout.folder),
        "LANG": "C.UTF-8",
        "ES_JAVA_HOME": str(java_home),
        "ES_PATH_CONF": str(layout.configuration),
        "ES_TMPDIR": str(layout.temporary),
        "ES_JAVA_OPTS": f"-Xms{heap_mb}m -Xmx{heap_mb}m",
        "LIBFFI_TMPDIR": str(layout.temporary),
        "JDK_JAVA_OPTIONS": f"-XX:-UsePerfData '-Djava.io.tmpdir={layout.temporary}'",
    }


def _discovery(settings: NodeSettings) -> dict[str, Setting]:
    if not settings.seed_hosts:
        return {"discovery.type": "single-node"}
    return {
        "discovery.seed_hosts": list(settings.seed_hosts),
        "cluster.initial_master_nodes": list(settings.initial_masters),
    }


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        target.mkdir(mode=0o700, exist_ok=True)
    else:
        shutil.copyfile(source, target)


def _give(folder: Path, account: Account) -> None:
    os.chown(folder, account.uid, account.gid)
    for path in folder.rglob("*"):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
