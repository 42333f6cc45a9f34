"""Rows 81 to 86: layers that raise, swallow, re-enter, are slow, replace what they may not, or hang."""

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio
import pytest
from anyio.lowlevel import checkpoint
from msgspec.structs import replace
from trio.testing import MockClock

import agentkit
from agentkit.events import (
    ConversationItemCreate,
    ErrorEvent,
    Event,
    FunctionCallOutputItem,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    Notice,
    RateLimitsUpdated,
    ResponseCreate,
    ResponseDone,
    ResponseOutputAudioDelta,
    ResponseOutputTextDelta,
    ServerEvent,
    SessionEnded,
    SessionEvent,
    TurnCompleted,
)
from agentkit.middleware import Middleware, Next, NextCall, on
from agentkit.testing import FakeServer
from agentkit.tools import ToolCall, ToolResult, tool

pytestmark = pytest.mark.anyio
PATIENCE = 5.0
"""Seconds after which what does not come fails the test."""
virtual = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])
Do = Callable[[Any, Any], Awaitable[None]]


class Layer(Middleware):
    """Does what it is made to do with text deltas, and passes on the rest."""

    event_timeout = 0.01

    def __init__(self, do: Do) -> None:
        self.do = do

    @on(ResponseOutputTextDelta, InputAudioBufferClear)
    async def handle(self, event: Event, call_next: Next[Event]) -> None:
        await self.do(event, call_next)


class Guard(Layer):
    """The same, but nothing passes where it fails."""

    critical: ClassVar[bool] = True


class Seen(Middleware):
    """Writes down what passes it, by its type on the wire."""

    def __init__(self) -> None:
        self.types: list[str] = []

    @on(Event)
    async def note(self, event: Event, call_next: Next[Event]) -> None:
        await checkpoint()
        self.types.append(event.wire_type)
        await call_next(event)


async def raises(event: Any, call_next: Any) -> None:
    raise ValueError("mine")


async def raises_after(event: Any, call_next: Any) -> None:
    await call_next(event)
    raise ValueError("mine")


async def hangs(event: Any, call_next: Any) -> None:
    await anyio.sleep_forever()


async def hangs_after(event: Any, call_next: Any) -> None:
    await call_next(event)
    await anyio.sleep_forever()


async def hangs_and_passes_at_last(event: Any, call_next: Any) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        await checkpointed(event, call_next)


async def hangs_in_a_group(event: Any, call_next: Any) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep_forever)
        with anyio.fail_after(1000):
            await anyio.sleep_forever()


async def hangs_while_a_task_passes(event: Any, call_next: Any) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call_next, event)
        await anyio.sleep_forever()


async def ignores_that_it_is_told_to_stop(event: Any, call_next: Any) -> None:
    try:
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class():
        return  # what is tested


async def checkpointed(event: Any, call_next: Any) -> None:
    await call_next(event)


async def soon(notices: Any, code: str, *, at_most: int = 100) -> Notice:
    """Return the next notice with this code."""
    with anyio.fail_after(PATIENCE):
        for _ in range(at_most):
            notice: Notice = await anext(notices)
            if notice.code == code:
                return notice
    raise AssertionError(f"no {code} among {at_most} notices")


async def handled(server: FakeServer, session: agentkit.Session) -> None:
    """Wait until the session has handled all that was said so far."""
    with session.subscribe(RateLimitsUpdated) as markers, anyio.fail_after(PATIENCE):
        await server.emit("rate_limits.updated", rate_limits=[])
        await anext(markers)


async def begins_to_speak(server: FakeServer) -> None:
    item = {"id": "i1", "object": "realtime.item", "type": "message", "role": "assistant", "content": []}
    await server.emit("response.created", response={"id": "r1", "status": "in_progress", "output": []})
    await server.emit("response.output_item.added", response_id="r1", output_index=0, item=item)


async def speaks(server: FakeServer) -> None:
    at = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
    await server.emit("response.output_audio.delta", **at, delta="AAAA")


# 81: raises


