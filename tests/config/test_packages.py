"""Names that a package brings which is not installed, and the plugins that a configuration allows."""

from types import SimpleNamespace

import pytest

from agentkit import Preset, hookimpl, tool
from agentkit.config.build import examine
from agentkit.config.diagnostics import Diagnostic
from agentkit.plugins import Plugins

BASE = "agent: {}\nprovider: {use: local}\n"


@tool
def ping() -> str:
    """Answer a ping."""
    return "pong"


ONE = SimpleNamespace(register_tools=hookimpl(lambda: [ping]))
TWO = SimpleNamespace(
    register_tools=hookimpl(lambda: [tool(lambda: "tack", name="tick")]),
    register_presets=hookimpl(lambda: [Preset("small", "agent: {name: small}")]),
)


def found(text: str) -> list[Diagnostic]:
    plugins = Plugins.from_modules({"one": ONE, "two": TWO})
    return list(examine("agent.yaml", text=BASE + text, plugins=plugins, environ={})[1])


@pytest.mark.parametrize(
    "text, hint",
    [
        ("tools: [{mcp: {url: x}}]", "pip install agentkit-realtime-mcp"),
        ("tools: [{use: weather}]", "pip install agentkit-realtime-basics"),
        ("guardrails: [{use: redact}]", "pip install agentkit-realtime-guard"),
        ("middleware: [{use: guard:budget}]", "pip install agentkit-realtime-guard"),
        ("middleware: [{use: transcript}]", "pip install agentkit-realtime-observe"),
        ("middleware: [{use: redcat}]", "did you mean `redact`? pip install agentkit-realtime-guard"),
    ],
)
def test_a_name_of_a_package_that_is_not_there_says_what_to_install(text: str, hint: str) -> None:
    (problem,) = found(f"{text}\n")
    assert (problem.code, problem.severity, problem.hint) == ("AK201", "error", hint)


def test_it_is_said_beside_other_mistakes_too() -> None:
    problems = found("tools: [{mcp: {url: x}}]\nlimits: {turns: x}\n")
    assert [(each.code, each.hint) for each in problems] == [
        ("AK201", "pip install agentkit-realtime-mcp"),
        ("AK102", None),
    ]


def test_the_place_of_a_missing_mcp_is_its_key() -> None:
    (problem,) = found("tools: [{mcp: {url: x}}]\n")
    assert (problem.line, problem.column, problem.end_column) == (3, 10, 13)


def test_an_optional_one_is_a_warning() -> None:
    problems = found("tools: [{mcp: {url: x}, optional: true}]\n")
    assert [each.severity for each in problems] == ["warning"]


def test_a_name_that_nobody_knows_gets_no_package() -> None:
    (problem,) = found("tools: [{use: pingg}]\n")
    assert problem.hint == "did you mean `ping`?"


# Which plugins may be used


def test_only_the_plugins_that_are_listed_are_used() -> None:
    assert found("plugins: [one]\ntools: [{use: ping}]\n") == []
    (problem,) = found("plugins: [one]\ntools: [{use: two:tick}]\n")
    assert problem.code == "AK201"
    assert "switched off by `plugins:`" in problem.message
    assert problem.hint == "add two to `plugins:`"


def test_an_empty_list_leaves_agentkits_own() -> None:
    assert found("plugins: []\n") == []
    assert [each.code for each in found("plugins: []\ntools: [{use: ping}]\n")] == ["AK201"]


def test_a_preset_of_a_plugin_that_is_not_listed_cannot_be_used() -> None:
    assert found("plugins: [two]\npreset: small\n") == []
    (problem,) = found("plugins: [one]\npreset: small\n")
    assert (problem.code, problem.line) == ("AK201", 4)


def test_a_plugin_that_is_not_installed_is_named_at_its_place() -> None:
    (problem,) = found("plugins: [one, tow]\n")
    assert (problem.code, problem.key, problem.line, problem.column) == ("AK201", "plugins[1]", 3, 16)
    assert problem.hint == "did you mean `two`?"


def test_it_is_named_beside_other_mistakes() -> None:
    assert [each.code for each in found("plugins: [tow]\nlimits: {turns: x}\n")] == ["AK201", "AK102"]
