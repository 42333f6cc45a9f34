"""Handing a conversation over: what the server is asked for, what the model is told, and in which order."""

from typing import Any

import anyio
import pytest

import agentkit
from agentkit import HandoffAgent, Settings
from agentkit.events import AudioOutput, AudioSettings, HandedOver, Notice, ToolFinished, TurnCompleted
from agentkit.session.members import tool_name
from agentkit.testing import SESSION, FakeServer
from tests.session.handoffs import named, output

pytestmark = pytest.mark.anyio
ITEM, CREATE, UPDATE = "conversation.item.create", "response.create", "session.update"
TO_BILLING, TO_SUPPORT = "hand_over_to_billing", "hand_over_to_support"


def support(**more: Any) -> HandoffAgent:
    fields = {"instructions": "You help.", "tools": [named("lookup")], "handoff": ["billing"], **more}
    return HandoffAgent(name="support", **fields)


def billing(**more: Any) -> HandoffAgent:
    fields = {
        "description": "Questions about invoices.",
        "instructions": "You bill.",
        "tools": [named("invoice")],
        "handoff": ["support"],
        **more,
    }
    return HandoffAgent(name="billing", **fields)


def names(update: dict[str, Any]) -> list[str]:
    return [each.get("name") or each["server_label"] for each in update["session"]["tools"]]


def kinds(server: FakeServer) -> list[str]:
    return [frame["type"] for frame in server.written]


# What an agent has


async def test_the_first_agent_begins_with_its_own_instructions_tools_and_ways_to_hand_over() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[named("now")], agents=[support(), billing()]) as session:
        assert session.agent == "support"
        assert [each.name for each in session.agents] == ["support", "billing"]
        (update,) = server.updates
        assert update["session"]["instructions"] == "You help."
        assert names(update) == ["now", "lookup", TO_BILLING]
        assert list(session.tools) == ["now", "lookup", TO_BILLING]


async def test_another_one_may_begin() -> None:
    server = FakeServer()
    async with agentkit.open(server, agents=[support(), billing()], agent="billing") as session:
        assert session.agent == "billing"
        assert names(server.updates[0]) == ["invoice", TO_SUPPORT]


async def test_the_tool_says_when_to_use_it_and_takes_what_the_next_agent_has_to_know() -> None:
    async with agentkit.open(FakeServer(), agents=[support(), billing()]) as session:
        given = session.tools[TO_BILLING]
        assert given.description == "Hand the conversation over to billing: Questions about invoices."
        told = "What the next agent has to know: what is wanted, and what is settled already."
        properties = {"summary": {"type": "string", "description": told}}
        assert given.parameters == {"type": "object", "properties": properties}


async def test_a_session_without_agents_has_none_and_hands_nothing_over() -> None:
    async with agentkit.open(FakeServer()) as session:
        assert session.agent is None
        assert session.agents == ()
        with pytest.raises(agentkit.LocalProtocolError, match="no agent is called 'billing'; known: none"):
            await session.hand_over("billing")


@pytest.mark.parametrize(
    "name, expected",
    [
        ("billing", "hand_over_to_billing"),
        ("Billing Dept.", "hand_over_to_Billing_Dept"),
        ("perché", "hand_over_to_perche"),
        ("x" * 80, "hand_over_to_" + "x" * 51),
        ("会計", "hand_over_to_1991a009"),
    ],
)
def test_the_name_of_an_agent_becomes_that_of_a_tool(name: str, expected: str) -> None:
    assert tool_name(name) == expected


# By a call of the model


async def test_a_call_of_the_model_changes_all_by_one_update_before_the_next_response() -> None:
    server = FakeServer()
    async with agentkit.open(server, agents=[support(), billing(voice="cedar")]) as session:
        with session.subscribe(HandedOver, ToolFinished) as events:
            await server.calls("r1", c=(TO_BILLING, '{"summary": "an invoice is wrong"}'))
            assert await output(server) == "The conversation was handed over to billing."
            await server.next(CREATE)
            assert await anext(events) == HandedOver(agent="billing", previous="support")
            assert isinstance(await anext(events), ToolFinished)
        assert session.agent == "billing"
        assert kinds(server) == [UPDATE, UPDATE, ITEM, CREATE]
        asked = server.updates[1]["session"]
        assert asked["instructions"] == "You bill."
        assert asked["audio"] == {"output": {"voice": "cedar"}}
        assert names(server.updates[1]) == ["invoice", TO_SUPPORT]
        assert list(session.tools) == ["invoice", TO_SUPPORT]


