from __future__ import annotations

from pathlib import Path

import pytest
from leasehold.core.embedded.diagnosis import keep, last_error, sentence_of

# As Elasticsearch 8.19.8 printed them.
UNKNOWN_SETTING = """\
[2026-11-21T13:13:36,536][INFO ][o.e.p.PluginsService     ] [es-1] loaded module [apm]
[2026-11-21T13:13:38,944][ERROR][o.e.b.Elasticsearch      ] [es-1] fatal exception while booting Elasticsearch \
java.lang.IllegalArgumentException: unknown setting [bad.setting] please check that any required plugins are installed
\tat org.elasticsearch.server@8.19.8/org.elasticsearch.common.settings.Settings.validate(Settings.java:568)

ERROR: Elasticsearch did not exit normally - check the logs at /var/tmp/try-es/logs/leasehold.log

ERROR: Elasticsearch died while starting up, with exit code 1
"""
PORT_IN_USE = """\
[2026-11-21T13:13:59,866][ERROR][o.e.b.Elasticsearch      ] [es-1] fatal exception while booting Elasticsearch \
org.elasticsearch.http.BindHttpException: Failed to bind to 127.0.0.1:19200
\tat org.elasticsearch.server@8.19.8/org.elasticsearch.http.Transport.bindAddress(Transport.java:228)
Caused by: java.net.BindException: Address already in use
[2026-11-21T13:13:59,994][INFO ][o.e.n.Node               ] [es-1] closed

ERROR: Elasticsearch died while starting up, with exit code 1
"""
NO_MEMORY = """\
OpenJDK 64-Bit Server VM warning: INFO: os::commit_memory(0x0000, 966367641600, 0) failed; error='Not enough space'
\tat org.elasticsearch.server.cli.JvmOption.flagsFinal(JvmOption.java:125)
"""
DISK_FULL = """\
[2026-11-21T13:13:38,944][ERROR][o.e.b.Elasticsearch      ] [es-1] fatal exception while booting Elasticsearch \
java.io.IOException: No space left on device
"""


@pytest.fixture
def console(tmp_path: Path) -> Path:
    return tmp_path / "console.log"


def test_the_error_line_is_told_without_its_preamble_and_its_trace() -> None:
    assert last_error(UNKNOWN_SETTING) == (
        "java.lang.IllegalArgumentException: unknown setting [bad.setting] please check that any required plugins are "
        "installed"
    )


def test_where_no_error_was_logged_the_last_line_that_says_something_is_told() -> None:
    assert "Not enough space" in last_error(NO_MEMORY)


def test_silence_is_told_as_such() -> None:
    assert last_error("\n\n") == "it printed nothing"


def test_a_port_that_was_taken_meanwhile_is_told_with_the_way_out(console: Path) -> None:
    console.write_text(PORT_IN_USE)
    assert sentence_of(console) == (
        "port 19200 on 127.0.0.1 cannot be used (Address already in use); stop what listens there, or choose another "
        "(0: any)"
    )


def test_a_full_disk_is_told_with_the_way_out(console: Path) -> None:
    console.write_text(DISK_FULL)
    assert "disk is full" in sentence_of(console)
    assert "TMPDIR" in sentence_of(console)


def test_a_console_that_is_gone_is_no_second_failure(
    console: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert sentence_of(console) == "Elasticsearch did not start: it printed nothing"
    assert keep(console) == "its log could not be kept (No such file or directory)"
    assert list(tmp_path.iterdir()) == []


def test_the_log_is_kept_outside_the_private_folder(
    console: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path_factory.mktemp("kept")
    monkeypatch.setattr("tempfile.tempdir", str(kept))
    console.write_text(UNKNOWN_SETTING)
    words = keep(console)
    (file,) = kept.iterdir()
    assert words == f"its log was kept in {file}"
    assert file.read_text() == UNKNOWN_SETTING
