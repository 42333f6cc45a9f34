"""What happens when a limit is reached: it is told, nothing new begins, and the agent may say goodbye first."""

import math
from collections.abc import Sequence
from typing import Any

import anyio
import pytest

import agentkit
from agentkit.errors import SessionClosedError
from agentkit.events import (
    Event,
    Notice,
    SessionEnded,
    SessionEvent,
    ToolFinished,
    TranscriptionSettings,
    TurnCompleted,
)
from agentkit.session.limiting import GOODBYE
from agentkit.testing import SESSION, FakeServer
from agentkit.tools import tool
from tests.session.goodbyes import WORDS, done, goodbye_asked, limits, nothing_more

pytestmark = pytest.mark.anyio
RATES = agentkit.Rates(input=1.0, output=1.0)
USAGE = {"total_tokens": 1_000_000, "input_tokens": 1_000_000, "output_tokens": 0}
"""Costs one dollar."""
VAD: dict[str, Any] = {"type": "server_vad"}
LISTENING: dict[str, Any] = {**SESSION, "audio": {**SESSION["audio"], "input": {"turn_detection": VAD}}}


def ending(events: Sequence[Event]) -> list[str]:
    return [f"notice {event.code}" if isinstance(event, Notice) else event.wire_type for event in events]


def call(call_id: str, name: str) -> dict[str, Any]:
    item = {"id": f"item_{call_id}", "type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"}
    return {**item, "status": "completed"}


@tool
async def look() -> str:
    """Look."""
    return "seen"


# What may be said


@pytest.mark.parametrize(
    "said, words",
    [
        ({"cost_usd": 1.0}, "needs the rates"),
        ({"goodbye": "Bye."}, "only said with on_limit='say_goodbye'"),
        ({"on_limit": "leave"}, "may be 'close' or 'say_goodbye'"),
        ({"turns": 0}, "turns is 0"),
        ({"tool_calls_at_once": 0}, "tool_calls_at_once is 0"),
        ({"session_time": math.nan}, "session_time is nan"),
        ({"idle_time": -1}, "idle_time is -1"),
        ({"cost_usd": math.nan, "rates": RATES}, "cost_usd is nan"),
        ({"cost_usd": -1, "rates": RATES}, "cost_usd is -1"),
        ({"tool_timeout": 0}, "tool_timeout is 0"),
    ],
)
def test_limits_that_make_no_sense_are_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        agentkit.SessionLimits(**said)


# Closing at once


async def test_a_cost_that_is_reached_ends_the_session() -> None:
    server = FakeServer()
    said = agentkit.SessionLimits(cost_usd=2.0, rates=RATES)
    async with agentkit.open(server, limits=said) as session:
        events = session.subscribe(Notice, SessionEnded)
        for number in range(2):
            await server.emit("response.created", response={"id": f"r{number}"})
            assert session.ended is None
            await done(server, f"r{number}", usage=USAGE)
        told = [event async for event in events]
    assert ending(told) == ["notice limit", "session.ended"]
    assert told[-1] == SessionEnded(cause="limit")
    assert session.cost == 2.0


async def test_a_cost_that_is_reached_in_the_middle_of_a_turn_asks_for_no_further_response() -> None:
    server = FakeServer()
    said = agentkit.SessionLimits(cost_usd=1.0, rates=RATES)
    async with agentkit.open(server, tools=[look], limits=said) as session:
        await server.emit("response.created", response={"id": "r"})
        with session.subscribe(ToolFinished) as finished:
            await server.emit("response.output_item.done", response_id="r", item=call("c", "look"))
            await anext(finished)
        assert (await server.next("conversation.item.create"))["item"]["output"] == "seen"
        await done(server, "r", call("c", "look"), usage=USAGE)
        await nothing_more(server, session)


async def test_who_waits_for_a_turn_is_told_when_the_limit_closes_the_session() -> None:
    server = FakeServer()
    said = agentkit.SessionLimits(cost_usd=1.0, rates=RATES)
    async with agentkit.open(server, limits=said) as session, anyio.create_task_group() as tasks:

        async def ask() -> None:
            with pytest.raises(SessionClosedError):
                await session.ask("hello")

        tasks.start_soon(ask)
        await server.next("conversation.item.create")
        await server.next("response.create")
        await server.emit("response.created", response={"id": "beside", "metadata": {}})
        await server.emit("response.created", response={"id": "other"})
        await done(server, "other", usage=USAGE)
        await session.wait_closed()


# Saying goodbye


async def test_after_the_last_turn_the_agent_says_goodbye() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=limits(turns=1)) as session:
        events = session.subscribe(TurnCompleted, Notice, SessionEnded)
        await server.says("r", "hello")
        await goodbye_asked(server)
        with pytest.raises(SessionClosedError, match="has reached a limit"):
            await session.send_text("one more thing")
        with pytest.raises(SessionClosedError, match="has reached a limit"):
            await session.respond()
        await server.says("bye", WORDS)
        await nothing_more(server, session)
        told = [event async for event in events]
    assert ending(told) == ["turn.completed", "notice limit", "turn.completed", "session.ended"]
    assert told[-1] == SessionEnded(cause="limit")


