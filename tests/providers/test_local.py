"""The ``local`` provider."""

import json

import pytest

from agentkit.events import Dialect
from agentkit.local import RulesResponder
from agentkit.providers.local import Local, LocalConfig

pytestmark = pytest.mark.anyio


async def test_a_connection_is_a_session_of_its_own() -> None:
    provider = Local()
    async with provider.connect() as first, provider.connect() as second:
        sessions = [json.loads(await each.receive())["session"] for each in (first, second)]
    assert sessions[0]["id"] != sessions[1]["id"]
    assert sessions[0]["model"] == "rules"


async def test_a_turn_runs_without_key_and_network() -> None:
    async with Local().connect() as transport:
        await transport.send(b'{"type": "response.create"}')
        event = {"type": ""}
        while event["type"] != "response.output_text.done":
            event = json.loads(await transport.receive())
    assert "not a language model" in event["text"]


async def test_an_error_inside_the_context_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with Local().connect():
            raise ZeroDivisionError


async def test_options_give_model_and_dialect() -> None:
    config = LocalConfig(model="mine", dialect="beta")
    provider = Local.configured(config, RulesResponder)
    assert (provider.name, provider.model, provider.dialect) == ("local", "mine", Dialect.BETA)
    async with provider.connect() as transport:
        session = json.loads(await transport.receive())["session"]
    assert session["model"] == "mine"
    assert "modalities" in session
