"""What comes may be unknown, doubled, early, late or odd: it is data, and the next event is handled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import agentkit
from agentkit.events import (
    ErrorOccurred,
    Event,
    MessageItem,
    ResponseDone,
    ResponseOutputTextDelta,
    SessionEnded,
    SessionUpdated,
    UnknownEvent,
)

if TYPE_CHECKING:
    from tests.behaviour.conftest import Server

pytestmark = pytest.mark.anyio
MakeItem = Callable[..., dict[str, Any]]
TRANSCRIBED = "conversation.item.input_audio_transcription"


async def test_rb_01_frames_that_come_after_the_disconnect_change_nothing(server: Server, item: MakeItem) -> None:
    async with agentkit.open(server) as session:
        await server.emit("conversation.item.added", item=item("i1"))
        await server.handled(session)
        before = session.history.items()
        part = {"type": "audio", "transcript": "late"}
        await server.emit("response.content_part.added", response_id="r1", item_id="i1", content_index=0, part=part)
        await server.speaks("i1", 100)
        await session.end()
        await session.wait_closed()
        assert session.history.items() == before
        assert session.history.audio_ms("i1") == 0
    assert session.ended == SessionEnded(cause="closed")


@pytest.mark.parametrize("with_id", [True, False], ids=["known-id", "no-id"])
async def test_rb_01_leaving_in_the_middle_of_a_response_raises_nothing(server: Server, with_id: bool) -> None:
    async with agentkit.open(server) as session:
        await server.begins("r1")
        await server.begins_item("i1")
        await server.handled(session)
        for _ in range(50):
            await server.speaks("i1" if with_id else "", 100)
    assert session.ended == SessionEnded(cause="closed")


async def test_rb_02_a_done_for_an_unknown_item_brings_the_item(server: Server, item: MakeItem) -> None:
    content = [{"type": "output_text", "text": "hello"}]
    async with agentkit.open(server) as session:
        done = item("zz", status="completed", content=content)
        await server.emit("response.output_item.done", response_id="r9", item=done)
        await server.says("r1", "next")
        await server.handled(session)
        assert [each.text for each in messages(session)] == ["hello", "next"]


@pytest.mark.parametrize(
    "type_, fields",
    [
        ("response.content_part.done", {"content_index": 0, "part": {"type": "text", "text": "x"}}),
        ("response.output_text.delta", {"content_index": 3, "delta": "x"}),
        ("response.output_text.done", {"content_index": -1, "text": "x"}),
        ("response.output_audio.done", {"content_index": 0}),
        ("response.function_call_arguments.done", {"call_id": "c", "arguments": "{}"}),
        ("conversation.item.truncated", {"content_index": 0, "audio_end_ms": 5}),
        ("conversation.item.deleted", {}),
        (f"{TRANSCRIBED}.failed", {"content_index": 0, "error": {"code": "x"}}),
    ],
)
async def test_rb_02_whatever_is_said_of_an_unknown_item_the_next_response_is_handled(
    server: Server, type_: str, fields: dict[str, Any]
) -> None:
    async with agentkit.open(server) as session:
        await server.emit(type_, response_id="r9", item_id="zz", output_index=0, **fields)
        await server.says("r1", "next")
        await server.handled(session)
        assert messages(session)[-1].text == "next"


async def test_rb_05_an_error_and_a_reset_both_reach_their_listeners(server: Server) -> None:
    async with agentkit.open(server) as session:
        events = session.subscribe(ErrorOccurred, SessionEnded)
        await session.delete_item("nothing")
        command = await server.next("conversation.item.delete")
        await server.refuses("x", command["event_id"])
        await server.close(1011, "reset")
        error, ended = await anext(events), await anext(events)
    assert isinstance(error, ErrorOccurred)
    assert (error.error.code, error.error.event_id) == ("x", command["event_id"])
    assert error.command is not None
    assert error.command.wire_type == "conversation.item.delete"
    assert isinstance(ended, SessionEnded)
    assert isinstance(ended.error, agentkit.ConnectionLostError)
    assert (ended.error.close_code, ended.error.close_reason) == (1011, "reset")


@pytest.mark.parametrize("event_id", ["evt1", None], ids=["foreign-id", "no-id"])
async def test_rb_05_an_error_that_is_nobodys_is_told_without_a_command(server: Server, event_id: str | None) -> None:
    async with agentkit.open(server) as session:
        with session.subscribe(ErrorOccurred) as errors:
            await server.refuses("x", event_id)
            error = await anext(errors)
        assert (error.error.code, error.command) == ("x", None)


class Seen(agentkit.Middleware):
    """Notes every event that passes."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @agentkit.on(agentkit.events.ServerEvent)
    async def note(self, event: Event, call_next: agentkit.Next[Event]) -> None:
        self.events.append(event)
        await call_next(event)