@pytest.mark.parametrize("how", [raises, raises_after])
async def test_081_an_event_goes_on_as_if_an_observer_that_raises_were_absent_and_a_notice_names_it(how: Do) -> None:
    server = FakeServer()
    async with agentkit.open(server, middleware=[Layer(how)]) as session:
        with session.subscribe(ResponseOutputTextDelta) as deltas, session.subscribe(Notice) as notices:
            await server.says("r1", "hello")
            event = await anext(deltas)
            assert isinstance(event, ResponseOutputTextDelta)
            assert event.delta == "hello"
            notice = await soon(notices, "middleware_failed")
            await handled(server, session)
    assert notice.message == "middleware Layer failed on response.output_text.delta: ValueError: mine"


async def test_081_an_observer_that_fails_five_times_in_a_row_is_switched_off_and_a_notice_says_so() -> None:
    runs: list[str] = []

    async def fails(event: Any, call_next: Any) -> None:
        runs.append(event.wire_type)
        raise ValueError("mine")

    server = FakeServer()
    async with agentkit.open(server, middleware=[Layer(fails)]) as session:
        with session.subscribe(ResponseOutputTextDelta) as deltas, session.subscribe(Notice) as notices:
            for number in range(8):
                await server.says(f"r{number}", "hello")
                await anext(deltas)
            notice = await soon(notices, "middleware_off")
    assert len(runs) == 5
    assert "middleware Layer was switched off" in notice.message
    assert notice.hint == "it is skipped for the rest of the session"


async def test_081_what_a_guard_that_raises_would_have_checked_does_not_come_in_and_the_session_goes_on() -> None:
    server = FakeServer()
    async with agentkit.open(server, guards=[Guard(raises)]) as session:
        with session.subscribe(ResponseOutputTextDelta, ResponseDone, Notice) as events:
            for number in range(7):
                await server.says(f"r{number}", "secret")
            await handled(server, session)
            await session.send_text("hello", reply=False)
            await server.next("conversation.item.create")
        seen = [event async for event in events]
    assert [type(event) for event in seen if isinstance(event, ResponseDone)] == [ResponseDone] * 7
    assert not any(isinstance(event, ResponseOutputTextDelta) for event in seen)
    assert {event.code for event in seen if isinstance(event, Notice)} == {"middleware_failed"}


async def test_081_a_guard_that_fails_on_every_notice_is_not_told_of_by_notices_without_end() -> None:
    class Blind(Middleware):
        critical = True
        runs = 0

        @on(SessionEvent)
        async def fail(self, event: SessionEvent, call_next: Next[SessionEvent]) -> None:
            if isinstance(event, Notice):
                Blind.runs += 1
            raise ValueError("mine")

    server = FakeServer()
    async with agentkit.open(server, guards=[Blind()]) as session:
        session.notice("mine", "hello")
        for _ in range(20):
            await handled(server, session)
        before = Blind.runs
        await handled(server, session)
        assert Blind.runs == before
        await session.send_text("hello", reply=False)
        await server.next("conversation.item.create")


async def test_081_a_tap_that_raises_is_named_once_and_taken_out_after_five_frames() -> None:
    class Tap(Middleware):
        runs = 0

        def on_wire(self, direction: str, raw: bytes, event: Event) -> None:
            Tap.runs += 1
            raise ValueError("mine")

    server = FakeServer()
    async with agentkit.open(server, middleware=[Tap()]) as session:
        with session.subscribe(Notice) as notices:
            await server.says("r1", "hello")
            await server.says("r2", "hello")
            off = await soon(notices, "middleware_off")
            await handled(server, session)
        assert [item.text for item in session.history.items()] == ["hello", "hello"]  # type: ignore[union-attr]  # messages
    assert "middleware Tap was switched off" in off.message
    assert Tap.runs == 5


# 82: swallows


class Swallow(Middleware):
    """Drops what it is made to drop."""

    def __init__(self, drops: Callable[[Event], bool]) -> None:
        self.drops = drops

    @on(Event)
    async def drop(self, event: Event, call_next: Next[Event]) -> None:
        if not self.drops(event):
            await call_next(event)


