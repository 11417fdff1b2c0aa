from __future__ import annotations

import json
from pathlib import Path

import pytest
from leasehold.core.embedded.layout import Layout, NodeSettings, environment, without_absent_module, yaml_of

LAYOUT = Layout(Path("/run/es 1"), Path("/run/es 1/shards"))


def settings(**changed: object) -> NodeSettings:
    given: dict[str, object] = {"cluster_name": "c", "node_name": "n", "http_port": 0, "transport_port": 0}
    return NodeSettings(**{**given, **changed})  # type: ignore[arg-type]


def read(text: str) -> dict[str, object]:
    return {name: json.loads(value) for name, _, value in (line.partition(": ") for line in text.splitlines())}


def test_a_node_without_seed_hosts_is_a_cluster_of_its_own() -> None:
    written = read(yaml_of(settings(), LAYOUT))
    assert written["discovery.type"] == "single-node"
    assert "discovery.seed_hosts" not in written


def test_a_node_with_seed_hosts_looks_for_them() -> None:
    hosts = ["127.0.0.1:9301", "127.0.0.1:9302"]
    written = read(yaml_of(settings(seed_hosts=hosts, initial_masters=("a", "b")), LAYOUT))
    assert written["discovery.seed_hosts"] == hosts
    assert written["cluster.initial_master_nodes"] == ["a", "b"]
    assert "discovery.type" not in written


def test_a_node_listens_on_loopback_alone() -> None:
    assert read(yaml_of(settings(), LAYOUT))["network.host"] == "127.0.0.1"


def test_further_settings_win() -> None:
    written = read(yaml_of(settings(more={"node.portsfile": False, "path.repo": "/r: #1"}), LAYOUT))
    assert written["node.portsfile"] is False
    assert written["path.repo"] == "/r: #1"


def test_the_module_that_the_small_java_lacks_is_left_out() -> None:
    options = "-Xss1m\n20-:--add-modules=jdk.incubator.vector\n23:-XX:Other\n"
    assert without_absent_module(options) == "-Xss1m\n23:-XX:Other\n"


def test_every_temporary_file_goes_to_the_private_folder() -> None:
    given = environment(LAYOUT, Path("/jre"), 512)
    assert given["ES_TMPDIR"] == "/run/es 1/tmp"
    assert "'-Djava.io.tmpdir=/run/es 1/tmp'" in given["JDK_JAVA_OPTIONS"]


def test_the_callers_own_java_options_do_not_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx1k")
    monkeypatch.setenv("JAVA_HOME", "/elsewhere")
    given = environment(LAYOUT, Path("/jre"), 640)
    assert given["ES_JAVA_HOME"] == "/jre"
    assert given["ES_JAVA_OPTS"] == "-Xms640m -Xmx640m"
    assert not {"JAVA_TOOL_OPTIONS", "JAVA_HOME"} & set(given)