async def test_there_is_a_way_back_and_who_has_no_instructions_has_those_of_the_session() -> None:
    server = FakeServer()
    settings = Settings(instructions="Be brief.", audio=AudioSettings(output=AudioOutput(voice="marin")))
    agents = [support(instructions=None), billing(voice="cedar")]
    async with agentkit.open(server, agents=agents, settings=settings) as session:
        for number, name in enumerate((TO_BILLING, TO_SUPPORT)):
            await server.calls(f"r{number}", **{f"c{number}": (name, "{}")})
            assert "handed over" in await output(server)
            await server.next(CREATE)
            await server.says(f"s{number}", "well")
            await anyio.wait_all_tasks_blocked()
        assert session.agent == "support"
        told = [(each["session"]["instructions"], each["session"]["audio"]) for each in server.updates]
        assert [one for one, _ in told] == ["Be brief.", "You bill.", "Be brief."]
        assert [audio["output"]["voice"] for _, audio in told] == ["marin", "cedar", "marin"]


async def test_what_the_server_began_with_comes_back_where_nobody_says_anything() -> None:
    server = FakeServer(session={**SESSION, "instructions": "Of the server."})
    async with agentkit.open(server, agents=[support(instructions=None), billing()]) as session:
        await session.hand_over("billing")
        await session.hand_over("support")
        assert server.session["instructions"] == "Of the server."


async def test_a_tool_of_the_agent_before_is_unknown_afterwards() -> None:
    server = FakeServer()
    async with agentkit.open(server, agents=[support(), billing()]) as session:
        await session.hand_over("billing")
        await server.calls("r1", c=("lookup", "{}"))
        assert (await output(server)).startswith("unknown tool 'lookup'")


# The greeting


async def test_the_next_agent_says_its_greeting_word_for_word_in_the_same_turn() -> None:
    server = FakeServer()
    server.will_call(TO_BILLING).then_say("Hello, this is billing.")
    agents = [support(), billing(greeting="Hello, this is billing.")]
    async with agentkit.open(server, agents=agents) as session:
        turn = await session.ask("my invoice is wrong", timeout=5)
        assert turn.text == "Hello, this is billing."
        assert [call.output for call in turn.tools] == ['{"handed_over_to":"billing","say":"Hello, this is billing."}']
        create = server.written[-1]
        assert create["response"] == {"instructions": "Say exactly: Hello, this is billing.", "tool_choice": "none"}
        server.verify()


async def test_a_greeting_is_left_to_the_model_where_it_has_another_result_to_speak_of() -> None:
    server = FakeServer()
    server.will_call(TO_BILLING).and_call("lookup").then_say("Hello. It was looked up.")
    async with agentkit.open(server, agents=[support(), billing(greeting="Hello.")]) as session:
        turn = await session.ask("my invoice is wrong", timeout=5)
        assert turn.text == "Hello. It was looked up."
        assert [call.output for call in turn.tools] == ['{"handed_over_to":"billing","say":"Hello."}', "lookup"]
        assert all("response" not in each for each in server.written if each["type"] == CREATE)
        server.verify()


async def test_a_greeting_is_left_to_the_model_where_the_user_has_gone_on() -> None:
    server = FakeServer(session={**SESSION, "audio": {"input": {"turn_detection": {"type": "server_vad"}}}})
    async with agentkit.open(server, agents=[support(), billing(greeting="Hello.")]) as session:
        await server.emit("input_audio_buffer.speech_started", item_id="u1", audio_start_ms=0)
        await server.calls("r1", c=(TO_BILLING, "{}"))
        assert await output(server) == '{"handed_over_to":"billing","say":"Hello."}'
        await anyio.wait_all_tasks_blocked()
        assert session.agent == "billing"
        assert CREATE not in kinds(server)  # the server answers the user, by the next agent's instructions


async def test_a_program_hands_over_and_the_next_agent_says_its_greeting_unless_it_is_not_to() -> None:
    server = FakeServer()
    async with agentkit.open(server, agents=[support(), billing(greeting="Hello.")]) as session:
        await session.hand_over("billing")
        with anyio.fail_after(5):
            assert (await server.next(CREATE))["response"]["instructions"] == "Say exactly: Hello."
        await server.says("r1", "Hello.")
        await session.hand_over("billing")  # it is with that one already
        await session.hand_over("support")
        await session.hand_over("billing", greet=False)
        await anyio.wait_all_tasks_blocked()
        assert kinds(server).count(CREATE) == 1
        assert len(server.updates) == 4


# The voice