async def test_082_a_swallowed_event_leaves_a_trace_that_names_the_layer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "agentkit.middleware")
    server = FakeServer()
    async with agentkit.open(
        server, middleware=[Swallow(lambda event: isinstance(event, ResponseOutputTextDelta))]
    ) as session:
        with session.subscribe(ResponseOutputTextDelta, ResponseDone, Notice) as events:
            await server.says("r1", "hello")
            assert isinstance(await anext(events), ResponseDone)
    assert "middleware Swallow dropped response.output_text.delta" in caplog.messages


async def test_082_a_swallowed_tool_output_is_told_of_and_the_call_is_not_left_open() -> None:
    @tool
    async def look() -> str:
        """Look."""
        return "rain"

    def is_output(event: Event) -> bool:
        return isinstance(event, ConversationItemCreate) and isinstance(event.item, FunctionCallOutputItem)

    server = FakeServer()
    async with agentkit.open(server, tools=[look], middleware=[Swallow(is_output)]) as session:
        with session.subscribe(Notice) as notices, session.subscribe(TurnCompleted) as turns:
            await server.calls("r1", c=("look", "{}"))
            notice = await soon(notices, "dropped")
            with anyio.fail_after(PATIENCE):
                await anext(turns)
    assert notice.message == "middleware Swallow dropped the output of a tool call"


async def test_082_a_swallowed_error_is_told_of() -> None:
    server = FakeServer()
    async with agentkit.open(server, middleware=[Swallow(lambda event: isinstance(event, ErrorEvent))]) as session:
        with session.subscribe(Notice) as notices:
            await server.emit("error", error={"type": "server_error", "code": None, "message": "broken"})
            notice = await soon(notices, "dropped")
    assert notice.message == "middleware Swallow dropped error"


async def test_082_a_swallowed_end_is_told_of_though_the_session_is_over() -> None:
    server = FakeServer()
    async with agentkit.open(server, middleware=[Swallow(lambda event: isinstance(event, SessionEnded))]) as session:
        listening = session.subscribe(Notice, SessionEnded)
    seen = [event async for event in listening]
    assert [(event.code, event.message) for event in seen if isinstance(event, Notice)] == [
        ("dropped", "middleware Swallow dropped session.ended")
    ]


async def test_082_who_waits_for_a_turn_whose_end_is_swallowed_is_told_which_layer_did_it() -> None:
    server = FakeServer()
    async with (
        agentkit.open(server, middleware=[Swallow(lambda event: isinstance(event, TurnCompleted))]) as session,
        anyio.create_task_group() as tasks,
    ):

        async def ask() -> None:
            with pytest.raises(agentkit.MiddlewareError, match=r"Swallow dropped turn\.completed") as caught:
                await session.ask("hello", timeout=PATIENCE)
            assert caught.value.layer == "Swallow"

        tasks.start_soon(ask)
        await server.next("conversation.item.create")
        await server.next("response.create")
        await server.says("r1", "hello")


# 83: re-enters


async def test_083_what_a_layer_sends_goes_after_the_current_event_from_the_top_of_the_list() -> None:
    seen = Seen()

    class Clears(Middleware):
        @on(InputAudioBufferAppend)
        async def clear(self, event: InputAudioBufferAppend, call_next: Next[InputAudioBufferAppend]) -> None:
            await self.session.send(InputAudioBufferClear())
            await call_next(event)

    server = FakeServer()
    async with agentkit.open(server, middleware=[seen, Clears()]) as session:
        await session.append_audio(bytes(480))
        written = [(await server.next())["type"] for _ in range(2)]
    assert written == ["input_audio_buffer.append", "input_audio_buffer.clear"]
    assert [each for each in seen.types if each.startswith("input_audio_buffer")] == written