async def test_without_words_the_agent_takes_its_own() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=limits(turns=1, goodbye=None)) as session:
        await server.says("r", "hello")
        await goodbye_asked(server, GOODBYE)
        await server.says("bye", "So long!")
        await nothing_more(server, session)


async def test_the_goodbye_waits_for_what_is_being_said_and_no_tool_runs_any_more() -> None:
    server, runs = FakeServer(), []

    @tool
    async def pay() -> str:
        """Pay."""
        runs.append(1)
        return "paid"

    said = limits(cost_usd=1.0, rates=RATES)
    async with agentkit.open(server, tools=[pay], limits=said) as session:
        await server.emit("response.created", response={"id": "beside"})
        await server.emit("response.created", response={"id": "r"})
        with session.subscribe(Notice) as notices:
            await done(server, "beside", usage=USAGE)
            assert (await anext(notices)).code == "limit"
        await done(server, "r", call("c", "pay"))
        written = [await server.next(), await server.next()]
        (output,) = (each for each in written if each["type"] == "conversation.item.create")
        assert output["item"]["output"] == '{"error": "not run: the session ends"}'
        (create,) = (each for each in written if each["type"] == "response.create")
        assert create["response"]["instructions"] == f"Say exactly: {WORDS}"
        await server.says("bye", WORDS)
        await nothing_more(server, session)
    assert runs == []


async def test_while_a_tool_runs_goodbye_is_said_and_the_call_is_given_up_with_the_session() -> None:
    server, began = FakeServer(), anyio.Event()

    @tool(timeout=1000)
    async def slow() -> str:
        """Work."""
        began.set()
        await anyio.sleep_forever()
        return ""

    said = limits(cost_usd=1.0, rates=RATES)
    async with agentkit.open(server, tools=[slow], limits=said) as session, anyio.create_task_group() as tasks:
        turns: list[agentkit.Turn] = []

        async def ask() -> None:
            turns.append(await session.ask("work"))

        tasks.start_soon(ask)
        await server.next("conversation.item.create")
        await server.next("response.create")
        await server.emit("response.created", response={"id": "r"})
        await server.emit("response.output_item.done", response_id="r", item=call("c", "slow"))
        await began.wait()
        await done(server, "r", call("c", "slow"), usage=USAGE)
        await goodbye_asked(server)
        assert [each.name for each in session.calls.running] == ["slow"]
        await server.says("bye", WORDS)
        await nothing_more(server, session)
        assert session.calls.running == () or session.ended is not None
    assert [turn.status for turn in turns] == ["cancelled"]


async def test_a_call_that_ends_while_goodbye_is_said_starts_no_response() -> None:
    server, began, release = FakeServer(), anyio.Event(), anyio.Event()

    @tool(background=True)
    async def slow() -> str:
        """Work."""
        began.set()
        await release.wait()
        return "done"

    async with agentkit.open(server, tools=[slow], limits=limits(turns=1)) as session:
        await server.emit("response.created", response={"id": "r"})
        await server.emit("response.output_item.done", response_id="r", item=call("c", "slow"))
        await began.wait()
        await done(server, "r", call("c", "slow"))
        create = await goodbye_asked(server)
        await server.emit("response.created", response={"id": "bye"})
        with session.subscribe(ToolFinished) as finished:
            release.set()
            await anext(finished)
        assert (await server.next("conversation.item.create"))["item"]["output"] == "done"
        await done(server, "bye")
        await nothing_more(server, session)
    assert create["event_id"]


async def test_what_the_user_is_saying_is_dropped_and_the_server_answers_it_no_more() -> None:
    server = FakeServer(session=LISTENING)
    said = limits(cost_usd=1.0, rates=RATES)
    async with agentkit.open(server, limits=said) as session:
        await server.emit("response.created", response={"id": "r"})
        await session.append_audio(bytes(4800))
        await server.next("input_audio_buffer.append")
        with session.subscribe(agentkit.events.InputAudioBufferSpeechStarted) as speech:
            await server.emit("input_audio_buffer.speech_started", item_id="u", audio_start_ms=0)
            await anext(speech)
        await done(server, "r", status="cancelled", usage=USAGE)
        assert (await server.next())["type"] == "input_audio_buffer.clear"
        await goodbye_asked(server)
        before = session.dropped_input
        await session.append_audio(bytes(4800))
        assert session.dropped_input == before + 4800
        await server.emit("response.created", response={"id": "own"})  # it had begun before it heard of the goodbye
        error = {"type": "invalid_request_error", "code": "conversation_already_has_active_response", "message": "busy"}
        await server.emit("error", error=error)
        assert await server.next("response.cancel") == {
            "type": "response.cancel",
            "response_id": "own",
            "event_id": server.written[-1]["event_id"],
        }
        await done(server, "own", status="cancelled")
        await goodbye_asked(server)
        await server.says("bye", WORDS)
        await nothing_more(server, session)


