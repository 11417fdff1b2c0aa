"""Settings from a TOML file, then the environment, then arguments: the later one wins, field by field.

The file has one table a component (`[store]`, `[lanes]`, ...: the fields of `core.settings.Settings`). Each field has a
variable, `LEASEHOLD_<TABLE>_<FIELD>`, and the usual ones a short name too (`sources.SHORT_NAMES`). A field that nobody
gives has its default; until then it is absent, never a default that hides another source. An empty variable counts as
absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, UnsetType

from ..settings import Settings
from .authentication import InsecureServer, check_exposure
from .sources import TABLES, ConfigurationError, Given, Place, from_arguments, from_environment, from_file
from .words import allowed_by, shown

__all__ = ["ConfigurationError", "load_settings"]

_SECRETS = frozenset({"api_key", "password"})


def load_settings(
    *,
    environment: Mapping[str, str],
    config: Path | None = None,
    arguments: Mapping[str, Any | UnsetType] | None = None,
    folder: Path = Path(),
) -> Settings:
    """Merge, validate, and build.

    `config` must exist; without it, LEASEHOLD_CONFIG names the file, or `leasehold.toml` in `folder` is read if it is
    there. `arguments` are keyed by option (`--port`); UNSET and None mean "not given".
    Raises: ConfigurationError; InsecureServer.
    """
    given = from_file(config, environment, folder)
    given.update(from_environment(environment))
    given.update(from_arguments(arguments or {}))
    components: dict[str, Any] = {table: _build(table, kind, given) for table, kind in TABLES.items()}
    settings = Settings(**components)
    _check_relations(settings, given)
    return settings


def _build(table: str, kind: type[Struct], given: Mapping[Place, Given]) -> Struct:
    _, components = msgspec.json.schema_components([kind], ref_template="{name}")
    properties = components[kind.__name__]["properties"]
    values = {
        field.name: _value(given[table, field.name], table, field, properties[field.name])
        for field in msgspec.structs.fields(kind)
        if (table, field.name) in given
    }
    return kind(**values)


def _value(given: Given, table: str, field: msgspec.structs.FieldInfo, schema: Mapping[str, Any]) -> Any:
    value = given.value
    is_list = schema.get("type") == "array"
    if is_list and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, field.type, strict=not given.text)
    except msgspec.ValidationError:
        found = "not what is allowed" if field.name in _SECRETS else shown(str(given.value))
        raise ConfigurationError(
            f"{given.source}: {table}.{field.name} is {found}; allowed: {allowed_by(schema)}"
        ) from None


def _check_relations(settings: Settings, given: Mapping[Place, Given]) -> None:
    """Raises: ConfigurationError for the first relation between settings that does not hold; InsecureServer."""
    for place, holds, allowed in _relations(settings):
        if not holds:
            source = given[place].source if place in given else "the default"
            value = getattr(getattr(settings, place[0]), place[1])
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            found = "given" if place[1] in _SECRETS else f"is {shown(text)}"
            raise ConfigurationError(f"{source}: {'.'.join(place)} {found}; allowed: {allowed}")
    try:
        check_exposure(settings.server.host)
    except InsecureServer as error:
        source = given["server", "host"].source if ("server", "host") in given else "the default"
        raise InsecureServer(f"{source}: {error}") from None


def _relations(settings: Settings) -> list[tuple[Place, bool, str]]:
    store, lanes, commit, limits = settings.store, settings.lanes, settings.commit, settings.limits
    keys_kept_ms = settings.retention.keys_kept_ms
    urls_fit = bool(store.urls) and all(re.match(r"https?://[^/\s]", url) for url in store.urls)
    return [
        (("store", "urls"), urls_fit, "addresses such as http://127.0.0.1:9200, at least one"),
        (("store", "password"), store.password is None or store.username is not None, "only with store.username"),
        (("store", "username"), store.username is None or store.password is not None, "only with store.password"),
        (("store", "api_key"), store.api_key is None or store.username is None, "only without store.username"),
        (("lanes", "lanes"), lanes.lanes <= 100, "1 to 100"),
        (
            ("lanes", "renew_every_ms"),
            lanes.renew_every_ms * 3 <= lanes.lease_ms,
            f"at most a third of lanes.lease_ms, which is {lanes.lease_ms}",
        ),
        (
            ("lanes", "observe_every_ms"),
            lanes.observe_every_ms <= lanes.renew_every_ms,
            f"at most lanes.renew_every_ms, which is {lanes.renew_every_ms}",
        ),
        (
            ("retention", "keys_kept_ms"),
            keys_kept_ms <= lanes.kept_drained_ms,
            f"at most lanes.kept_drained_ms, which is {lanes.kept_drained_ms}: a drained lane stays as long as the keys"
            " that name it",
        ),
        (
            ("commit", "backoff_initial_ms"),
            commit.backoff_initial_ms <= commit.backoff_max_ms,
            f"at most commit.backoff_max_ms, which is {commit.backoff_max_ms}",
        ),
        (
            ("commit", "bulk_max_bytes"),
            commit.bulk_max_bytes >= limits.document_max_bytes,
            f"at least limits.document_max_bytes, which is {limits.document_max_bytes}",
        ),
        (
            ("limits", "side_document_bytes"),
            limits.side_document_bytes <= limits.document_max_bytes,
            f"at most limits.document_max_bytes, which is {limits.document_max_bytes}",
        ),
        (
            ("limits", "lease_default_ms"),
            limits.lease_default_ms <= limits.lease_max_ms,
            f"at most limits.lease_max_ms, which is {limits.lease_max_ms}",
        ),
    ]