async def test_083_layers_that_answer_each_event_by_two_are_stopped_and_named_and_the_session_goes_on() -> None:
    class Echo(Middleware):
        on_ = True

        @on(InputAudioBufferClear)
        async def again(self, event: InputAudioBufferClear, call_next: Next[InputAudioBufferClear]) -> None:
            if self.on_:
                for _ in range(2):
                    await self.session.send(InputAudioBufferClear())

    server, echo = FakeServer(), Echo()
    async with agentkit.open(server, middleware=[echo]) as session:
        with session.subscribe(Notice) as notices:
            await session.send(InputAudioBufferClear())
            notice = await soon(notices, "middleware_failed")
        echo.on_ = False
        await session.send_text("hello", reply=False)
        while (await server.next())["type"] != "conversation.item.create":
            pass
    assert "middleware Echo failed on input_audio_buffer.clear" in notice.message
    assert "does a layer answer each event by another one?" in notice.message


# 84: slow


class Slow(Middleware):
    """Takes 100 ms over each audio delta and each append, and none over the rest."""

    def __init__(self, *, seconds: float = 0.1) -> None:
        self.seconds = seconds
        self.audio = self.others = 0

    @on(ResponseOutputAudioDelta, InputAudioBufferAppend)
    async def slow(self, event: Event, call_next: Next[Event]) -> None:
        self.audio += 1
        await anyio.sleep(self.seconds)
        await call_next(event)

    @on(ServerEvent)
    async def note(self, event: ServerEvent, call_next: Next[ServerEvent]) -> None:
        self.others += 1
        await call_next(event)


class SlowGuard(Slow):
    """The same, but every event has to pass it."""

    critical: ClassVar[bool] = True


@virtual
async def test_084_a_slow_layer_is_named_at_its_first_slow_event_with_how_long_it_took() -> None:
    server = FakeServer()
    async with agentkit.open(server, middleware=[Seen(), Slow(), Seen()]) as session:
        with session.subscribe(Notice) as notices:
            await begins_to_speak(server)
            await speaks(server)
            notice = await soon(notices, "middleware_slow")
    assert notice.message == ("middleware Slow is slow on response.output_audio.delta: 100 ms; its budget is 50 ms")
    assert "self.session.start_soon" in str(notice.hint)


@virtual
async def test_084_an_observer_that_is_slow_on_audio_gets_no_more_of_it_and_still_has_the_rest() -> None:
    server, slow = FakeServer(), Slow()
    async with agentkit.open(server, middleware=[slow]) as session:
        with session.subscribe(ResponseOutputAudioDelta) as deltas, session.subscribe(Notice) as notices:
            await begins_to_speak(server)
            for _ in range(12):
                await speaks(server)
                await anext(deltas)
            notice = await soon(notices, "middleware_off")
            before = slow.others
            await handled(server, session)
    assert slow.audio == 5
    assert slow.others == before + 1
    assert "middleware Slow was switched off for response.output_audio.delta" in notice.message


@virtual
async def test_084_an_observer_that_is_slow_on_the_users_audio_is_spared_that_alone() -> None:
    server, slow = FakeServer(), Slow()
    async with agentkit.open(server, middleware=[slow]) as session:
        with session.subscribe(Notice) as notices:
            for _ in range(7):
                await session.append_audio(bytes(480))
                await server.next("input_audio_buffer.append")
            notice = await soon(notices, "middleware_off")
        assert slow.audio == 5
        with session.subscribe(ResponseOutputAudioDelta) as deltas:
            await begins_to_speak(server)
            await speaks(server)
            await anext(deltas)
    assert slow.audio == 6
    assert "for input_audio_buffer.append" in notice.message


@virtual
async def test_084_an_observer_that_is_slow_only_now_and_then_keeps_its_audio() -> None:
    server, slow = FakeServer(), Slow()
    async with agentkit.open(server, middleware=[slow]) as session:
        with session.subscribe(ResponseOutputAudioDelta) as deltas:
            await begins_to_speak(server)
            for number in range(40):
                slow.seconds = 0.0 if number % 5 == 4 else 0.1
                await speaks(server)
                await anext(deltas)
    assert slow.audio == 40


