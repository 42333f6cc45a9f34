"""Exactly once: whatever happens around a call, its body runs once, and the model gets one output of it.

A longer run: ``HYPOTHESIS_RUNS=20000 pytest tests/faults/test_exactly_once.py``.
"""

import asyncio
import logging
import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

import agentkit
from agentkit.events import Notice, ToolFinished, ToolStarted
from agentkit.middleware import Middleware, NextCall
from agentkit.testing import FakeServer
from agentkit.tools import Approval, Tool, ToolCall, ToolContext, ToolResult, tool

RUNS = int(os.environ.get("HYPOTHESIS_RUNS", "300"))
ROUNDS = 2000
"""How often the rest of the world does its part before a session counts as stuck."""
CALLS = 5
"""Different call ids."""


# Time that only the test lets pass, on either backend


class Loop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time can be put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class Asyncio:
    """Runs a test on asyncio."""

    name = "asyncio"

    def __init__(self) -> None:
        self.loop: Loop | None = None

    def options(self) -> dict[str, Any]:
        def make() -> Loop:
            self.loop = Loop()
            return self.loop

        return {"loop_factory": make}

    def jump(self, seconds: float) -> None:
        assert self.loop is not None
        self.loop.ahead += seconds

    def run_by_itself(self) -> None:
        """From now on time passes as it does."""

    async def settle(self) -> None:
        for _ in range(40):  # anyio's own waiting sleeps for a tenth of a second at a time
            await anyio.lowlevel.checkpoint()

    def tasks(self) -> int:
        return len(asyncio.all_tasks())


class Trio:
    """Runs a test on trio."""

    name = "trio"

    def __init__(self) -> None:
        self._clock = MockClock()

    def options(self) -> dict[str, Any]:
        return {"clock": self._clock}

    def jump(self, seconds: float) -> None:
        self._clock.jump(seconds)

    def run_by_itself(self) -> None:
        """From now on time passes as it does."""
        self._clock.autojump_threshold = 0

    async def settle(self) -> None:
        await anyio.wait_all_tasks_blocked()

    def tasks(self) -> int:
        import trio

        return trio.lowlevel.current_statistics().tasks_living


# Tools and layers


class Work:
    """A tool whose runs end when they are told to, and in the way that they are told to."""

    def __init__(self, name: str, *, ends: str, in_thread: bool, **policy: Any) -> None:
        self.runs: Counter[str] = Counter()
        self.waiting: list[tuple[str, threading.Event | anyio.Event]] = []
        self._ends = ends
        self.tool: Tool[..., object] = tool(self._plain if in_thread else self._async, name=name).with_(**policy)
        self.in_thread = in_thread
        self.stubborn = ends == "stubborn" and not in_thread

    async def _async(self, number: int, context: ToolContext) -> str:
        """Work."""
        go = anyio.Event()
        self._begin(context, go)
        if self._ends != "at once":
            with anyio.CancelScope(shield=self._ends == "stubborn"):
                await go.wait()
        return self._end(number)

    def _plain(self, number: int, context: ToolContext) -> str:
        """Work."""
        go = threading.Event()
        self._begin(context, go)
        if self._ends != "at once":
            go.wait(10)
        return self._end(number)

    def _begin(self, context: ToolContext, go: threading.Event | anyio.Event) -> None:
        self.runs[context.call.call_id] += 1
        self.waiting.append((context.call.call_id, go))
        context.progress("begun", done=0.1)

    def _end(self, number: int) -> str:
        if self._ends == "raises":
            raise OSError("no")
        return f"worked {number}"

    def most(self, layers: int) -> int:
        """Return how often the body may run for one call: a layer may ask for what may be repeated once more."""
        return (self.tool.policy.retries + 1) * 2**layers if self.tool.policy.repeatable else 1

    def release(self) -> None:
        """Let the oldest run end."""
        if self.waiting:
            self.waiting.pop(0)[1].set()


class Twice(Middleware):
    """Calls again, whatever came of the first time."""

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        await call_next(call)
        return await call_next(call)


class AtOnce(Middleware):
    """Calls twice at the same time."""

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        results: list[ToolResult] = []

        async def ask() -> None:
            results.append(await call_next(call))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
        return results[-1]


class Fails(Middleware):
    """Fails after the call."""

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        await call_next(call)
        raise RuntimeError("the layer is broken")