async def test_rb_25_unknown_events_and_values_pass_the_layers_and_the_stream_goes_on(server: Server) -> None:
    seen = Seen()
    async with agentkit.open(server, middleware=[seen]) as session:
        await server.emit("made.up.event", secret={"a": [1]})
        voiced = server.shape({"audio": {"output": {"voice": "human_X"}}})
        await server.emit("session.updated", session={**server.session, **voiced})
        await server.emit("transcription.delta", delta="x")
        await server.begins("r1")
        await server.begins_item("i1")
        await server.emit("response.output_text.delta", response_id="r1", item_id="i1", content_index=0, delta="on")
        await server.handled(session)
        unknown = [event for event in seen.events if isinstance(event, UnknownEvent)]
        assert [event.wire_type for event in unknown] == ["made.up.event", "transcription.delta"]
        assert unknown[0].data["secret"] == {"a": [1]}
        assert [type(event) for event in seen.events if isinstance(event, SessionUpdated)] == [SessionUpdated]
        assert session.settings is not None
        assert session.settings.audio.output.voice == "human_X"  # type: ignore[union-attr]  # both are set
        assert [event.delta for event in seen.events if isinstance(event, ResponseOutputTextDelta)] == ["on"]


@pytest.mark.parametrize("field, value", [("status", "paused"), ("status", 7), ("role", "robot"), ("content", None)])
async def test_rb_25_an_odd_value_in_an_item_costs_no_more_than_the_item(
    server: Server, item: MakeItem, field: str, value: object
) -> None:
    async with agentkit.open(server) as session:
        await server.emit("conversation.item.added", item=item("i1", **{field: value}))
        await server.says("r1", "next")
        await server.handled(session)
        assert messages(session)[-1].text == "next"


async def test_rb_35_waits_time_out_leave_nothing_and_the_event_is_the_next_waits(server: Server) -> None:
    async with agentkit.open(server) as session, anyio.create_task_group() as tasks:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await session.wait_for(ResponseDone, timeout=0.01)
        got: list[ResponseDone] = []

        async def wait() -> None:
            got.append(await session.wait_for(ResponseDone, timeout=5))

        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await server.says("r1", "hello")
        await server.says("r2", "hello")
        await server.handled(session)
    assert [event.response.id for event in got] == ["r1"]


@pytest.mark.parametrize(
    "code, cause",
    [
        (1000, "connection_lost"),
        (1001, "connection_lost"),
        (1011, "connection_lost"),
        (1008, "ended_by_server"),
        (4000, "ended_by_server"),
        (4999, "ended_by_server"),
    ],
)
async def test_rb_35_every_wait_ends_with_the_close_that_came(server: Server, code: int, cause: str) -> None:
    codes: list[int | None] = []
    async with agentkit.open(server) as session:
        async with anyio.create_task_group() as tasks:

            async def wait() -> None:
                with pytest.raises(agentkit.ConnectionLostError) as caught:
                    await session.wait_for(ResponseDone)
                codes.append(caught.value.close_code)

            for _ in range(3):
                tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await server.close(code)
        assert codes == [code] * 3
        assert session.ended is not None
        assert session.ended.cause == cause
        with pytest.raises(agentkit.ConnectionLostError):
            await session.wait_for(ResponseDone)


def messages(session: agentkit.Session) -> list[MessageItem]:
    return [each for each in session.history.items() if isinstance(each, MessageItem)]