@virtual
async def test_084_a_guard_that_is_slow_on_audio_is_named_and_never_passed_over() -> None:
    server, slow = FakeServer(), SlowGuard()
    async with agentkit.open(server, guards=[slow]) as session:
        with session.subscribe(ResponseOutputAudioDelta) as deltas, session.subscribe(Notice) as notices:
            await begins_to_speak(server)
            for _ in range(12):
                await speaks(server)
                await anext(deltas)
            assert "SlowGuard is slow" in (await soon(notices, "middleware_slow")).message
    assert slow.audio == 12


@virtual
async def test_084_a_layer_that_is_always_slow_is_told_of_once_in_a_hundred_events() -> None:
    server, slow = FakeServer(), SlowGuard()
    async with agentkit.open(server, guards=[slow]) as session:
        notices = session.subscribe(Notice)
        with session.subscribe(ResponseOutputAudioDelta) as deltas:
            await begins_to_speak(server)
            for _ in range(250):
                await speaks(server)
                await anext(deltas)
    codes = [notice.code async for notice in notices if isinstance(notice, Notice)]
    assert codes == ["middleware_slow"] * 3


@virtual
async def test_084_a_layer_with_a_larger_budget_is_not_told_of() -> None:
    class Patient(Slow):
        event_budget = 1.0

    server, slow = FakeServer(), Patient()
    async with agentkit.open(server, middleware=[slow]) as session:
        notices = session.subscribe(Notice)
        with session.subscribe(ResponseOutputAudioDelta) as deltas:
            await begins_to_speak(server)
            for _ in range(12):
                await speaks(server)
                await anext(deltas)
    assert [notice async for notice in notices] == []
    assert slow.audio == 12


async def test_084_a_slow_layer_is_named_by_the_real_clock_too() -> None:
    class Hurried(Slow):
        event_budget = 1e-9

    server = FakeServer()
    async with agentkit.open(server, middleware=[Hurried(seconds=0.001)]) as session:
        with session.subscribe(Notice) as notices:
            await begins_to_speak(server)
            for _ in range(6):
                await speaks(server)
            assert "Hurried is slow" in (await soon(notices, "middleware_slow")).message
            assert "Hurried was switched off for" in (await soon(notices, "middleware_off")).message


# 85: replaces what it may not


async def puts_another_class(event: Any, call_next: Any) -> None:
    await call_next(RateLimitsUpdated(event_id="x", rate_limits=()))


async def puts_nothing(event: Any, call_next: Any) -> None:
    await call_next(None)


async def puts_a_dict(event: Any, call_next: Any) -> None:
    await call_next({"type": "response.output_text.delta", "delta": "mine"})


async def changes_in_place(event: Any, call_next: Any) -> None:
    event.delta = "mine"
    await call_next(event)


async def passes_twice(event: Any, call_next: Any) -> None:
    await call_next(event)
    await call_next(replace(event, delta="mine"))


@pytest.mark.parametrize(
    "how", [puts_another_class, puts_nothing, puts_a_dict, changes_in_place, passes_twice], ids=lambda how: how.__name__
)
async def test_085_the_event_goes_on_as_it_was_where_a_layer_puts_in_its_place_what_it_may_not(how: Do) -> None:
    server = FakeServer()
    async with agentkit.open(server, middleware=[Layer(how)]) as session:
        listening = session.subscribe(ResponseOutputTextDelta)
        with session.subscribe(Notice) as notices:
            await server.says("r1", "hello")
            notice = await soon(notices, "middleware_failed")
            await handled(server, session)
    texts = [event.delta async for event in listening if isinstance(event, ResponseOutputTextDelta)]
    assert texts == ["hello"]
    assert "middleware Layer failed on response.output_text.delta" in notice.message