LAYERS: dict[str, Callable[[], Middleware]] = {"twice": Twice, "at once": AtOnce, "fails": Fails}
POLICY = st.fixed_dictionaries(
    {
        "on_interrupt": st.sampled_from(["finish", "finish_silently", "cancel"]),
        "reply": st.sampled_from(["wait", "speak", "silent"]),
        "background": st.booleans(),
        "timeout": st.sampled_from([None, 5.0]),
        "concurrency": st.sampled_from([None, 1]),
        "progress": st.sampled_from(["events", "context"]),
    },
    optional={"approve": st.sampled_from(["ask", "always_ask_once", Approval(timeout=20, otherwise="approve")])},
)
REPEATED = st.sampled_from([{}, {}, {"effects": "reads", "retries": 1}, {"idempotent": True, "retries": 2}])
ENDS = st.sampled_from(["at once", "when told", "raises", "stubborn"])
TOOLS = st.lists(
    st.tuples(POLICY, REPEATED, ENDS, st.sampled_from([False, False, True])),
    min_size=1,
    max_size=3,
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "ask",
                "respond",
                "respond",
                "call",
                "call",
                "call",
                "calls",
                "calls",
                "say_again",
                "end",
                "end",
                "end_again",
                "speech",
                "silence",
                "interrupt",
                "approve",
                "edit",
                "reject",
                "cancel",
                "release",
                "release",
                "answer",
                "delete",
                "wait",
            ]
        ),
        st.integers(0, 31),
        st.integers(0, 3),
    ),
    max_size=30,
)


# The world around a session


