"""The plugin as agentkit sees it, and as a configuration names it."""

import inspect
from pathlib import Path

import agentkit_guard
import msgspec
import pytest
from agentkit_guard import Amounts, ModelConfig, Rule, register_middleware

import agentkit
from agentkit import ConfigError, Factory, Middleware
from agentkit.plugins import Plugins
from agentkit.testing import check_plugin

NAMES = ("budget", "check", "gate", "hold", "redact", "tool-policy", "topic")
PLUGINS = {"guard": agentkit_guard}
FACTORIES = list(register_middleware())
CONFIGS = [*(item.config for item in FACTORIES if item.config is not None), Amounts, ModelConfig, Rule]
HEAD = "agent: {instructions: Be brief.}\nprovider: {use: local}\nmiddleware:\n"


def test_every_guard_is_registered() -> None:
    assert Plugins.from_modules(PLUGINS, builtin=False).names("middleware") == NAMES


def test_nothing_is_wrong_with_the_plugin_but_that_a_guard_has_to_be_told_what_it_guards() -> None:
    assert [str(finding) for finding in check_plugin(agentkit_guard)] == []


@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: factory.name)
def test_a_guard_that_fails_lets_nothing_pass(factory: Factory[Middleware]) -> None:
    assert isinstance(factory.build, type)
    assert issubclass(factory.build, Middleware)
    assert factory.build.critical


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.__name__)
def test_every_option_has_its_documentation(config: type[msgspec.Struct]) -> None:
    sources = [inspect.getsource(cls) for cls in config.__mro__ if cls.__module__.startswith("agentkit_guard")]
    for field in msgspec.structs.fields(config):
        source = next(source for source in sources if f"    {field.name}: " in source)
        after = source.split(f"    {field.name}: ", 1)[1].split("\n", 2)[1]
        assert after.strip().startswith('"""')


@pytest.mark.parametrize(
    "layer",
    [
        "{use: redact, with: {kinds: [card, email], at: tool_arguments, action: replace}}",
        "{use: redact, with: {pattern: '\\b\\d{16}\\b', at: [input, output]}}",
        "{use: topic, with: {deny: [medical], at: output, action: interrupt, message: No.}}",
        "{use: gate, with: {deny: [medical], timeout: 5s, unheard: Pardon?}}",
        "{use: hold, with: {deny: [medical], unit: response, python: 'json:dumps'}}",
        "{use: tool-policy, with: {deny: [delete_*], rules: [{tool: pay, argument: amount, max: 100}]}}",
        "{use: budget, with: {stop: {time: 15m, cost: 0.5}, rates: {input: 4, output: 16}, goodbye: Bye.}}",
        "{use: check, with: {model: {url: 'http://127.0.0.1:1/v1', model: small, key: '${GUARD_KEY:-}'}, timeout: 2s}}",
    ],
)
def test_a_configuration_can_name_it(layer: str, tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(f"{HEAD}  - {layer}\n", encoding="utf-8")
    agent = agentkit.load(path, plugins=Plugins.from_modules(PLUGINS))
    assert [layer.name for layer in agent.layers] == [layer.removeprefix("{use: ").partition(",")[0]]


@pytest.mark.parametrize(
    "layer, message",
    [
        ("{use: redact, with: {kinds: [cards]}}", "did you mean `card`"),
        ("{use: redact}", "say what is redacted"),
        ("{use: topic, with: {deny: [bomb], message: no bomb here}}", "itself holds"),
        ("{use: budget, with: {stop: {cost: 1}}}", "needs the rates"),
        ("{use: check, with: {python: 'no_such_module:f'}}", "cannot be imported"),
        ("{use: check, with: {python: 'json:dumps', action: replace}}", "use `hold`"),
    ],
)
def test_a_mistake_is_told_with_its_place(layer: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(f"{HEAD}  - {layer}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        agentkit.load(path, plugins=Plugins.from_modules(PLUGINS))
    told = f"{caught.value} {caught.value.hint}"
    assert message in told
    assert "agent.yaml:4" in told