@pytest.mark.parametrize("how", [puts_another_class, puts_nothing, changes_in_place], ids=lambda how: how.__name__)
async def test_085_a_guard_that_replaces_wrongly_stops_the_event(how: Do) -> None:
    server = FakeServer()
    async with agentkit.open(server, guards=[Guard(how)]) as session:
        listening = session.subscribe(ResponseOutputTextDelta)
        await server.says("r1", "hello")
        await handled(server, session)
        with pytest.raises(agentkit.MiddlewareError, match=r"Guard failed on input_audio_buffer\.clear"):
            await session.send(InputAudioBufferClear())
    assert [event async for event in listening] == []


# 86: hangs, or is cancelled in the middle

HANGS = [
    hangs,
    hangs_after,
    hangs_and_passes_at_last,
    hangs_in_a_group,
    hangs_while_a_task_passes,
    ignores_that_it_is_told_to_stop,
]


@pytest.mark.parametrize("how", HANGS, ids=lambda how: how.__name__)
async def test_086_an_event_passes_once_by_an_observer_that_hangs_and_those_behind_it_come_too(how: Do) -> None:
    server = FakeServer()
    outer, inner = Seen(), Seen()
    async with agentkit.open(server, middleware=[outer, Layer(how), inner]) as session:
        listening = session.subscribe(ResponseOutputTextDelta)
        with session.subscribe(Notice) as notices, session.subscribe(ResponseDone) as ends:
            await server.says("r1", "hello")
            notice = await soon(notices, "middleware_failed")
            with anyio.fail_after(PATIENCE):
                await anext(ends)
    texts = [event.delta async for event in listening if isinstance(event, ResponseOutputTextDelta)]
    assert texts == ["hello"]
    assert outer.types.count("response.output_text.delta") == inner.types.count("response.output_text.delta") == 1
    assert notice.message == (
        "middleware Layer failed on response.output_text.delta: TimeoutError: it has not returned within 10 ms"
    )


async def test_086_an_observer_that_hangs_five_times_is_switched_off() -> None:
    server = FakeServer()
    async with agentkit.open(server, middleware=[Layer(hangs)]) as session:
        with session.subscribe(ResponseOutputTextDelta) as deltas, session.subscribe(Notice) as notices:
            for number in range(7):
                await server.says(f"r{number}", "hello")
                with anyio.fail_after(PATIENCE):
                    await anext(deltas)
            codes = [(await anext(notices)).code for _ in range(6)]
    assert sorted(codes) == ["middleware_failed"] * 5 + ["middleware_off"]


@virtual
async def test_086_a_handler_has_five_seconds_unless_it_says_otherwise() -> None:
    class Default(Layer):
        event_timeout = Middleware.event_timeout

    class Longer(Layer):
        event_timeout = 60.0

    for layer, seconds in ((Default(hangs), 5.0), (Longer(hangs), 60.0)):
        server = FakeServer()
        async with agentkit.open(server, middleware=[layer]) as session:
            with session.subscribe(ResponseOutputTextDelta) as deltas:
                began = anyio.current_time()
                await server.says("r1", "hello")
                await anext(deltas)
                assert anyio.current_time() - began == pytest.approx(seconds)


@virtual
async def test_086_all_of_a_handlers_waits_for_an_event_count_together() -> None:
    class Waits(Middleware):
        waits = 0

        @on(ResponseOutputTextDelta)
        async def wait(self, event: ResponseOutputTextDelta, call_next: Next[ResponseOutputTextDelta]) -> None:
            while True:
                await anyio.sleep(2)
                self.waits += 1

    server, layer = FakeServer(), Waits()
    async with agentkit.open(server, middleware=[layer]) as session:
        with session.subscribe(ResponseOutputTextDelta) as deltas, anyio.fail_after(60):
            await server.says("r1", "hello")
            await anext(deltas)
    assert layer.waits == 2