class World:
    """A server, a user and an application, and what they have seen."""

    def __init__(self, backend: Asyncio | Trio, works: list[Work], layers: int, vad: bool) -> None:
        self.backend = backend
        self.works = works
        self.layers = layers
        self.vad = vad
        audio = {"input": {"turn_detection": {"type": "server_vad"} if vad else None}}
        self.server = FakeServer(session={"type": "realtime", "audio": audio})
        self.session: agentkit.Session
        self.faults: list[str] = []
        self.asked = 0
        self.answered: list[object] = []
        self.creates = 0
        """Creates of the client that the server has not answered."""
        self.active: dict[str, list[dict[str, Any]]] = {}
        """The responses that are being made, with their items."""
        self.ours: set[str] = set()
        """Those that the client has asked for."""
        self.over: list[tuple[str, list[dict[str, Any]]]] = []
        self.to_cancel: set[str] = set()
        self.speaking = False
        self.announced: defaultdict[str, set[str]] = defaultdict(set)
        """The items by which each call was made."""
        self.deleted: set[str] = set()
        self.outputs: Counter[str] = Counter()
        self.started: Counter[str] = Counter()
        self.finished: Counter[str] = Counter()
        self._responses = 0

    # What the client does

    async def read(self) -> None:
        try:
            while True:
                self._took(await self.server.next())
        except (agentkit.ConnectionLostError, agentkit.SessionClosedError):
            pass  # the session is over

    def _took(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "response.create":
                if self.creates or self.ours & self.active.keys():
                    self.faults.append("a create went out while a response was asked for or being made")
                self.creates += 1
            case "response.cancel":
                self.to_cancel.add(frame.get("response_id", ""))
            case "conversation.item.create" if frame["item"]["type"] == "function_call_output":
                self.outputs[frame["item"]["call_id"]] += 1

    async def listen(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        with self.session.subscribe(ToolStarted, ToolFinished, Notice) as events:
            task_status.started()
            async for event in events:
                if isinstance(event, ToolStarted):
                    self.started[event.call_id] += 1
                elif isinstance(event, ToolFinished):
                    self.finished[event.call_id] += 1
                elif isinstance(event, Notice) and event.code == "task_failed":
                    self.faults.append(event.message)

    # What the others do: one step each

    async def ask(self) -> None:
        self.asked += 1
        try:
            self.answered.append(await self.session.ask("well?"))
        except agentkit.AgentkitError as exc:
            self.answered.append(exc)

    async def respond(self) -> None:
        """Begin the response that was asked for, or, where none was, one of the server's own."""
        if self.active:
            return
        self._responses += 1
        response_id = f"r{self._responses}"
        if self.creates:
            self.creates -= 1
            self.ours.add(response_id)
        elif self.speaking:
            return
        self.active[response_id] = []
        await self.server.emit("response.created", response={"id": response_id, "output": []})

    async def call(self, which: int, how: int) -> None:
        """Make a call in the response that is being made; now and then by a known id, cut short, or with nonsense."""
        response_id = next(iter(self.active), None)
        if response_id is None:
            return
        number = which % CALLS
        call_id = f"c{number}"
        here = {each["call_id"] for each in self.active[response_id]}
        again = bool(self.announced[call_id]) and call_id not in here and how == 1
        cut = how == 3 and which % 4 == 1
        name = self.works[number % len(self.works)].tool.name if how != 3 or which % 4 else "nothing"
        item = {
            "id": f"item_{call_id}" + (f"_{response_id}" if again else "_cut" if cut else ""),
            "type": "function_call",
            "call_id": call_id,
            "name": name,
            "arguments": '{"number": ' if how == 2 and which % 3 == 0 else f'{{"number": {which}}}',
            "status": "incomplete" if cut else "completed",
        }
        if item["id"] in self.deleted:
            return
        if not cut:
            self.announced[call_id].add(item["id"])
        self.active[response_id].append(item)
        await self.server.emit("response.output_item.done", response_id=response_id, item=item)

    async def say_again(self, which: int) -> None:
        """Say an item once more, by one event or the other."""
        items = [item for _, items in [*self.active.items(), *self.over] for item in items]
        items = [item for item in items if item["id"] not in self.deleted]
        if items:
            item = items[which % len(items)]
            if which % 2:
                await self.server.emit("conversation.item.done", item=item)
            else:
                await self.server.emit("response.output_item.done", response_id="r1", item=item)

    async def end(self, how: int) -> None:
        """End the response that is being made."""
        response_id = next(iter(self.active), None)
        if response_id is None:
            return
        items = self.active.pop(response_id)
        self.over.append((response_id, items))
        stopped = response_id in self.to_cancel or self.speaking
        status = "cancelled" if stopped and how else "failed" if how == 3 else "completed"
        shown = items if how % 2 else []
        await self.server.emit("response.done", response={"id": response_id, "status": status, "output": shown})

    async def end_again(self, which: int) -> None:
        if self.over:
            response_id, items = self.over[which % len(self.over)]
            items = [item for item in items if item["id"] not in self.deleted]
            await self.server.emit(
                "response.done", response={"id": response_id, "status": "completed", "output": items}
            )

    async def speech(self) -> None:
        if self.vad and not self.speaking:
            self.speaking = True
            await self.server.emit("input_audio_buffer.speech_started", audio_start_ms=0, item_id="u")

    async def silence(self) -> None:
        if self.speaking:
            self.speaking = False
            await self.server.emit("input_audio_buffer.speech_stopped", audio_end_ms=500, item_id="u")
            await self.server.emit("input_audio_buffer.committed", item_id="u")

    def decide(self, what: str, which: int) -> None:
        for request in self.session.approvals.pending[:1]:
            if what == "reject":
                self.session.approvals.reject(request.call_id, "no")
            else:
                arguments = {"number": which} if what == "edit" else None
                self.session.approvals.approve(request.call_id, arguments=arguments, remember=not which % 3)

    def cancel(self, which: int) -> None:
        running = self.session.calls.running
        if running:
            self.session.calls.cancel(running[which % len(running)].call_id)

    def release(self, which: int) -> None:
        self.works[which % len(self.works)].release()

    def release_all(self) -> None:
        for work in self.works:
            while work.waiting:
                work.release()

    async def answer(self, which: int) -> None:
        """Answer a call by hand, though it runs."""
        running = self.session.calls.running
        if running:
            await self.session.answer(running[which % len(running)].call_id, "by hand")

    async def delete(self, which: int) -> None:
        item_id = f"item_c{which % CALLS}"
        if any(item_id in items for items in self.announced.values()):
            self.deleted.add(item_id)
            await self.session.delete_item(item_id)
            await self.server.emit("conversation.item.deleted", item_id=item_id)

    async def wait(self, seconds: float) -> None:
        """Let time pass; the server answers in time, and goes on with what it has begun."""
        for _ in range(2 * CALLS):
            if seconds > 1:
                await self.respond()
            if seconds > 60:
                await self.end(0)
            await self.backend.settle()
            if not self.creates:
                break
        for response_id in self.active:
            delta = {"response_id": response_id, "item_id": f"said_{response_id}", "delta": "well"}
            await self.server.emit("response.output_text.delta", **delta)
        await self.backend.settle()
        await self.pass_time(seconds)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass bit by bit; a long time at once, as where the event loop is held up."""
        bit = seconds if seconds > 60 else 3.0
        while seconds > 0:
            self.backend.jump(min(bit, seconds))
            await self.backend.settle()
            seconds -= bit

    async def step(self, what: str, which: int, how: int, tasks: anyio.abc.TaskGroup) -> None:
        match what:
            case "ask":
                tasks.start_soon(self.ask)
            case "respond":
                await self.respond()
            case "call":
                await self.call(which, how)
            case "calls":
                await self.respond()
                for number in range(which % 3 + 1):
                    await self.call(which + number, how)
                await self.end(how)
            case "say_again":
                await self.say_again(which)
            case "end":
                await self.end(how)
            case "end_again":
                await self.end_again(which)
            case "speech":
                await self.speech()
            case "silence":
                await self.silence()
            case "interrupt":
                await self.session.interrupt()
            case "approve" | "edit" | "reject":
                self.decide(what, which)
            case "cancel":
                self.cancel(which)
            case "release":
                self.release(which)
            case "answer":
                await self.answer(which)
            case "delete":
                await self.delete(which)
            case "wait":
                await self.wait((0.3, 6, 25, 130)[how])
        await self.backend.settle()
        self.check()

    # What must hold

    def check(self) -> None:
        """Check what holds at any time."""
        assert self.faults == []
        for work in self.works:
            assert all(count <= work.most(self.layers) for count in work.runs.values()), work.runs
        for call_id, count in self.outputs.items():
            assert count <= len(self.announced[call_id]), (call_id, count)
        assert all(count == 1 for count in self.started.values()), self.started
        assert all(count == 1 for count in self.finished.values()), self.finished

    async def finish(self) -> None:
        """From now on everybody does their part, until nothing is due any more; tools a little later."""
        if any(work.stubborn for work in self.works):
            await self.wait(25)
            self.check()
        for _ in range(ROUNDS):
            if self._done():
                break
            await self.silence()
            self.decide("approve", 1)
            for work in self.works:
                work.release()
            if self.active:
                await self.end(0)
            elif self.creates:
                await self.respond()
            else:
                self.backend.jump(1)
            await self.backend.settle()
            if any(work.in_thread for work in self.works):
                await anyio.to_thread.run_sync(int)  # let a thread have its turn
            self.check()
        await self.backend.settle()
        assert len(self.answered) == self.asked, "somebody waits for ever"
        assert self.session.calls.running == ()
        assert self.session.approvals.pending == ()
        assert self.started == self.finished
        for call_id, items in self.announced.items():
            given, gone = self.outputs[call_id], len(items & self.deleted)
            assert len(items) - gone <= given or gone, (call_id, items, given)
            assert given or gone or not items, (call_id, items)

    def _done(self) -> bool:
        return (
            not self.speaking
            and not self.active
            and not self.creates
            and not self.session.calls.running
            and len(self.answered) == self.asked
            and self.session._core.quiet
        )


class Errors(logging.Handler):
    """Keeps what the session says went wrong."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage())


ERRORS = Errors()


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Keep out of the log what tools and layers are told to do; errors of the session itself are none of that."""
    loggers = [logging.getLogger(name) for name in ("agentkit.tools", "agentkit.session", "agentkit.middleware")]
    for logger in loggers:
        logger.propagate = False
        logger.addHandler(ERRORS if logger.name == "agentkit.session" else logging.NullHandler())
    yield
    for logger in loggers:
        logger.propagate = True
        logger.handlers.clear()


@pytest.mark.parametrize("backend", [Asyncio, Trio], ids=["asyncio", "trio"])
@given(
    tools=TOOLS,
    layers=st.lists(st.sampled_from(sorted(LAYERS)), max_size=2),
    vad=st.booleans(),
    steps=STEPS,
)
@settings(max_examples=RUNS, suppress_health_check=list(HealthCheck))
@pytest.mark.timeout(0 if "HYPOTHESIS_RUNS" in os.environ else 60)
def test_each_call_runs_once_and_has_one_output_whatever_happens_around_it(
    backend: type[Asyncio] | type[Trio],
    tools: list[tuple[dict[str, Any], dict[str, Any], str, bool]],
    layers: list[str],
    vad: bool,
    steps: list[tuple[str, int, int]],
) -> None:
    runner = backend()
    works = [
        Work(f"tool{number}", ends=ends, in_thread=in_thread, **policy, **repeated)
        for number, (policy, repeated, ends, in_thread) in enumerate(tools)
    ]
    world = World(runner, works, len(layers), vad)

    async def main() -> None:
        before = runner.tasks()
        async with anyio.create_task_group() as tasks:
            middleware = [LAYERS[name]() for name in layers]
            async with agentkit.open(
                world.server, tools=[work.tool for work in works], middleware=middleware
            ) as world.session:
                tasks.start_soon(world.read)
                await tasks.start(world.listen)
                try:
                    for what, which, how in steps:
                        await world.step(what, which, how, tasks)
                    await world.finish()
                finally:
                    world.release_all()
                    runner.run_by_itself()
        await runner.settle()
        assert runner.tasks() == before

    ERRORS.found.clear()
    try:
        anyio.run(main, backend=runner.name, backend_options=runner.options())
    finally:
        world.release_all()
    assert ERRORS.found == []
