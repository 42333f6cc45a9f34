"""The plugin as agentkit sees it."""

import inspect

import agentkit_basics
import msgspec
import pytest
from agentkit_basics import register_tools

from agentkit import Factory, Tool
from agentkit.plugins import Plugins

NAMES = ("calculate", "get_memory", "http-get", "now", "set_memory", "weather")
OPTIONS = {"http-get": {"allow": ["example.org"]}}


def built(name: str) -> Tool[..., object]:
    entry = Plugins.from_modules({"basics": agentkit_basics}, builtin=False).get("tools", name)
    if isinstance(entry, Tool):
        return entry
    made = entry.make(msgspec.convert(OPTIONS.get(name, {}), entry.config))
    assert isinstance(made, Tool)
    return made


def properties(tool: Tool[..., object]) -> dict[str, dict[str, object]]:
    found = tool.parameters["properties"]
    assert isinstance(found, dict)
    return found


def test_every_tool_is_registered() -> None:
    assert Plugins.from_modules({"basics": agentkit_basics}, builtin=False).names("tools") == NAMES


def test_the_hook_is_a_plain_function() -> None:
    assert {item.name for item in register_tools()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_tool_describes_itself_and_its_arguments(name: str) -> None:
    tool = built(name)
    assert tool.name == name
    assert tool.description
    assert tool.examples
    for argument in properties(tool).values():
        assert argument["description"]


@pytest.mark.parametrize("name", NAMES)
def test_the_context_is_not_in_the_schema(name: str) -> None:
    assert "context" not in properties(built(name))


@pytest.mark.parametrize(
    "item", [item for item in register_tools() if isinstance(item, Factory)], ids=lambda item: item.name
)
def test_every_option_has_its_documentation(item: Factory[Tool[..., object]]) -> None:
    assert item.config is not None
    source = inspect.getsource(item.config)
    for field in msgspec.structs.fields(item.config):
        after = source.split(f"    {field.name}: ", 1)[1].split("\n", 2)[1]
        assert after.strip().startswith('"""')