@virtual
async def test_086_the_time_that_an_event_spends_further_on_is_not_the_layers() -> None:
    class Longer(Layer):
        event_timeout, event_budget = 60.0, 60.0

    async def takes_long(event: Any, call_next: Any) -> None:
        await anyio.sleep(30)
        await call_next(event)

    async def in_a_task(event: Any, call_next: Any) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call_next, event)

    async def with_waits_around(event: Any, call_next: Any) -> None:
        await anyio.sleep(0.001)
        await call_next(event)
        await anyio.sleep(0.001)

    server = FakeServer()
    layers = [Longer(takes_long), Layer(in_a_task), Layer(with_waits_around), Layer(checkpointed)]
    async with agentkit.open(server, middleware=layers) as session:
        notices = session.subscribe(Notice)
        with session.subscribe(ResponseOutputTextDelta) as deltas:
            await server.says("r1", "hello")
            await anext(deltas)
    assert [notice async for notice in notices] == []


async def test_086_what_a_guard_that_hangs_would_have_checked_does_not_pass_and_its_sender_is_told() -> None:
    server = FakeServer()
    async with agentkit.open(server, guards=[Guard(hangs)]) as session:
        listening = session.subscribe(ResponseOutputTextDelta)
        with session.subscribe(ResponseDone) as ends, anyio.fail_after(PATIENCE):
            await server.says("r1", "secret")
            await anext(ends)
            with pytest.raises(agentkit.MiddlewareError, match=r"Guard failed on .*has not returned within 10 ms"):
                await session.send(InputAudioBufferClear())
        await session.send_text("hello", reply=False)
        await server.next("conversation.item.create")
    assert [event async for event in listening] == []


async def test_086_a_layer_that_waits_for_an_answer_in_the_reading_task_does_not_block_it_for_good() -> None:
    class Asks(Layer):
        @on(ResponseDone)
        async def wait(self, event: ResponseDone, call_next: Next[ResponseDone]) -> None:
            session = self.session
            assert isinstance(session, agentkit.Session)
            await session.wait_for(RateLimitsUpdated)

    server = FakeServer()
    async with agentkit.open(server, middleware=[Asks(checkpointed)]) as session:
        with session.subscribe(ResponseDone) as ends, anyio.fail_after(PATIENCE):
            await server.says("r1", "hello")
            await server.emit("rate_limits.updated", rate_limits=[])
            await anext(ends)


@virtual
async def test_086_the_end_of_a_session_does_not_wait_for_a_layer_that_hangs_on_it() -> None:
    class Hangs(Middleware):
        event_timeout = 1e9

        @on(SessionEnded)
        async def hang(self, event: SessionEnded, call_next: Next[SessionEnded]) -> None:
            await anyio.sleep_forever()

    async with agentkit.open(FakeServer(), middleware=[Hangs()]) as session:
        listening = session.subscribe(SessionEnded)
        began = anyio.current_time()
    assert anyio.current_time() - began < 5
    assert [type(event) for event in [each async for each in listening]] == [SessionEnded]


@pytest.mark.parametrize("steps", range(6))
async def test_086_a_caller_that_is_cancelled_within_a_layer_leaves_nothing_half_done(steps: int) -> None:
    """The layer has a checkpoint before and after each way; the caller is cancelled at one of them."""
    cancel: list[anyio.CancelScope] = []
    count = 0

    async def point() -> None:
        nonlocal count
        if cancel and count == steps:
            cancel.pop().cancel()
        count += 1
        await checkpoint()

    class Points(Middleware):
        @on(ConversationItemCreate, ResponseCreate)
        async def wait(self, event: Event, call_next: Next[Event]) -> None:
            await point()
            await point()
            await call_next(event)
            await point()

    server = FakeServer()
    async with agentkit.open(server, middleware=[Points(), Points()], guards=[]) as session:
        notices = session.subscribe(Notice)
        with anyio.CancelScope() as scope:
            cancel.append(scope)
            await session.send_text("first", reply=False)
        assert scope.cancelled_caught
        async with anyio.create_task_group() as tasks:
            turns: list[agentkit.Turn] = []

            async def ask() -> None:
                turns.append(await session.ask("second", timeout=PATIENCE))

            tasks.start_soon(ask)
            written = []
            with anyio.fail_after(PATIENCE):
                while (frame := await server.next())["type"] != "response.create":
                    written.append(frame["item"]["content"][0]["text"])
                await server.says("r1", "hello")
        assert written in (["second"], ["first", "second"])
        assert [turn.text for turn in turns] == ["hello"]
    assert [notice async for notice in notices] == []


