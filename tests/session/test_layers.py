"""Middleware around a live session: order, isolation, what a layer may do."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

import agentkit
from agentkit.events import (
    ConversationItemCreate,
    Event,
    MessageItem,
    Notice,
    ResponseCreate,
    ResponseOutputTextDelta,
    ServerEvent,
    SessionEvent,
)
from agentkit.middleware import Middleware, Next, NextCall, on
from agentkit.testing import FakeServer
from agentkit.tools import ToolCall, ToolResult, tool

pytestmark = pytest.mark.anyio


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Shout(Middleware):
    """Change what comes and what goes."""

    @on(ResponseOutputTextDelta)
    async def louder(self, event: ResponseOutputTextDelta, call_next: Next[ResponseOutputTextDelta]) -> None:
        await call_next(replace(event, delta=event.delta.upper()))

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        result = await call_next(call)
        return replace(result, output=f"<{result.output}>")


async def test_a_layer_changes_what_the_application_sees_but_not_the_mirror() -> None:
    server = FakeServer()
    async with agentkit.open(server, middleware=[Shout()]) as session:
        with session.subscribe(ResponseOutputTextDelta) as deltas:
            await server.says("r1", "hello")
            event = await anext(deltas)
        assert isinstance(event, ResponseOutputTextDelta)
        assert event.delta == "HELLO"
        assert session.history.items()[0].text == "hello"  # type: ignore[union-attr]  # a message


async def test_a_layer_wraps_a_tool_call_and_asking_twice_runs_the_body_once() -> None:
    server, runs = FakeServer(), []

    @tool
    def count() -> int:
        """Count."""
        runs.append(1)
        return len(runs)

    class Twice(Middleware):
        async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
            await call_next(call)
            return await call_next(call)

    async with agentkit.open(server, tools=[count], middleware=[Shout(), Twice()]):
        await server.calls("r1", c=("count", "{}"))
        assert (await server.next())["item"]["output"] == "<1>"
    assert runs == [1]


async def test_a_dropped_create_fails_who_waits_naming_the_layer() -> None:
    class Mute(Middleware):
        @on(ResponseCreate)
        async def drop(self, event: ResponseCreate, call_next: Next[ResponseCreate]) -> None:
            pass

    server = FakeServer()
    async with agentkit.open(server, middleware=[Mute()]) as session:
        with pytest.raises(agentkit.MiddlewareError, match="Mute dropped"):
            await session.ask("hello", timeout=5)
        await server.next("conversation.item.create")


async def test_a_layer_sends_another_event_from_within() -> None:
    class Footnote(Middleware):
        @on(ConversationItemCreate)
        async def add(self, event: ConversationItemCreate, call_next: Next[ConversationItemCreate]) -> None:
            await call_next(event)
            if isinstance(event.item, MessageItem) and event.item.role == "user":
                note = MessageItem(role="system", content=(agentkit.events.InputText(text="note"),))
                await self.session.send(ConversationItemCreate(item=note))

    server = FakeServer()
    async with agentkit.open(server, middleware=[Footnote()]) as session:
        await session.send_text("hello", reply=False)
        roles = [(await server.next("conversation.item.create"))["item"]["role"] for _ in range(2)]
    assert roles == ["user", "system"]


async def test_a_layer_that_answers_every_event_by_another_is_stopped() -> None:
    class Echo(Middleware):
        @on(ConversationItemCreate)
        async def again(self, event: ConversationItemCreate, call_next: Next[ConversationItemCreate]) -> None:
            for _ in range(2):
                await self.session.send(event)

    async with agentkit.open(FakeServer(), middleware=[Echo()]) as session:
        with session.subscribe(Notice) as notices:
            await session.send_text("hello", reply=False)
            async for notice in notices:
                assert isinstance(notice, Notice)
                if "Echo" in notice.message:
                    break


async def test_an_observer_that_raises_is_skipped_and_switched_off_after_five() -> None:
    class Broken(Middleware):
        seen = 0

        @on(ServerEvent)
        async def fail(self, event: ServerEvent, call_next: Next[ServerEvent]) -> None:
            Broken.seen += 1
            raise ValueError("mine")

    server = FakeServer()
    async with agentkit.open(server, middleware=[Broken()]) as session:
        with session.subscribe(Notice) as notices:
            await server.says("r1", "hello")
            await server.says("r2", "hello")
            async for notice in notices:
                assert isinstance(notice, Notice)
                if "switched off" in notice.message:
                    break
        assert [item.text for item in session.history.items()] == ["hello", "hello"]  # type: ignore[union-attr]
    assert Broken.seen == 5


async def test_a_guard_that_raises_stops_the_event_and_tells_the_sender() -> None:
    class Guard(Middleware):
        critical = True

        @on(ConversationItemCreate)
        async def check(self, event: ConversationItemCreate, call_next: Next[ConversationItemCreate]) -> None:
            raise ValueError("cannot check")

    server = FakeServer()
    async with agentkit.open(server, guards=[Guard()]) as session:
        with pytest.raises(agentkit.MiddlewareError, match="Guard failed"):
            await session.send_text("hello")
        await session.cancel()
        await session.clear_audio()
        await server.next("input_audio_buffer.clear")


async def test_session_events_pass_the_layers_as_well_and_running_surrounds_the_session() -> None:
    log: list[str] = []

    class Watch(Middleware):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            log.append(f"open {self.session.id[:2]}")
            yield
            log.append("closed")

        @on(SessionEvent)
        async def note(self, event: SessionEvent, call_next: Next[SessionEvent]) -> None:
            log.append(event.wire_type)
            await call_next(event)

    server = FakeServer()
    async with agentkit.open(server, middleware=[Watch()]) as session:
        await server.says("r1", "hello")
        await session.wait_for(agentkit.events.TurnCompleted, timeout=5)
    assert log[0] == "open ak"
    assert log[-2:] == ["session.ended", "closed"]
    assert "conversation.item.completed" in log
    assert "turn.completed" in log


async def test_one_instance_cannot_serve_two_sessions() -> None:
    layer = Shout()
    async with agentkit.open(FakeServer(), middleware=[layer]):
        with pytest.raises(TypeError, match="another session"):
            async with agentkit.open(FakeServer(), middleware=[layer]):
                raise AssertionError("not reached")


async def test_the_logger_writes_both_directions_in_wire_order_without_audio_and_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "canary-7d1f-value")
    server = FakeServer()
    path = tmp_path / "deep" / "{session}.jsonl"
    async with agentkit.open(server, tools=[add], middleware=[agentkit.Logger(path)]) as session:
        await session.append_audio(bytes(4800))
        await session.send_text("my key is canary-7d1f-value and sk-abcdefghijklmnop", reply=False)
        await server.next("input_audio_buffer.append")
        await server.next("conversation.item.create")
        await server.emit_raw(b"not json")
        await server.calls("r1", c=("add", '{"a":1,"b":2}'))
        await server.next("conversation.item.create")
        await server.next("response.create")
    text = next((tmp_path / "deep").iterdir()).read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert [line["event"]["type"] for line in lines if line["direction"] == "out"] == [
        "session.update",
        "input_audio_buffer.append",
        "conversation.item.create",
        "conversation.item.create",
        "response.create",
    ]
    assert lines[0]["event"]["type"] == "session.created"
    assert [line["raw"] for line in lines if "raw" in line] == ["not json"]
    assert "AAAA" not in text
    assert "canary" not in text
    assert "sk-abc" not in text
    assert lines[3]["event"]["audio"] == "<6400 characters of base64>"


async def test_a_log_that_cannot_be_written_is_said_before_the_session_starts(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(agentkit.ConfigError, match="cannot write"):
        async with agentkit.open(FakeServer(), middleware=[agentkit.Logger(blocked / "log.jsonl")]):
            raise AssertionError("not reached")


async def test_a_tap_that_raises_is_named_and_the_session_goes_on() -> None:
    class Tap(Middleware):
        def on_wire(self, direction: str, raw: bytes, event: Event) -> None:
            raise ValueError("full")

    server = FakeServer()
    async with agentkit.open(server, middleware=[Tap()]) as session:
        with session.subscribe(Notice) as notices:
            await server.says("r1", "hello")
            await server.says("r2", "hello")
            async for notice in notices:
                assert isinstance(notice, Notice)
                if "switched off" in notice.message:
                    break
        assert len(session.history) >= 1
