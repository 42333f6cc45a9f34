"""The watchdog: what it tells, with the cause, and when it keeps silent."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest
from agentkit_observe.configs import WatchdogConfig
from agentkit_observe.watchdog import Watchdog
from trio.testing import MockClock

from agentkit import FunctionTool, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Open, Opened

pytestmark = pytest.mark.anyio
in_virtual_time = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["virtual"]
)
VAD = {"turn_detection": {"type": "server_vad", "create_response": True, "interrupt_response": True}}
QUIET_VAD = {"turn_detection": {"type": "server_vad", "create_response": False}}


def watchdog(no_reply: float | None = 5.0, slow_tool: float | None = None, lag: float | None = None) -> Watchdog:
    return Watchdog(WatchdogConfig(no_reply=no_reply, slow_tool=slow_tool, loop_lag=lag))


@tool
async def slow(seconds: float) -> str:
    """Take so long."""
    await anyio.sleep(seconds)
    return "done"


@tool(approve="ask")
async def careful() -> str:
    """Be asked for."""
    await anyio.sleep(30)
    return "done"


def line_of(text: str) -> int:
    return [line.strip() for line in Path(__file__).read_text(encoding="utf-8").splitlines()].index(text) + 1


async def stops_speaking(it: Opened) -> None:
    await it.server.emit("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id="u1")
    await it.handled()


@in_virtual_time
async def test_a_server_that_begins_no_response_is_told_of_once(opened: Open) -> None:
    async with opened(watchdog(), audio_input=VAD) as it:
        await stops_speaking(it)
        await anyio.sleep(30)
    assert it.of("no_reply") == ["no reply for 5.0 s: the server has not begun a response"]
    assert it.notices[-1].hint is not None


@in_virtual_time
async def test_a_response_that_says_nothing_is_told_of_by_its_id(opened: Open) -> None:
    async with opened(watchdog(), audio_input=VAD) as it:
        await stops_speaking(it)
        await anyio.sleep(1)
        await it.server.begins()
        await it.handled()
        await anyio.sleep(30)
    assert it.of("no_reply") == ["no reply for 5.0 s: response r1 is active and has said nothing, for 4.0 s"]


@in_virtual_time
async def test_a_tool_that_runs_is_the_cause(opened: Open) -> None:
    async with opened(watchdog(), tools=(slow,), audio_input=VAD) as it:
        await stops_speaking(it)
        await it.server.calls("r1", c1=("slow", '{"seconds":20}'))
        await it.handled()
        await anyio.sleep(12)
    assert it.of("no_reply") == ["no reply for 5.0 s: tool slow is running, for 5.0 s"]


@in_virtual_time
async def test_an_approval_that_nobody_gives_is_the_cause(opened: Open) -> None:
    async with opened(watchdog(slow_tool=2), tools=(careful,), audio_input=VAD) as it:
        await stops_speaking(it)
        await it.server.calls("r1", c1=("careful", "{}"))
        await it.handled()
        await anyio.sleep(12)
    assert it.of("no_reply") == ["no reply for 5.0 s: the call of tool careful waits for approval, for 5.0 s"]
    assert it.of("slow_tool") == []


@in_virtual_time
async def test_a_tool_runs_from_its_approval_on(opened: Open) -> None:
    async with opened(watchdog(no_reply=None, slow_tool=2), tools=(careful,)) as it:
        await it.server.calls("r1", c1=("careful", "{}"))
        await it.handled()
        await anyio.sleep(10)
        it.session.approvals.approve("c1")
        await anyio.sleep(1.5)
        assert it.of("slow_tool") == []
        await anyio.sleep(1)
    assert it.of("slow_tool") == ["tool careful has been running for 2 s"]


@in_virtual_time
async def test_a_call_that_the_application_has_to_answer_is_the_cause(opened: Open) -> None:
    async with opened(watchdog(), audio_input=VAD) as it:
        await it.session.add_tool(FunctionTool(name="theirs", parameters={"type": "object", "properties": {}}))
        await stops_speaking(it)
        await it.server.calls("r1", c1=("theirs", "{}"))
        await it.handled()
        await anyio.sleep(12)
        assert it.of("no_reply") == ["no reply for 5.0 s: the call of theirs waits for the application"]
        await it.session.answer("c1", "here")
        await anyio.sleep(12)
    assert it.of("no_reply")[1:] == ["no reply for 15.0 s: the server has not begun a response"]


@in_virtual_time
async def test_a_response_that_was_asked_for_is_waited_for_as_well(opened: Open) -> None:
    async with opened(watchdog()) as it:
        await it.session.create_response()
        await anyio.sleep(30)
    assert len(it.of("no_reply")) == 1


@in_virtual_time
@pytest.mark.parametrize("reply", ["words", "audio", "speech", "end"])
async def test_nothing_is_told_where_the_reply_comes_or_is_not_wanted_any_more(opened: Open, reply: str) -> None:
    async with opened(watchdog(), audio_input=VAD) as it:
        await stops_speaking(it)
        await it.server.begins()
        if reply == "words":
            await it.server.speaks("Hello.")
        elif reply == "audio":
            await it.server.plays(bytes(480))
        elif reply == "speech":
            await it.server.emit("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u2")
        else:
            await it.server.ends("")
        await it.handled()
        await anyio.sleep(30)
    assert it.of("no_reply") == []


@in_virtual_time
async def test_nothing_is_told_of_speech_that_the_server_will_not_answer(opened: Open) -> None:
    async with opened(watchdog(), audio_input=QUIET_VAD) as it:
        await stops_speaking(it)
        await anyio.sleep(30)
    assert it.of("no_reply") == []


@in_virtual_time
async def test_a_slow_tool_is_told_of_and_a_quick_one_is_not(opened: Open) -> None:
    async with opened(watchdog(no_reply=None, slow_tool=3), tools=(slow,)) as it:
        await it.server.calls("r1", c1=("slow", '{"seconds":2}'), c2=("slow", '{"seconds":4}'))
        await it.handled()
        await anyio.sleep(10)
    assert it.of("slow_tool") == ["tool slow has been running for 3 s"]


@in_virtual_time
async def test_a_tool_in_the_background_may_take_its_time(opened: Open) -> None:
    async with opened(watchdog(no_reply=None, slow_tool=3), tools=(slow.with_(background=True),)) as it:
        await it.server.calls("r1", c1=("slow", '{"seconds":20}'))
        await it.handled()
        await anyio.sleep(10)
    assert it.of("slow_tool") == []


@pytest.fixture
def seen() -> Iterator[threading.Event]:
    """Set when the watchdog has found where the event loop stands."""
    found = threading.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.set()

    log, handler = logging.getLogger("agentkit_observe"), Handler()
    log.addHandler(handler)
    yield found
    log.removeHandler(handler)


async def test_what_blocks_the_event_loop_is_named_with_its_line(opened: Open, seen: threading.Event) -> None:
    @tool
    async def blocking() -> str:
        """Block the event loop until that was noticed."""
        assert seen.wait(10)
        return "done"

    async with opened(watchdog(no_reply=None, lag=0.05), tools=(blocking,)) as it:
        await it.server.calls("r1", c1=("blocking", "{}"))
        await it.server.next("conversation.item.create")
        message = await it.told("loop_lag")
    assert message.startswith("the event loop was blocked for ")
    assert message.endswith(f"blocking (tests/test_watchdog.py:{line_of('assert seen.wait(10)')})")


async def test_a_place_that_blocks_again_and_again_is_told_of_once_in_a_while(
    opened: Open, seen: threading.Event
) -> None:
    @tool
    async def again() -> str:
        """Block until that was noticed."""
        seen.clear()
        assert seen.wait(10)
        return "done"

    @tool
    async def elsewhere() -> str:
        """Block until that was noticed."""
        seen.clear()
        return str(seen.wait(10))

    async with opened(watchdog(no_reply=None, lag=0.05), tools=(again, elsewhere)) as it:
        for number, name in enumerate(("again", "again", "elsewhere")):
            await it.server.calls(f"r{number}", **{f"c{number}": (name, "{}")})
            await it.server.next("conversation.item.create")
            await it.server.next("response.create")
        while len(it.of("loop_lag")) < 2:
            await it.heard()
    places = [message.rpartition("locals>.")[2].partition(" ")[0] for message in it.of("loop_lag")]
    assert places == ["again", "elsewhere"]


async def test_a_session_that_ends_leaves_no_thread(opened: Open) -> None:
    before = threading.active_count()
    async with opened(watchdog(lag=0.05)):
        assert threading.active_count() > before
    assert threading.active_count() <= before
