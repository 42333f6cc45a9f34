"""Rows 73 to 75: calls whose connection is lost, or whose process is killed, at any moment."""

import itertools
import signal
import subprocess
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

import agentkit
from agentkit import Local, Reconnect, Snapshot, ToolContext
from agentkit.errors import SessionClosedError
from agentkit.events import (
    ConversationItemCreate,
    ConversationItemDone,
    Dialect,
    Event,
    FunctionCallOutputItem,
    Notice,
    Reconnected,
    ResponseCreate,
    ResponseDone,
    SessionEvent,
    TurnCompleted,
)
from agentkit.middleware import Middleware, Next, on
from agentkit.testing import SESSION
from agentkit.transports.base import Provider, Transport
from agentkit.transports.closing import lost

EVENTS = 44
"""Frames in both directions of the whole conversation, where no connection is lost."""


class Line(Transport):
    """One connection to a ``Model``: dead from the moment at which it is lost."""

    def __init__(self, model: "Model") -> None:
        self.model = model
        self.items: list[dict[str, Any]] = []
        self.dead = self.closed = False
        self._frames: deque[bytes] = deque()
        self._wake = anyio.Event()
        self.say("session.created", session=model.session)

    def say(self, type_: str, **fields: Any) -> None:
        """Send an event, which may be the last that the client sees, or the first that it does not."""
        before, after = self.model.steps()
        self.dead = self.dead or before
        if not self.dead:
            event = {"type": type_, "event_id": f"event_{next(self.model.ids)}", **fields}
            self._frames.append(msgspec.json.encode(event))
        self.dead = self.dead or after
        self._wake.set()

    async def send(self, frame: bytes) -> None:
        before, after = self.model.steps()
        self.dead = self.dead or before
        if self.dead:
            self._wake.set()
            raise lost(None)
        self.model.take(self, msgspec.json.decode(frame))
        self.dead = self.dead or after
        self._wake.set()

    async def receive(self) -> bytes:
        while not self._frames:
            if self.closed:
                raise SessionClosedError("closed")
            if self.dead:
                raise lost(None)
            self._wake = anyio.Event()
            await self._wake.wait()
        return self._frames.popleft()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        self.closed = True
        self._frames.clear()
        self._wake.set()