async def test_086_an_event_whose_sender_was_cancelled_was_not_dropped_by_the_layer_and_passes_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "agentkit.middleware")
    kept: list[Any] = []
    entered = anyio.Event()

    async def keeps(event: Any, call_next: Any) -> None:
        kept.append(call_next)
        entered.set()
        await anyio.sleep_forever()

    class Longer(Layer):
        event_timeout = 1000.0

    server = FakeServer()
    async with agentkit.open(server, middleware=[Longer(keeps)]) as session:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(session.send, InputAudioBufferClear(event_id="e"))
            await entered.wait()
            tasks.cancel_scope.cancel()
        with pytest.raises(agentkit.MiddlewareError, match="too late"):
            await kept.pop()(InputAudioBufferClear(event_id="e"))
    assert not [message for message in caplog.messages if "dropped" in message]


@virtual
async def test_086_a_layer_around_a_call_may_wait_for_a_person_as_long_as_they_take() -> None:
    class Asks(Middleware):
        async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
            await anyio.sleep(3600)
            return await call_next(call)

    @tool
    async def look() -> str:
        """Look."""
        return "rain"

    server = FakeServer()
    async with agentkit.open(server, tools=[look], middleware=[Asks()]) as session:
        with session.subscribe(ResponseOutputTextDelta) as deltas:
            await server.calls("r1", c=("look", "{}"))
            await server.says("r2", "meanwhile")
            await anext(deltas)
        assert (await server.next("conversation.item.create"))["item"]["output"] == "rain"


async def test_086_a_layer_that_hangs_around_a_call_ends_with_the_session() -> None:
    ended: list[str] = []

    class Hangs(Middleware):
        async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
            try:
                await anyio.sleep_forever()
            finally:
                ended.append(call.name)
            raise AssertionError("not reached")

    @tool
    async def look() -> str:
        """Look."""
        return "rain"

    server = FakeServer()
    async with agentkit.open(server, tools=[look], middleware=[Hangs()]) as session:
        await server.calls("r1", c=("look", "{}"))
        await handled(server, session)
    assert ended == ["look"]


# What is open around the session


async def test_086_a_layer_that_cannot_start_is_named_and_what_was_opened_before_is_closed() -> None:
    closed: list[str] = []

    class Broken(Middleware):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            self.fail()
            yield

        def fail(self) -> None:
            raise ValueError("no disk")

    class Tidy(Middleware):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            try:
                yield
            finally:
                closed.append("tidy")

    message = "middleware Broken could not start: ValueError: no disk"
    with pytest.raises(agentkit.MiddlewareError, match=re.escape(message)) as caught:
        async with agentkit.open(FakeServer(), middleware=[Tidy(), Broken()]):
            raise AssertionError("not reached")
    assert caught.value.layer == "Broken"
    assert closed == ["tidy"]


async def test_086_a_layer_that_cannot_close_is_named_in_the_log_and_the_session_ends_as_it_would(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Middleware):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            yield
            raise ValueError("no disk")

    async with agentkit.open(FakeServer(), middleware=[Broken()]) as session:
        listening = session.subscribe(SessionEnded)
    assert [event.cause async for event in listening if isinstance(event, SessionEnded)] == ["closed"]
    assert "middleware Broken failed as it was closed" in caplog.messages


async def test_086_a_layer_cannot_hide_how_a_session_failed() -> None:
    class Hides(Middleware):
        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            try:
                yield
            except Exception:  # noqa: BLE001  # what is tested
                pass

    with pytest.raises(RuntimeError, match="the application's own"):
        async with agentkit.open(FakeServer(), middleware=[Hides()]):
            raise RuntimeError("the application's own")
