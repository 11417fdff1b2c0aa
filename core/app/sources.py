"""Where settings are given: a TOML file, the environment, arguments; each value with its place, to name in errors."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ..errors import LeaseholdError
from ..settings import Settings
from .words import did_you_mean, listed, shown

DEFAULT_FILE = "leasehold.toml"
PREFIX = "LEASEHOLD_"

SHORT_NAMES: dict[str, tuple[str, str]] = {
    "LEASEHOLD_ES_URL": ("store", "urls"),
    "LEASEHOLD_ES_API_KEY": ("store", "api_key"),
    "LEASEHOLD_ES_USERNAME": ("store", "username"),
    "LEASEHOLD_ES_PASSWORD": ("store", "password"),
    "LEASEHOLD_ES_CA_CERTS": ("store", "ca_certs"),
    "LEASEHOLD_INDEX_PREFIX": ("store", "index_prefix"),
    "LEASEHOLD_HOST": ("server", "host"),
    "LEASEHOLD_PORT": ("server", "port"),
    "LEASEHOLD_PROCESSES": ("server", "processes"),
    "LEASEHOLD_LOG_FORMAT": ("server", "log_format"),
    "LEASEHOLD_LOG_LEVEL": ("server", "log_level"),
}

# Variables of other commands, which are no settings of a replica.
OTHER_VARIABLES = (
    "LEASEHOLD_CACHE",
    "LEASEHOLD_CONFIG",
    "LEASEHOLD_SERVER",
    "LEASEHOLD_SIBLING",
    "LEASEHOLD_TENANT",
    "LEASEHOLD_SPACE",
)
OTHER_PREFIXES = ("LEASEHOLD_EMBEDDED_", "LEASEHOLD_WORKER_", "LEASEHOLD_TEST_", "LEASEHOLD_BENCH_")

# What Kubernetes puts into every pod beside a Service that is called `leasehold`.
_SERVICE_LINK = re.compile(r"LEASEHOLD(_[A-Z0-9_]+)?_SERVICE_(HOST|PORT.*)|LEASEHOLD_PORT_[0-9]+_.*")
ARGUMENTS: dict[str, Place] = {
    "--host": ("server", "host"),
    "--port": ("server", "port"),
    "--processes": ("server", "processes"),
    "--log-format": ("server", "log_format"),
    "--log-level": ("server", "log_level"),
    "--elasticsearch": ("store", "urls"),
    "--index-prefix": ("store", "index_prefix"),
}


class ConfigurationError(LeaseholdError):
    """A setting is unknown, malformed, or contradicts another; the sentence names where it was given."""


class Given(NamedTuple):
    """A value and where it came from. `text`: it was written as text, and is read as the field's type."""

    value: Any
    source: str
    text: bool


Place = tuple[str, str]
TABLES: dict[str, type[Struct]] = {field.name: field.type for field in msgspec.structs.fields(Settings)}
FIELDS: dict[Place, msgspec.structs.FieldInfo] = {
    (table, field.name): field for table, kind in TABLES.items() for field in msgspec.structs.fields(kind)
}


def variable(place: Place) -> str:
    """The systematic name of a field's variable."""
    return PREFIX + "_".join(place).upper()


def from_file(config: Path | None, environment: Mapping[str, str], folder: Path) -> dict[Place, Given]:
    path = config or (Path(environment["LEASEHOLD_CONFIG"]) if environment.get("LEASEHOLD_CONFIG") else None)
    if path is None:
        path = folder / DEFAULT_FILE
        if not path.is_file():
            return {}
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is no valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"the configuration {path} can't be read: {reason}") from None
    return _from_tables(tables, text, str(path))


def _from_tables(tables: Mapping[str, Any], text: str, path: str) -> dict[Place, Given]:
    given: dict[Place, Given] = {}
    for table, fields in tables.items():
        source = f"{path} line {_line_of(text, table, None)}"
        if table not in TABLES:
            found = (
                f"there is no table {shown(table)}" if isinstance(fields, dict) else f"{shown(table)} is in no table"
            )
            allowed = f"allowed tables: {listed(TABLES)}"
            raise ConfigurationError(f"{source}: {found}; {allowed}{did_you_mean(table, TABLES)}")
        if not isinstance(fields, dict):
            raise ConfigurationError(f"{source}: {table} is not a table; write [{table}] and its fields below")
        for field, value in fields.items():
            source = f"{path} line {_line_of(text, table, field)}"
            if (table, field) not in FIELDS:
                known = [name for of_table, name in FIELDS if of_table == table]
                allowed = f"allowed: {listed(known)}"
                raise ConfigurationError(
                    f"{source}: [{table}] has no field {shown(field)}; {allowed}{did_you_mean(field, known)}"
                )
            given[table, field] = Given(value, source, text=False)
    return given


def _line_of(text: str, table: str, field: str | None) -> int:
    """The line that gives a table or a field, as near as its usual ways of writing tell."""
    current, at_table = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*\"?([\w-]+)\"?", line)
        key = re.match(r"\s*\"?([\w-]+)\"?\s*(?:\.\s*\"?([\w-]+)\"?\s*)?=", line)
        if header:
            current = header[1]
        words = (header[1], None) if header else (key[1], key[2]) if key and not current else None
        if words is not None and words[0] == table:
            at_table = number
            if field is None or words[1] == field:
                return number
        elif key and current == table and key[1] == field:
            return number
    return at_table


def from_environment(environment: Mapping[str, str]) -> dict[Place, Given]:
    names = {variable(place): place for place in FIELDS} | SHORT_NAMES
    given: dict[Place, Given] = {}
    for name, value in environment.items():
        if not name.startswith(PREFIX) or not value or _is_foreign(name, value):
            continue
        place = names.get(name)
        if place is None:
            raise ConfigurationError(
                f"the variable {name} is unknown; allowed: LEASEHOLD_<TABLE>_<FIELD>, such as LEASEHOLD_SERVER_PORT"
                f", and {listed(SHORT_NAMES)}{did_you_mean(name, [*names, *OTHER_VARIABLES])}"
            )
        if place in given and given[place].value != value:
            raise ConfigurationError(
                f"{given[place].source} and the variable {name} name one setting; keep one of them"
            )
        given[place] = Given(value, f"the variable {name}", text=True)
    return given


def _is_foreign(name: str, value: str) -> bool:
    if name in OTHER_VARIABLES or name.startswith(OTHER_PREFIXES) or _SERVICE_LINK.fullmatch(name):
        return True
    return name == "LEASEHOLD_PORT" and value.startswith(("tcp://", "udp://"))


def from_arguments(arguments: Mapping[str, Any | UnsetType]) -> dict[Place, Given]:
    return {
        ARGUMENTS[option]: Given(value, f"the option {option}", text=isinstance(value, str))
        for option, value in arguments.items()
        if value is not UNSET and value is not None
    }