async def test_a_voice_that_was_heard_stays_and_one_notice_says_so() -> None:
    server = FakeServer()
    agents = [support(), billing(voice="cedar")]
    async with agentkit.open(server, agents=agents) as session:
        with session.subscribe(Notice, TurnCompleted) as events, anyio.fail_after(5):
            server.will_say("Hello.", audio=b"\0\0" * 240)
            await session.ask("hi")
            assert isinstance(await anext(events), TurnCompleted)
            for name in ("billing", "support", "billing"):
                await session.hand_over(name)
            notice = await anext(events)
            assert isinstance(notice, Notice)
            assert notice.code == "voice_fixed"
            assert "billing" in notice.message
            session.notice("nothing", "nothing has happened")
            told = await anext(events)
            assert isinstance(told, Notice)
            assert told.code == "nothing"
        assert ["audio" in each["session"] for each in server.updates] == [False] * 4
        assert server.session["instructions"] == "You bill."


async def test_the_first_agent_has_its_own_voice_beside_what_else_is_said_of_audio() -> None:
    server = FakeServer()
    given = Settings(audio=AudioSettings(output=AudioOutput(speed=1.2)))
    async with agentkit.open(server, agents=[support(voice="cedar"), billing()], settings=given) as session:
        assert server.updates[0]["session"]["audio"] == {"output": {"voice": "cedar", "speed": 1.2}}
        await session.hand_over("billing")  # which has the voice that the session began with
        assert server.updates[1]["session"]["audio"] == {"output": {"voice": "alloy"}}


class VoiceRefusing(FakeServer):
    """Refuses any voice, as a server does that has spoken on this session before we came."""

    async def confirm(self, update: dict[str, Any]) -> None:
        if "audio" not in update["session"]:
            await super().confirm(update)
            return
        self.updates.append(update)
        error = {"type": "invalid_request_error", "code": "cannot_update_voice", "message": "no"}
        await self.emit("error", error={**error, "event_id": update["event_id"]})


async def test_a_voice_that_the_server_refuses_does_not_stop_the_hand_over() -> None:
    server = VoiceRefusing()
    async with agentkit.open(server, agents=[support(), billing(voice="cedar")]) as session:
        with session.subscribe(Notice) as notices, anyio.fail_after(5):
            await session.hand_over("billing")
            assert (await anext(notices)).code == "voice_fixed"
        assert session.agent == "billing"
        assert server.session["instructions"] == "You bill."
        assert list(session.tools) == ["invoice", TO_SUPPORT]


# What may not be


@pytest.mark.parametrize(
    "agents, first, error",
    [
        ([support(handoff=[]), support(handoff=[])], None, "two agents are called 'support'"),
        ([support(handoff=["sales"])], None, "support hands over to 'sales', and no agent is called so: support"),
        ([support(handoff=["support"])], None, "support hands over to itself"),
        ([support(handoff=[])], "sales", "no agent is called 'sales'; known: support"),
        ([], "sales", "no agent is called 'sales'; known: none"),
    ],
)
async def test_agents_that_cannot_be_are_an_error(agents: list[HandoffAgent], first: str | None, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        async with agentkit.open(FakeServer(), agents=agents, agent=first):
            pass


@pytest.mark.parametrize(
    "agents, error",
    [
        (["support"], "'support' is no agent"),
        ([support(tools=[len], handoff=[])], "is no tool"),
        ([support(tools=[named("now")], handoff=[])], "agent support: two tools have the name now"),
        ([support(tools=[named(TO_BILLING)]), billing()], f"agent support: two tools have the name {TO_BILLING}"),
        ([support(handoff=["a b", "a_b"]), HandoffAgent(name="a b"), HandoffAgent(name="a_b")], "hand_over_to_a_b"),
    ],
)
async def test_tools_that_cannot_be_are_an_error(agents: list[Any], error: str) -> None:
    with pytest.raises(TypeError, match=error):
        async with agentkit.open(FakeServer(), tools=[named("now")], agents=agents):
            pass


async def test_a_transcription_session_has_no_agents() -> None:
    with pytest.raises(TypeError, match="a transcription session has no agents"):
        async with agentkit.open(FakeServer(), agents=[support()], settings=agentkit.TranscriptionSettings()):
            pass


async def test_who_is_unknown_cannot_be_handed_over_to() -> None:
    async with agentkit.open(FakeServer(), agents=[support(), billing()]) as session:
        with pytest.raises(agentkit.LocalProtocolError, match="no agent is called 'sales'; known: support, billing"):
            await session.hand_over("sales")
