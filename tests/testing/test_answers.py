"""What a fake server answers by itself, as a session sees it."""

import pytest

import agentkit
from agentkit import ResponseSettings, tool
from agentkit.events import Dialect, Event, ServerEvent
from agentkit.local import decode_tones
from agentkit.session import Session
from agentkit.testing import FakeServer, Transcript, speech

pytestmark = pytest.mark.anyio


@tool
def weather(city: str) -> dict[str, str]:
    """Tell the weather.

    Args:
        city: Where.
    """
    return {"sky": "sunny", "city": city}


async def test_a_call_is_made_and_what_is_said_follows_its_output() -> None:
    server = FakeServer()
    server.will_call("weather", city="Turin").then_say("Sunny.")
    async with agentkit.open(server, tools=[weather]) as session:
        turn = await session.ask("weather in Turin?")
    assert turn.text == "Sunny."
    assert [call.result for call in turn.tools] == [{"sky": "sunny", "city": "Turin"}]
    server.verify()


async def test_several_calls_of_one_response_are_all_run() -> None:
    server = FakeServer()
    server.will_call("weather", city="Turin").and_call("weather", city="Oslo").then_say("Both sunny.")
    async with agentkit.open(server, tools=[weather]) as session:
        turn = await session.ask("weather?")
    assert [call.result for call in turn.tools] == [
        {"sky": "sunny", "city": "Turin"},
        {"sky": "sunny", "city": "Oslo"},
    ]
    assert turn.responses == 2


async def test_calls_of_two_responses_come_one_after_the_other() -> None:
    server = FakeServer()
    server.will_call("weather", city="Turin").then_call("weather", city="Oslo").then_say("Done.")
    async with agentkit.open(server, tools=[weather]) as session:
        turn = await session.ask("weather?")
    assert (turn.responses, len(turn.tools)) == (3, 2)


async def test_each_turn_takes_its_own_answer() -> None:
    server = FakeServer()
    server.will_say("One.").then_say("Two.")
    async with agentkit.open(server) as session:
        assert [(await session.ask(text)).text for text in ("first", "second")] == ["One.", "Two."]


async def test_an_answer_that_nobody_asked_for_fails() -> None:
    server = FakeServer()
    server.will_say("Hello.").then_call("weather", city="Oslo").then_say("Goodbye.")
    async with agentkit.open(server) as session:
        await session.ask("hello")
    with pytest.raises(
        AssertionError, match=r"(?s)call weather\(city='Oslo'\): no response\.create came.*say 'Goodbye\.'"
    ):
        server.verify()


def test_a_call_beside_a_message_is_refused() -> None:
    with pytest.raises(TypeError, match="and_call follows a call"):
        FakeServer().will_say("Hello.").and_call("weather")


async def test_what_was_said_and_done_is_in_the_transcript() -> None:
    server = FakeServer()
    server.will_call("weather", city="Turin").then_say("Sunny.")
    async with agentkit.open(server, tools=[weather]) as session:
        await session.ask("weather in Turin?")
        transcript = Transcript(session)
        assert transcript.lines == [
            "user: weather in Turin?",
            'call: weather({"city":"Turin"})',
            'output: {"sky":"sunny","city":"Turin"}',
            "agent: Sunny.",
        ]
        assert (transcript.user, transcript.agent) == (["weather in Turin?"], ["Sunny."])
        assert str(transcript).splitlines() == transcript.lines


async def test_a_spoken_answer_has_its_audio_and_its_transcript() -> None:
    server = FakeServer()
    audio = speech("Sunny.")
    server.will_say("Sunny.", audio=audio)
    async with agentkit.open(server) as session:
        turn = await session.ask("weather?")
        (item_id,) = [item.id for item in session.history.items() if getattr(item, "role", "") == "assistant"]
        assert item_id is not None
        assert session.history.audio(item_id) == audio
    assert turn.text == "Sunny."
    assert decode_tones(audio, session.output_format) == "Sunny."


async def test_a_response_beside_the_conversation_leaves_it_as_it_is() -> None:
    server = FakeServer()
    server.will_say("A title.")
    async with agentkit.open(server) as session:
        turn = await session.respond(ResponseSettings(conversation="none"))
        assert turn.text == "A title."
        assert session.history.items() == []


async def seen(session: Session, text: str) -> list[Event]:
    """Ask something, and return every event of the turn."""
    with session.subscribe() as events:
        await session.ask(text)
        found: list[Event] = []
        async for event in events:
            found.append(event)
            if isinstance(event, agentkit.events.TurnCompleted):
                return found
    raise AssertionError("the session ended")


async def test_the_events_of_an_answer_are_those_of_a_real_server() -> None:
    server = FakeServer()
    server.will_say("Hello.")
    async with agentkit.open(server) as session:
        kinds = [event.wire_type for event in await seen(session, "hello") if isinstance(event, ServerEvent)]
    assert kinds == [
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]


async def test_what_is_answered_is_written_down_and_does_not_come_out_of_next() -> None:
    server = FakeServer()
    server.will_say("Hello.")
    async with agentkit.open(server) as session:
        await session.clear_audio()
        await session.ask("hello")
        await session.send_text("bye", reply=False)
        assert [(await server.next())["type"] for _ in range(2)] == [
            "input_audio_buffer.clear",
            "conversation.item.create",
        ]
    assert [event["type"] for event in server.written] == [
        "input_audio_buffer.clear",
        "conversation.item.create",
        "response.create",
        "conversation.item.create",
    ]


async def test_a_script_and_planned_answers_go_together() -> None:
    server = FakeServer()
    server.script.expect("response.create").emit("rate_limits.updated", rate_limits=[])
    server.will_say("Hello.")
    async with agentkit.open(server) as session:
        assert (await session.ask("hello")).text == "Hello."
    server.verify()


async def test_a_server_of_the_beta_dialect_answers_too() -> None:
    server = FakeServer(dialect=Dialect.BETA, session={"id": "s", "object": "realtime.session", "model": "fake"})
    server.will_call("weather", city="Turin").then_say("Sunny.")
    async with agentkit.open(server, tools=[weather]) as session:
        assert (await session.ask("weather?")).text == "Sunny."
