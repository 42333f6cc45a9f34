"""The limits of a file, in force, and those that make no sense together."""

from types import SimpleNamespace

import pytest

from agentkit import Preset, Rates, SessionLimits, hookimpl
from agentkit.config.build import Agent, examine
from agentkit.config.diagnostics import Diagnostic
from agentkit.plugins import Plugins

BASE = "agent: {}\nprovider: {use: local}\n"
RATES = "rates: {input: 4, output: 16, audio_input: 32, audio_output: 64, cached: 0.4, cached_audio: 0.5}"


def examined(text: str, *overrides: str) -> tuple[Agent | None, list[Diagnostic]]:
    priced = Preset("priced", f"limits: {{{RATES}}}\nprovider: {{use: local}}")
    plugins = Plugins.from_modules({"prices": SimpleNamespace(register_presets=hookimpl(lambda: [priced]))})
    agent, found = examine("agent.yaml", text=text, plugins=plugins, environ={}, overrides=overrides)
    return agent, list(found)


def limits(text: str, *overrides: str) -> SessionLimits:
    agent, found = examined(text, *overrides)
    assert agent is not None, found
    return agent.limits


def test_every_limit_is_in_force() -> None:
    said = f"""limits:
  session_time: 15m
  idle_time: 90s
  turns: 200
  cost_usd: 0.5
  {RATES}
  on_limit: say_goodbye
  goodbye: That is all for today.
  tool_calls_per_turn: 8
  tool_calls_at_once: 3
"""
    found = limits(BASE + said)
    core = found.core
    assert found == SessionLimits(
        session_time=900,
        idle_time=90,
        turns=200,
        cost_usd=0.5,
        rates=Rates(input=4, output=16, audio_input=32, audio_output=64, cached=0.4, cached_audio=0.5),
        on_limit="say_goodbye",
        goodbye="That is all for today.",
        tool_calls_at_once=3,
        core=core,
    )
    assert core.tool_calls_per_turn == 8


def test_nothing_is_limited_where_nothing_is_said() -> None:
    assert limits(BASE) == SessionLimits()


def test_the_rates_may_be_a_presets() -> None:
    found = limits("preset: priced\nagent: {}\nlimits: {cost_usd: 1}\n")
    assert (found.cost_usd, found.rates is not None and found.rates.audio_output) == (1, 64)


@pytest.mark.parametrize(
    "said, column, key",
    [
        ("cost_usd: 1", 10, "cost_usd"),
        ("cost_usd: 1, rates: null", 10, "cost_usd"),
        ("goodbye: Bye.", 10, "goodbye"),
        ("on_limit: close, goodbye: Bye.", 27, "goodbye"),
    ],
)
def test_keys_that_need_another_say_so(said: str, column: int, key: str) -> None:
    agent, (found,) = examined(f"{BASE}limits: {{{said}}}\n")
    assert agent is None
    assert (found.code, found.line, found.column, found.key) == ("AK401", 3, column, f"limits.{key}")
    assert found.hint is not None


@pytest.mark.parametrize("said", ["cost_usd: null", "goodbye: null", "rates: {input: 1, output: 1}"])
def test_what_is_not_said_needs_nothing(said: str) -> None:
    assert limits(f"{BASE}limits: {{{said}}}\n").cost_usd is None


def test_a_wrong_choice_is_told_once() -> None:
    _, (found,) = examined(f"{BASE}limits: {{on_limit: leave, goodbye: Bye.}}\n")
    assert found.code == "AK104"


def test_an_override_is_cited() -> None:
    _, (found,) = examined(BASE, "limits.cost_usd=1")
    assert (found.code, found.file) == ("AK401", "--set limits.cost_usd")


@pytest.mark.parametrize("said", ["cost_usd: 0", "cost_usd: -1", "rates: {input: -1, output: 1}", "idle_time: 0s"])
def test_an_amount_has_to_be_one(said: str) -> None:
    _, found = examined(f"{BASE}limits: {{{said}}}\n")
    assert "AK105" in {each.code for each in found}
