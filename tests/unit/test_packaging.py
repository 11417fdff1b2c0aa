"""The hand-kept lists of packaging agree with the tree, with each other, and with what a user gets from the wheel."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGES = ("bench", "claim", "core", "definitions", "ilm", "tenancy")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS: list[dict[str, Any]] = PROJECT["tool"]["importlinter"]["contracts"]
ABSENT_FROM_THE_CLIENT = ("elasticsearch", "pydantic", "jinja2", "structlog", "typer", "rich")

LOCKED = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: ; (?P<marker>.+?))?(?: \\)?$", re.MULTILINE)


def locked() -> dict[str, str]:
    return {match["name"]: match["version"] for match in LOCKED.finditer((ROOT / "requirements.lock").read_text())}


def requirements() -> Iterator[Requirement]:
    """Every requirement of every extra, but for those that name the project itself."""
    project = PROJECT["project"]
    for text in [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]:
        requirement = Requirement(text)
        if requirement.name != "leasehold":
            yield requirement


def test_every_package_on_disk_is_listed_for_the_wheel() -> None:
    found = {"leasehold"}
    for package in PACKAGES:
        found.update(
            ".".join(("leasehold", *path.parent.relative_to(ROOT).parts))
            for path in (ROOT / package).rglob("__init__.py")
        )
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(found)


def test_no_folder_with_modules_lacks_its_init() -> None:
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_no_other_python_file_lies_at_the_root() -> None:
    assert [path.name for path in ROOT.glob("*.py")] == ["__init__.py"]


def test_type_checkers_read_every_package_through_a_link() -> None:
    links = {path.name: path.resolve() for path in (ROOT / ".namespace" / "leasehold").iterdir()}
    assert links == {name: ROOT / name for name in (*PACKAGES, "__init__.py")}


def test_every_package_says_that_it_is_typed() -> None:
    assert [name for name in PACKAGES if not (ROOT / name / "py.typed").exists()] == []


def test_a_contract_holds_every_storey_in_its_place() -> None:
    (storeys,) = (contract["layers"] for contract in CONTRACTS if contract["name"].startswith("Storeys: "))
    assert [layer.replace("leasehold.", "") for layer in storeys] == [
        "bench",
        "core",
        "tenancy | ilm | definitions",
        "claim",
    ]


@pytest.mark.parametrize(
    ("sources", "forbidden"),
    [
        (["core.machine", "tenancy", "definitions"], ["asyncio", "time", "random", "elasticsearch"]),
        (["claim"], ["pydantic", "elasticsearch", "structlog"]),
        (["definitions", "ilm"], ["leasehold.claim"]),
        (["core", "bench"], ["elasticsearch", "elastic_transport"]),
        (["core", "ilm", "bench"], ["pydantic"]),
        (["core", "claim"], ["tests"]),
        (["core", "claim", "tenancy", "definitions", "ilm", "bench"], ["locust", "gevent"]),
    ],
)
def test_a_contract_forbids(sources: list[str], forbidden: list[str]) -> None:
    wanted = {f"leasehold.{name}" for name in sources}
    assert any(
        contract["type"] == "forbidden"
        and wanted <= set(contract["source_modules"])
        and set(forbidden) <= set(contract["forbidden_modules"])
        for contract in CONTRACTS
    )


def test_the_lock_names_no_host_and_no_path() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert re.findall(r"^\s*-.*", text, re.MULTILINE) == re.findall(
        r"^ {4}--hash=sha256:[0-9a-f]{64}\b.*", text, re.MULTILINE
    )
    assert re.findall(r"\b[\w-]+\.(?:org|com|io|net|internal)\b", text) == []


def test_the_lock_satisfies_every_range() -> None:
    versions = locked()
    unmet = [str(one) for one in requirements() if not one.specifier.contains(versions[canonicalize_name(one.name)])]
    assert unmet == []


def test_the_lock_has_a_hash_for_every_version() -> None:
    text = (ROOT / "requirements.lock").read_text()
    blocks = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    # A library may have a version for older Pythons and one for newer.
    assert {block.partition("==")[0] for block in blocks} == locked().keys()
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


def closure(*names: str) -> set[str]:
    """These distributions and all that they need here, by the metadata of what is installed."""
    found: set[str] = set()
    left = [canonicalize_name(name) for name in names]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        for text in importlib.metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                left.append(canonicalize_name(needed.name))
    return found


def run(*command: object) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build leaves folders behind, and takes what earlier ones left."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "py.typed", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, source)
    (built,) = folder.glob("leasehold-*.whl")
    return built


@pytest.fixture(scope="module")
def client(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a clean environment with the wheel and what it needs, in the versions of the lock."""
    folder = tmp_path_factory.mktemp("client")
    run(sys.executable, "-m", "venv", folder)
    needed = closure("msgspec", "aiohttp")
    blocks = re.split(r"^(?=[a-z0-9-]+==)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)
    (folder / "needed.lock").write_text("".join(block for block in blocks if block.partition("==")[0] in needed))
    pip = folder / "bin" / "pip"
    run(
        pip, "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "--requirement", folder / "needed.lock"
    )
    run(pip, "install", "--quiet", "--no-deps", "--no-index", wheel)
    return folder / "bin"


@pytest.mark.slow
def test_the_wheel_alone_needs_msgspec_and_aiohttp_alone(client: Path) -> None:
    assert run(client / "pip", "check").strip() == "No broken requirements found."
    installed = {line.partition("==")[0] for line in run(client / "pip", "freeze").split()}
    assert installed.isdisjoint(ABSENT_FROM_THE_CLIENT)


@pytest.mark.slow
def test_the_client_of_the_wheel_imports_nothing_of_the_server(client: Path) -> None:
    names = ", ".join(repr(name) for name in ABSENT_FROM_THE_CLIENT)
    run(
        client / "python", "-W", "error", "-c",
        "import sys, leasehold.claim;"
        "from leasehold.claim import ClaimClient, Worker;"
        f"assert not {{{names}}} & set(sys.modules), sorted(sys.modules)",
    )  # fmt: skip


@pytest.mark.slow
def test_the_bare_script_says_which_extra_to_install(client: Path) -> None:
    done = subprocess.run([client / "leasehold", "serve"], capture_output=True, text=True, cwd="/")
    assert done.returncode != 0
    assert "pip install 'leasehold[server]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_wheel_holds_the_listed_packages_and_nothing_else(wheel: Path) -> None:
    listing = run(sys.executable, "-m", "zipfile", "-l", wheel)
    names = [line.split()[0] for line in listing.splitlines()[1:]]
    folders = {name.rpartition("/")[0].replace("/", ".") for name in names if name.endswith(".py")}
    assert sorted(folders) == sorted(PROJECT["tool"]["setuptools"]["packages"])
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"leasehold"}
