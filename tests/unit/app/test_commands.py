"""The command line: what it prints, and how it fails."""

import json
from pathlib import Path

import pytest
from leasehold import __version__
from leasehold.core.app.commands.root import app
from typer.testing import CliRunner, Result

VALID = """\
name: hello
version: 3
steps:
  - {name: greet, executor: render, input: {template: "hello"}}
"""


@pytest.fixture(autouse=True)
def _without_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LEASEHOLD_SERVER", "LEASEHOLD_TENANT", "LEASEHOLD_SPACE", "LEASEHOLD_CONFIG", "LEASEHOLD_PORT"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def failed(*arguments: str) -> str:
    """The sentence of a command that fails as it should: exit code 1, nothing on standard output, no exception."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    return result.stderr


def test_the_version_is_printed() -> None:
    assert run("--version").stdout == f"leasehold {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["bogus"], ["instances", "show"], ["workflows", "show", "x", "--version", "one"]]
)
def test_a_wrong_command_line_ends_with_code_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_valid_definition_is_told_by_name_and_version(tmp_path: Path) -> None:
    path = tmp_path / "hello.yaml"
    path.write_text(VALID, encoding="utf-8")
    result = run("workflows", "validate", str(path))
    assert (result.exit_code, result.stdout) == (0, f"{path}: hello version 3 is valid\n")


def test_a_definition_may_come_from_standard_input() -> None:
    assert run("workflows", "validate", "-", stdin=VALID).exit_code == 0


def test_an_invalid_definition_is_told_with_its_line_and_fails(tmp_path: Path) -> None:
    path = tmp_path / "hello.yaml"
    path.write_text(VALID.replace("executor", "exeutor"), encoding="utf-8")
    sentence = failed("workflows", "validate", str(path))
    assert f"{path}:4:" in sentence
    assert "executor" in sentence


def test_violations_can_be_had_as_json(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(VALID, encoding="utf-8")
    bad.write_text(VALID.replace("executor", "exeutor"), encoding="utf-8")
    result = run("workflows", "validate", "--json", str(good), str(bad))
    assert result.exit_code == 1
    rows = json.loads(result.stdout)
    assert rows[0] == {"file": str(good), "valid": True, "workflows": ["hello"]}
    assert rows[1]["violations"][0]["line"] == 4


def test_a_file_that_is_not_there_is_one_sentence() -> None:
    assert (
        failed("workflows", "validate", "/nowhere.yaml")
        == "leasehold: /nowhere.yaml can't be read: No such file or directory\n"
    )


def test_the_schema_of_definitions_is_json() -> None:
    assert json.loads(run("workflows", "schema").stdout)["type"] == "object"


def test_nothing_is_stored_if_one_of_the_files_is_invalid(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(VALID, encoding="utf-8")
    bad.write_text("steps: 1", encoding="utf-8")
    assert "nothing was stored" in failed("workflows", "put", str(good), str(bad))


BLUEPRINT = """\
blueprint: greeting
parameters: {who: {type: string, required: true}, loud: {type: boolean, default: false}}
name: greet-${{ parameters.who }}
steps:
  - {name: greet, use: say, with: {text: "hello ${{ parameters.who }}", loud: "${{ parameters.loud }}"}}
"""
BLOCKS = """\
blocks:
  say:
    parameters: {text: {type: string}, loud: {type: boolean}}
    steps: [{name: speak, executor: speaker, input: ["${{ parameters.text }}", "${{ parameters.loud }}"]}]
"""
WRITTEN_OUT = """\
# Rendered from the blueprint greeting.
name: greet-ada
steps:
  - name: greet
    switch: "{{ 'say' }}"
    cases:
      say:
        - name: speak
          executor: speaker
          input: [hello ada, true]
"""


@pytest.fixture
def blueprint(tmp_path: Path) -> list[str]:
    """The arguments that name a blueprint and the blocks that it uses."""
    path, blocks = tmp_path / "greeting.yaml", tmp_path / "blocks.yaml"
    path.write_text(BLUEPRINT, encoding="utf-8")
    blocks.write_text(BLOCKS, encoding="utf-8")
    return [str(path), "--blocks", str(blocks)]


def test_a_blueprint_is_rendered_with_values_of_a_file_and_of_the_command_line(
    blueprint: list[str], tmp_path: Path
) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("{who: eve, loud: true}", encoding="utf-8")
    result = run("workflows", "render", *blueprint, "--values", str(values), "--set", "who=ada")
    assert (result.exit_code, result.stdout) == (0, WRITTEN_OUT)
    assert run("workflows", "render", "-", stdin=WRITTEN_OUT).stdout == WRITTEN_OUT
    assert run("workflows", "render", "-", stdin=f"{VALID}---\n{WRITTEN_OUT}").stdout == f"{VALID}---\n{WRITTEN_OUT}"


def test_a_blueprint_is_validated_with_its_values(blueprint: list[str]) -> None:
    result = run("workflows", "validate", *blueprint, "--set", "who=ada", "--set", "loud=true")
    assert (result.exit_code, result.stdout.endswith("greet-ada version 1 is valid\n")) == (0, True)
    sentence = failed("workflows", "validate", *blueprint, "--set", "loud=maybe")
    assert "greeting.yaml:2:14: parameters.who: the parameter `who` of the blueprint `greeting` is missing" in sentence
    assert 'parameters.loud: found "maybe"; allowed: true or false' in sentence


def test_a_blueprint_without_its_values_is_neither_rendered_nor_stored(blueprint: list[str]) -> None:
    assert "is not valid:\n" in failed("workflows", "render", *blueprint)
    assert "nothing was stored" in failed("workflows", "put", *blueprint)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--set", "who"], "--set is 'who'; write it as name=value"),
        (["--values", "/nowhere.yaml"], "/nowhere.yaml can't be read"),
        (["--blocks", "/nowhere.yaml"], "/nowhere.yaml can't be read"),
    ],
)
def test_values_that_can_not_be_had_are_one_sentence(blueprint: list[str], options: list[str], part: str) -> None:
    assert part in failed("workflows", "validate", *blueprint, *options)


def test_an_address_that_is_no_url_is_refused() -> None:
    assert "write http://host:port" in failed("workflows", "list", "--server", "no url")


def test_a_parameter_without_a_value_is_refused() -> None:
    assert (
        failed("instances", "start", "hello", "--param", "x") == "leasehold: --param is 'x'; write it as name=value\n"
    )


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--port", "http"], 'the option --port: server.port is "http"'),
        (["--host", "0.0.0.0"], "without authentication"),
        (["--config", "/nowhere.toml"], "can't be read"),
    ],
)
def test_serving_with_wrong_settings_is_one_sentence(arguments: list[str], part: str) -> None:
    assert part in failed("serve", *arguments)