async def test_what_waited_to_be_asked_for_is_not_asked_for_any_more() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=limits(turns=1)) as session, anyio.create_task_group() as tasks:
        turns: list[agentkit.Turn] = []

        async def respond(words: str) -> None:
            settings = agentkit.ResponseSettings(instructions=words)
            turns.append(await session.respond(settings))

        tasks.start_soon(respond, "first")
        await server.next("response.create")
        await server.emit("response.created", response={"id": "r"})
        tasks.start_soon(respond, "second")
        tasks.start_soon(respond, "third")
        with session.subscribe(TurnCompleted) as ended:
            await anyio.wait_all_tasks_blocked()
            await server.says("r", "one")
            await anext(ended)
        requested = await server.next("response.create")  # it was on its way already
        assert requested["response"]["instructions"] in ("second", "third")
        await server.emit("response.created", response={"id": "late"})
        await server.next("response.cancel")
        await done(server, "late", status="cancelled")
        await goodbye_asked(server)
        await server.says("bye", WORDS)
        await nothing_more(server, session)
    assert sorted(turn.status for turn in turns) == ["cancelled", "cancelled", "completed"]


async def test_through_layers_nothing_else_is_asked_for_either() -> None:
    class Pass(agentkit.Middleware):
        @agentkit.on(Event)
        async def all(self, event: Event, call_next: agentkit.Next[Event]) -> None:
            await anyio.lowlevel.checkpoint()
            await call_next(event)

    server = FakeServer()
    said = limits(cost_usd=1.0, rates=RATES)
    async with agentkit.open(server, tools=[look], middleware=[Pass()], limits=said) as session:
        events = session.subscribe(Notice, TurnCompleted, SessionEnded)
        await server.emit("response.created", response={"id": "r"})
        await server.emit("response.output_item.done", response_id="r", item=call("c", "look"))
        await server.next("conversation.item.create")
        await done(server, "r", call("c", "look"), usage=USAGE)
        await goodbye_asked(server)
        with pytest.raises(SessionClosedError, match="has reached a limit"):
            await session.send_text("one more thing")
        await server.says("bye", WORDS)
        await nothing_more(server, session)
        told = ending([event async for event in events])
    assert sorted(told[:-1]) == ["notice limit", "turn.completed", "turn.completed"]
    assert told[-1] == "session.ended"


async def test_layers_see_the_goodbye_and_may_stop_it() -> None:
    class Mute(agentkit.Middleware):
        @agentkit.on(agentkit.events.ResponseCreate, SessionEvent)
        async def stop(self, event: Event, call_next: agentkit.Next[Event]) -> None:
            if not isinstance(event, agentkit.events.ResponseCreate):
                await call_next(event)

    server = FakeServer()
    async with agentkit.open(server, middleware=[Mute()], limits=limits(turns=1)) as session:
        events = session.subscribe(SessionEnded)
        await server.says("r", "hello")
        await nothing_more(server, session)
        assert [event async for event in events] == [SessionEnded(cause="limit")]


async def test_a_goodbye_that_the_server_refuses_keeps_nobody() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=limits(turns=1)) as session:
        await server.says("r", "hello")
        create = await goodbye_asked(server)
        error = {"type": "invalid_request_error", "code": "nope", "message": "no", "event_id": create["event_id"]}
        await server.emit("error", error=error)
        await nothing_more(server, session)
    assert session.ended == SessionEnded(cause="limit")


async def test_a_connection_that_is_lost_meanwhile_is_not_opened_again() -> None:
    server = FakeServer()
    again = agentkit.Reconnect(attempts=5)
    async with agentkit.open(server, limits=limits(turns=1), reconnect=again) as session:
        await server.says("r", "hello")
        await goodbye_asked(server)
        await server.drop()
        with anyio.fail_after(5):
            await session.wait_closed()
    assert session.ended == SessionEnded(cause="limit")


async def test_a_session_that_was_asked_to_end_says_no_goodbye() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=limits(cost_usd=1.0, rates=RATES)) as session:
        with session.subscribe(agentkit.events.ResponseCreated) as created:
            await server.emit("response.created", response={"id": "r"})
            await anext(created)
        await session.end()
        await done(server, "r", usage=USAGE)
        await nothing_more(server, session)
    assert session.ended == SessionEnded(cause="limit")


async def test_a_transcription_session_has_nobody_to_say_goodbye() -> None:
    server = FakeServer(session={"type": "transcription", "id": "s"})
    async with agentkit.open(server, settings=TranscriptionSettings(), limits=limits(session_time=0.01)) as session:
        await nothing_more(server, session)
    assert session.ended == SessionEnded(cause="limit")
