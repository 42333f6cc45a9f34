"""The options, in code and in YAML."""

import inspect
import re
from pathlib import Path

import agentkit_mcp
import msgspec
import pytest
from agentkit_mcp import McpConfig, Variable, register_tools

import agentkit
from agentkit import ConfigError, Secret
from agentkit.plugins import Plugins

PLUGINS = {"mcp": agentkit_mcp}
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_hook_is_a_plain_function() -> None:
    assert [factory.name for factory in register_tools()] == ["mcp"]


@pytest.mark.parametrize("config", [McpConfig, agentkit_mcp.Restart])
def test_every_option_has_its_documentation(config: type[msgspec.Struct]) -> None:
    source = inspect.getsource(config)
    for field in msgspec.structs.fields(config):
        after = source.split(f"    {field.name}: ", 1)[1].split("\n", 2)[1]
        assert after.strip().startswith('"""')


@pytest.mark.parametrize(
    "options,message",
    [
        ({}, "either `command`"),
        ({"command": ("a",), "url": "http://localhost"}, "either `command`"),
        ({"command": ("",)}, "the name of a program"),
        ({"url": "localhost:80/mcp"}, "begins with http"),
        ({"url": "http:///mcp"}, "begins with http"),
        ({"url": "http://localhost", "args": ("x",)}, "`args` is for a server that is started"),
        ({"url": "http://localhost", "env": {"A": Variable("b")}}, "`env` is for a server that is started"),
        ({"url": "http://localhost", "cwd": "/"}, "`cwd` is for a server that is started"),
        ({"command": ("a",), "headers": {"A": Secret("b")}}, "`headers` are for a server at a `url`"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        McpConfig(**options)  # type: ignore[arg-type]  # as a test gives them


@pytest.mark.parametrize(
    "options,name",
    [
        ({"command": ("/usr/bin/notes", "--now")}, "notes"),
        ({"url": "https://example.org:8443/mcp"}, "example.org"),
        ({"command": ("x",), "name": "diary"}, "diary"),
    ],
)
def test_a_server_without_a_name_is_called_by_its_program_or_host(options: dict[str, object], name: str) -> None:
    assert McpConfig(**options).called == name  # type: ignore[arg-type]  # as a test gives them


def test_values_of_variables_and_headers_are_not_shown() -> None:
    shown = repr(McpConfig(command=("x",), env={"TOKEN": Variable("hush-hush")}))
    shown += repr(McpConfig(url="http://localhost", headers={"Authorization": Secret("Bearer hush-hush")}))
    assert "hush-hush" not in shown


def load(tmp_path: Path, options: str) -> agentkit.Agent:
    file = tmp_path / "agent.yaml"
    head = "version: 1\nagent: {instructions: Be brief.}\nprovider: {use: local}\ntools:\n"
    file.write_text(f"{head}  - use: mcp\n    with: {options}\n")
    plugins = Plugins.from_modules(PLUGINS)
    return agentkit.load(file, plugins=plugins, environ={"TOKEN": "hush-hush"})


def test_a_contradiction_in_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"agent.yaml:6.*either `command`") as caught:
        load(tmp_path, "{name: notes}")
    assert caught.value.line == 6


def test_a_plain_value_of_a_variable_is_no_secret_in_the_file(tmp_path: Path) -> None:
    agent = load(tmp_path, '{command: [notes], env: {MODE: fast, TOKEN: "${TOKEN}"}}')
    assert agent.warnings == ()


def test_times_are_written_with_their_units(tmp_path: Path) -> None:
    restart = "restart: {attempts: 2, backoff: 250ms, cap: 1m}"
    load(tmp_path, f"{{url: 'http://localhost/mcp', health: 5s, call_timeout: 2m, {restart}}}")


def test_every_option_is_in_the_readme() -> None:
    for option in McpConfig.__struct_fields__:
        assert f"`{option}`" in README


def test_the_yaml_of_the_readme_can_be_used(tmp_path: Path) -> None:
    [block] = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    file = tmp_path / "agent.yaml"
    file.write_text(f"version: 1\nagent: {{instructions: Be brief.}}\nprovider: {{use: local}}\n{block}")
    variables = {"NOTES_TOKEN": "hush", "EXAMPLE_KEY": "hush"}
    agentkit.load(file, plugins=Plugins.from_modules(PLUGINS), environ=variables)
