"""Settings from file, environment and arguments."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from leasehold.core.app.authentication import InsecureServer
from leasehold.core.app.configuration import ConfigurationError, load_settings
from leasehold.core.settings import Settings


def load(folder: Path, toml: str = "", environment: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
    if toml:
        (folder / "leasehold.toml").write_text(toml, encoding="utf-8")
    options = {f"--{name.replace('_', '-')}": value for name, value in arguments.items()}
    return load_settings(environment=environment or {}, arguments=options, folder=folder)


def refusal(folder: Path, toml: str = "", environment: Mapping[str, str] | None = None, **arguments: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(folder, toml, environment, **arguments)
    return str(caught.value).replace(str(folder) + "/", "")


def test_without_any_source_every_setting_has_its_default(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings()


def test_the_environment_wins_over_the_file_and_arguments_over_both(tmp_path: Path) -> None:
    toml = '[server]\nport = 1\nlog_level = "error"\nlog_format = "json"\n'
    found = load(tmp_path, toml, {"LEASEHOLD_PORT": "2", "LEASEHOLD_LOG_LEVEL": "debug"}, port="3").server
    assert (found.port, found.log_level, found.log_format) == (3, "debug", "json")


def test_a_default_hides_no_value_of_an_earlier_source(tmp_path: Path) -> None:
    assert load(tmp_path, "[lanes]\nlanes = 7\n", {"LEASEHOLD_LANES_LEASE_MS": "30000"}, port=None).lanes.lanes == 7


def test_each_field_has_a_systematic_variable_and_the_usual_ones_a_short_name(tmp_path: Path) -> None:
    environment = {"LEASEHOLD_ES_URL": "http://a:9200, http://b:9200", "LEASEHOLD_LIMITS_PAYLOAD_MAX_BYTES": "1000"}
    found = load(tmp_path, "", environment)
    assert found.store.urls == ("http://a:9200", "http://b:9200")
    assert found.limits.payload_max_bytes == 1000


def test_an_empty_variable_counts_as_absent(tmp_path: Path) -> None:
    assert load(tmp_path, "", {"LEASEHOLD_ES_URL": "", "LEASEHOLD_NONSENSE": ""}) == Settings()


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read: No such file"):
        load_settings(environment={}, config=tmp_path / "other.toml")
    with pytest.raises(ConfigurationError, match="can't be read: No such file"):
        load_settings(environment={"LEASEHOLD_CONFIG": str(tmp_path / "other.toml")})


def test_a_malformed_file_is_named_with_the_line(tmp_path: Path) -> None:
    assert "leasehold.toml is no valid TOML: " in refusal(tmp_path, "[server]\nport = = 1\n")
    assert "line 2" in refusal(tmp_path, "[server]\nport = = 1\n")


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        (
            "[server]\n\nprot = 1\n",
            'leasehold.toml line 3: [server] has no field "prot"; allowed: host, port, processes, authentication,'
            " log_format and log_level; did you mean port?",
        ),
        (
            "\n[servr]\nport = 1\n",
            'leasehold.toml line 2: there is no table "servr"; allowed tables: store, lanes, commit, windows, '
            "history, lifecycle, limits, tenancy, usage, search, retention and server; did you mean server?",
        ),
        (
            'port = 1\n[store]\nurls = ["http://a:1"]\n',
            'leasehold.toml line 1: "port" is in no table; allowed tables: store, lanes, commit, windows, '
            "history, lifecycle, limits, tenancy, usage, search, retention and server",
        ),
        ("server = 1\n", "leasehold.toml line 1: server is not a table; write [server] and its fields below"),
        (
            "[lanes]\nlanes = 2\n[server]\nport = 70000\n",
            'leasehold.toml line 4: server.port is "70000"; allowed: an integer from 0 to 65535',
        ),
        (
            'server.port = "80"\n',
            'leasehold.toml line 1: server.port is "80"; allowed: an integer from 0 to 65535',
        ),
        ("[lanes]\nlanes = 0\n", 'leasehold.toml line 2: lanes.lanes is "0"; allowed: an integer of at least 1'),
        (
            '[server]\nlog_format = "yaml"\n',
            'leasehold.toml line 2: server.log_format is "yaml"; allowed: console or json',
        ),
        (
            '[store]\nindex_prefix = "My Index"\n',
            'leasehold.toml line 2: store.index_prefix is "My Index"; allowed: a small letter, then up to 63 small'
            " letters, digits and hyphens",
        ),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence_with_its_line(tmp_path: Path, toml: str, sentence: str) -> None:
    assert refusal(tmp_path, toml) == sentence


def test_an_unknown_variable_is_refused_with_the_nearest(tmp_path: Path) -> None:
    assert refusal(tmp_path, "", {"LEASEHOLD_ES_URLS": "http://a"}).endswith("did you mean LEASEHOLD_ES_URL?")


def test_a_bad_value_names_its_variable(tmp_path: Path) -> None:
    assert refusal(tmp_path, "", {"LEASEHOLD_PORT": "http"}) == (
        'the variable LEASEHOLD_PORT: server.port is "http"; allowed: an integer from 0 to 65535'
    )


def test_a_bad_value_names_its_option(tmp_path: Path) -> None:
    assert refusal(tmp_path, "", None, port="-1") == (
        'the option --port: server.port is "-1"; allowed: an integer from 0 to 65535'
    )


def test_two_variables_of_one_setting_must_agree(tmp_path: Path) -> None:
    environment = {"LEASEHOLD_ES_URL": "http://a:1", "LEASEHOLD_STORE_URLS": "http://b:1"}
    assert "name one setting; keep one of them" in refusal(tmp_path, "", environment)


def test_variables_that_kubernetes_or_other_commands_set_are_left_alone(tmp_path: Path) -> None:
    environment = {
        "LEASEHOLD_PORT": "tcp://10.0.0.1:8080",
        "LEASEHOLD_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "LEASEHOLD_SERVICE_HOST": "10.0.0.1",
        "LEASEHOLD_SERVICE_PORT_HTTP": "8080",
        "LEASEHOLD_SERVER": "http://127.0.0.1:8080",
    }
    assert load(tmp_path, "", environment) == Settings()


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (
            {"LEASEHOLD_LANES_RENEW_EVERY_MS": "5000"},
            'the variable LEASEHOLD_LANES_RENEW_EVERY_MS: lanes.renew_every_ms is "5000"; allowed: at most a third of'
            " lanes.lease_ms, which is 10000",
        ),
        (
            {"LEASEHOLD_LANES_LEASE_MS": "6000"},
            'the default: lanes.renew_every_ms is "2500"; allowed: at most a third of lanes.lease_ms, which is 6000',
        ),
        (
            {"LEASEHOLD_RETENTION_KEYS_KEPT_MS": "172800000"},
            'the variable LEASEHOLD_RETENTION_KEYS_KEPT_MS: retention.keys_kept_ms is "172800000"; allowed: at most'
            " lanes.kept_drained_ms, which is 86400000: a drained lane stays as long as the keys that name it",
        ),
        (
            {"LEASEHOLD_ES_URL": "localhost:9200"},
            'the variable LEASEHOLD_ES_URL: store.urls is "localhost:9200"; allowed: addresses such as'
            " http://127.0.0.1:9200, at least one",
        ),
        (
            {"LEASEHOLD_ES_PASSWORD": "hunter2"},
            "the variable LEASEHOLD_ES_PASSWORD: store.password given; allowed: only with store.username",
        ),
    ],
)
def test_settings_are_checked_against_each_other(tmp_path: Path, environment: dict[str, str], sentence: str) -> None:
    assert refusal(tmp_path, "", environment) == sentence


def test_a_host_that_others_reach_is_refused_where_it_was_given(tmp_path: Path) -> None:
    with pytest.raises(InsecureServer, match=r"the option --host: host is \"0\.0\.0\.0\""):
        load(tmp_path, "", None, host="0.0.0.0")