class Model(Provider):
    """A server whose model answers by what is in the conversation: it calls two tools, and then says their outputs."""

    name = "model"
    dialect = Dialect.GA
    model = None

    def __init__(self, drops: Iterable[tuple[int, bool]]) -> None:
        """Make it.

        Args:
            drops: At which frames, of all in both directions, the connection is lost: before the frame or after it.
        """
        self.session = dict(SESSION)
        self.lines: list[Line] = []
        self.wrong: list[str] = []
        self.ids = itertools.count()
        self.step = 0
        self._drops = set(drops)

    def steps(self) -> tuple[bool, bool]:
        self.step += 1
        return (self.step, False) in self._drops, (self.step, True) in self._drops

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Transport]:
        self.session = dict(SESSION)
        line = Line(self)
        self.lines.append(line)
        yield line

    def take(self, line: Line, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                self.session |= event["session"]
                line.say("session.updated", session=self.session)
            case "conversation.item.create":
                self._add(line, event["item"])
            case "response.create":
                self._respond(line)

    def _add(self, line: Line, item: dict[str, Any]) -> None:
        item.setdefault("id", f"item_{next(self.ids)}")
        if any(item["id"] == other["id"] for other in line.items):
            self.wrong.append(f"an item twice: {item}")
        if item["type"] == "function_call_output":
            known = [other["type"] for other in line.items if other.get("call_id") == item["call_id"]]
            if known != ["function_call"]:
                self.wrong.append(f"an output of {known}: {item}")
        self._enter(line, {**item, "status": "completed"})

    def _enter(self, line: Line, item: dict[str, Any]) -> None:
        before = line.items[-1]["id"] if line.items else None
        line.items.append(item)
        line.say("conversation.item.added", previous_item_id=before, item=item)
        line.say("conversation.item.done", previous_item_id=before, item=item)

    def _respond(self, line: Line) -> None:
        response = {"id": f"resp_{next(self.ids)}", "object": "realtime.response"}
        line.say("response.created", response={**response, "status": "in_progress", "output": []})
        outputs: list[str] | None = None
        for item in line.items:
            if item["type"] == "message" and item["role"] == "user":
                outputs = None
            elif item["type"] == "function_call_output":
                outputs = [*(outputs or []), item["output"]]
        if outputs is None:
            made = [self._made(type="function_call", call_id=f"call_{next(self.ids)}", name=name) for name in TOOLS]
            made = [{**item, "arguments": "{}"} for item in made]
        else:
            said = {"type": "output_text", "text": " and ".join(sorted(outputs))}
            made = [self._made(type="message", role="assistant", content=[said])]
        for index, item in enumerate(made):
            where = {"response_id": response["id"], "output_index": index}
            empty: dict[str, Any] = {"arguments": ""} if "arguments" in item else {"content": []}
            line.say("response.output_item.added", **where, item={**item, **empty, "status": "in_progress"})
            self._enter(line, item)
            line.say("response.output_item.done", **where, item=item)
        line.say("response.done", response={**response, "status": "completed", "output": made})

    def _made(self, **fields: Any) -> dict[str, Any]:
        return {"id": f"item_{next(self.ids)}", "object": "realtime.item", "status": "completed", **fields}


TOOLS = ("slow", "quick")


class Runs:
    """Two tools that count how often each call ran."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()
        self.tools = [agentkit.tool(self.slow), agentkit.tool(self.quick)]

    async def slow(self, context: ToolContext) -> str:
        """Take a while."""
        self.of[context.call.call_id] += 1
        await anyio.sleep(3)
        return "slow"

    async def quick(self, context: ToolContext) -> str:
        """Take no time."""
        self.of[context.call.call_id] += 1
        return "quick"


class Slow(Middleware):
    """Takes its time over everything, so that events are under way when the connection is lost."""

    event_budget = 10.0

    @on(ConversationItemCreate, ResponseCreate, ConversationItemDone, ResponseDone, TurnCompleted)
    async def wait(self, event: Event, call_next: Next[Any]) -> None:
        await anyio.sleep(0.4)
        await call_next(event)


async def conversation(
    drops: Iterable[tuple[int, bool]], middleware: Sequence[Middleware] = ()
) -> tuple[Model, Runs, list[agentkit.Turn], list[SessionEvent]]:
    """Have two turns with tools in a session whose connection is lost at these frames."""
    model, runs = Model(drops), Runs()
    policy = Reconnect(attempts=50, first_wait=1.0, seed=1)
    async with agentkit.open(model, tools=runs.tools, middleware=middleware, reconnect=policy) as session:
        events = session.subscribe(SessionEvent)
        with anyio.fail_after(600):
            turns = [await session.ask("first"), await session.ask("second")]
        await anyio.sleep(200)
        events.close()
        return model, runs, turns, [event async for event in events]


def virtually(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run with a clock that jumps over every wait."""
    return trio.run(main, clock=MockClock(autojump_threshold=0))


def check(model: Model, runs: Runs, turns: list[agentkit.Turn]) -> None:
    assert model.wrong == []
    assert set(runs.of.values()) <= {1}
    items = model.lines[-1].items
    announced = [item["call_id"] for item in items if item["type"] == "function_call"]
    answered = [item["call_id"] for item in items if item["type"] == "function_call_output"]
    assert sorted(announced) == sorted(answered)
    assert len(turns) == 2
    for turn in turns:
        assert turn.status in ("completed", "incomplete")


def test_rows_73_and_74_without_a_loss_each_tool_runs_once_in_a_turn_and_its_output_is_said() -> None:
    model, runs, turns, events = virtually(lambda: conversation([]))
    check(model, runs, turns)
    assert [turn.text for turn in turns] == ["quick and slow"] * 2
    assert len(runs.of) == 4
    assert model.step > EVENTS
    assert len(model.lines) == 1
    assert not [event for event in events if isinstance(event, Reconnected)]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", range(3, EVENTS))
def test_rows_73_and_74_a_connection_lost_at_any_frame_doubles_no_run_and_loses_no_output(
    step: int, after: bool
) -> None:
    model, runs, turns, _ = virtually(lambda: conversation([(step, after)]))
    check(model, runs, turns)
    assert len(model.lines) == 2
    # Lost between two calls of one response, the second call was never made.
    assert {turn.text for turn in turns} <= {"quick and slow", "slow"}
    # Lost after a whole message and before its response was done, nobody knows whether more was to come.
    assert {turn.status for turn in turns} <= {"completed", "incomplete"}


@given(st.sets(st.tuples(st.integers(3, 4 * EVENTS), st.booleans()), max_size=12), st.booleans())
@settings(max_examples=200)
def test_rows_73_and_74_however_often_the_connection_is_lost_every_turn_ends(
    drops: set[tuple[int, bool]], layered: bool
) -> None:
    model, runs, turns, _ = virtually(lambda: conversation(drops, [Slow()] if layered else []))
    check(model, runs, turns)


# Row 75: the process is killed

PROGRAM = """
import os, signal, sys
import anyio, agentkit
from agentkit.testing import FakeServer

_, step, journal, effect = sys.argv

def die(at):
    if at == step:
        os.kill(os.getpid(), signal.SIGKILL)

class Kill(agentkit.Middleware):
    def __init__(self, before, after):
        self.before, self.after = before, after

    async def wrap_tool_call(self, call, call_next):
        die(self.before)
        result = await call_next(call)
        die(self.after)
        return result

@agentkit.tool
async def pay() -> str:
    "Pay."
    with open(effect, "a") as file:
        file.write("paid;")
    die("inside")
    return "paid"

async def main():
    server = FakeServer()
    layers = {"middleware": [Kill("", "after its output")], "guards": [Kill("before the body", "after the body")]}
    async with agentkit.open(server, tools=[pay], journal=journal, **layers) as session:
        with session.subscribe(agentkit.ToolFinished) as finished:
            await server.calls("r1", c1=("pay", "{}"))
            await anext(finished)
        die("at the end")

anyio.run(main)
"""


@pytest.mark.anyio
@pytest.mark.parametrize(
    "step, paid, known",
    [
        ("before the body", "", False),
        ("inside", "paid;", False),
        ("after the body", "paid;", False),
        ("after its output", "paid;", True),
        ("at the end", "paid;", True),
    ],
)
async def test_row_75_a_call_whose_process_was_killed_is_unknown_or_done_and_does_not_run_again(
    tmp_path: Path, step: str, paid: str, known: bool
) -> None:
    journal, effect = tmp_path / "journal.jsonl", tmp_path / "effect"
    effect.touch()
    command = [sys.executable, "-c", PROGRAM, step, str(journal), str(effect)]
    killed = await anyio.run_process(command, check=False, stderr=subprocess.STDOUT)
    assert killed.returncode == -signal.SIGKILL, killed.stdout.decode()
    assert effect.read_text() == paid

    @agentkit.tool
    async def pay() -> str:
        """Pay."""
        effect.write_text("paid again")
        return "paid"

    async with agentkit.open(Local(), tools=[pay], journal=journal) as session:
        with session.subscribe(Notice) as notices:
            await session.resume(Snapshot.from_journal(journal))
            await session.ask("thank you", timeout=5)
        told = [notice.code async for notice in notices]
        outputs = [item.output for item in session.history.items() if isinstance(item, FunctionCallOutputItem)]
    assert effect.read_text() == paid
    assert told.count("outcome_unknown") == (not known)
    assert len(outputs) == 1
    assert outputs[0] == "paid" if known else "not known" in outputs[0]
