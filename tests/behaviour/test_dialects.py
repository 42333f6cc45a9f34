"""What is asked for is written in the dialect's own shape, and what it cannot say is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import agentkit
from agentkit.events import InputImage

if TYPE_CHECKING:
    from tests.behaviour.conftest import Server

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"max_output_tokens": "inf"}, {"max_output_tokens": "inf"}),
        ({"tool_choice": "required"}, {"tool_choice": "required"}),
        ({"output_modalities": ("audio",), "instructions": ""}, {"instructions": ""}),
        ({"output_modalities": ("text",)}, {"output_modalities": ["text"]}),
    ],
)
async def test_rb_24_each_dialect_gets_its_own_shape_and_only_what_differs(
    server: Server, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    server.session["instructions"] = "long"
    async with agentkit.open(server, settings=agentkit.Settings(**fields)):
        assert server.updates[0]["session"] == server.shape({"type": "realtime", **expected})


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
async def test_rb_24_formats_have_each_dialects_names(server: Server, kind: str) -> None:
    named = agentkit.events.AudioFormat(type=kind)
    audio = agentkit.AudioSettings(input=agentkit.AudioInput(format=named), output=agentkit.AudioOutput(format=named))
    async with agentkit.open(server, settings=agentkit.Settings(audio=audio)):
        typed = {"input": {"format": {"type": kind}}, "output": {"format": {"type": kind}}}
        assert server.updates[0]["session"] == server.shape({"type": "realtime", "audio": typed})


async def test_rb_24_what_the_dialect_has_not_is_refused_by_name(
    new_server: Callable[..., Server], dialect: str
) -> None:
    fields: dict[str, Any] = {"temperature": 0.7} if dialect == "ga" else {"reasoning": {"effort": "low"}}
    server = new_server()
    async with agentkit.open(server) as session:
        with pytest.raises(agentkit.LocalProtocolError, match=next(iter(fields))):
            await session.update(agentkit.Settings(**fields))
        await session.update(agentkit.Settings(instructions="on"))
        assert server.updates[0]["session"] == server.shape({"type": "realtime", "instructions": "on"})


async def test_rb_24_an_image_is_sent_where_the_dialect_has_it_and_refused_where_not(
    server: Server, dialect: str
) -> None:
    image = InputImage(image_url="data:image/png;base64,AAAA")
    async with agentkit.open(server) as session:
        if dialect == "ga":
            await session.add_message("user", "what is this?", image, reply=True)
            content = (await server.next("conversation.item.create"))["item"]["content"]
            assert [part["type"] for part in content] == ["input_text", "input_image"]
            await server.expect("response.create")
        else:
            with pytest.raises(agentkit.LocalProtocolError, match="input_image"):
                await session.add_message("user", "what is this?", image, reply=True)
            await server.expect_nothing(session)
