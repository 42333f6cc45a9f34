"""Layers that take long: whose time it is, by a clock that moves when a test says so."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agentkit.errors import MiddlewareError
from agentkit.events import (
    ClientEvent,
    Event,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    Notice,
    ResponseCancel,
    SessionEvent,
)
from agentkit.middleware import Chain, Middleware, Next, NextCall, on
from agentkit.middleware.chain import FAILURES, WATCHED
from agentkit.middleware.waiting import running_loop
from agentkit.tools import ToolCall, ToolResult

if TYPE_CHECKING:
    from tests.middleware.conftest import Ends

pytestmark = pytest.mark.anyio
CLEAR = InputAudioBufferClear(event_id="e")
APPEND = InputAudioBufferAppend(event_id="e", audio=b"")
CALL = ToolCall(call_id="c", name="tool")
BEHAVIOURS = ("passes", "raises", "raises_after", "hangs", "hangs_after", "waits", "changes", "repeats")


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


class Blocking(Middleware):
    """Takes some seconds before it passes an event on, and some after, without waiting for anything."""

    def __init__(self, clock: Clock, name: str = "Blocking", *, before: float = 0.0, after: float = 0.0) -> None:
        self.clock = clock
        self._name = name
        self.before = before
        self.after = after
        self.runs = 0

    @property
    def name(self) -> str:
        return self._name

    @on(ClientEvent, SessionEvent)
    async def block(self, event: Event, call_next: Next[Event]) -> None:
        self.runs += 1
        self.clock.time += self.before
        await call_next(event)
        self.clock.time += self.after


async def send(chain: Chain, event: Event, times: int = 1) -> None:
    compiled = chain.compiled(type(event))
    assert compiled is not None
    for _ in range(times):
        await compiled(event)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_f84_a_layer_that_blocks_is_named_at_its_second_slow_event_and_those_around_it_are_not(
    ends: Ends, when: str
) -> None:
    clock = Clock()
    layers = [Blocking(clock, "outer"), Blocking(clock, "slow", **{when: 0.2}), Blocking(clock, "inner")]
    chain = ends.chain(layers, now=clock)
    await send(chain, CLEAR)
    assert ends.reports == []
    await send(chain, CLEAR)
    assert ends.reports == [("slow", "slow", "TimeoutError")]
    assert ends.outbound == [CLEAR, CLEAR]


async def test_f84_what_is_slow_beyond_the_layers_is_no_layers_fault(ends: Ends) -> None:
    clock = Clock()

    async def slow(event: object) -> None:
        clock.time += 10

    layers = [Blocking(clock), Blocking(clock)]
    chain = Chain(layers, inbound=slow, outbound=slow, report=ends.report, now=clock)
    await send(chain, CLEAR, 5)
    await send(chain, Notice(code="c", message="m"), 5)
    assert ends.reports == []


async def test_f84_after_a_hundred_events_in_time_the_layers_are_measured_together_again(ends: Ends) -> None:
    clock = Clock()
    layer = Blocking(clock, before=0.2)
    chain = ends.chain([layer], now=clock)
    await send(chain, CLEAR)
    layer.before = 0.0
    await send(chain, CLEAR, WATCHED)
    layer.before = 0.2
    await send(chain, CLEAR)
    assert ends.reports == []
    await send(chain, CLEAR)
    assert ends.reports == [("slow", "Blocking", "TimeoutError")]


async def test_f84_a_layer_that_blocks_on_audio_is_spared_it_after_five_slow_events_that_were_measured(
    ends: Ends,
) -> None:
    clock = Clock()
    layer = Blocking(clock, before=0.2)
    chain = ends.chain([layer], now=clock)
    await send(chain, APPEND, 20)
    assert layer.runs == FAILURES + 1
    assert [what for what, _, _ in ends.reports] == ["slow", "spared"]
    assert len(ends.outbound) == 20


async def test_f84_only_audio_is_kept_from_a_slow_layer(ends: Ends) -> None:
    clock = Clock()
    layer = Blocking(clock, before=0.2)
    await send(ends.chain([layer], now=clock), CLEAR, 20)
    assert layer.runs == 20


async def test_f84_slow_events_in_a_row_are_counted_by_event_class(ends: Ends) -> None:
    clock = Clock()
    layer = Blocking(clock, before=0.2)
    chain = ends.chain([layer], now=clock)
    for _ in range(FAILURES):
        await send(chain, APPEND)
        await send(chain, CLEAR)
    assert "spared" not in [what for what, _, _ in ends.reports]


@pytest.mark.parametrize("name", ["event_budget", "event_timeout"])
@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan])
def test_a_layer_with_no_time_for_an_event_is_an_error(ends: Ends, name: str, seconds: float) -> None:
    layer = Blocking(Clock())
    setattr(layer, name, seconds)
    with pytest.raises(TypeError, match=f"{name} of middleware Blocking is {seconds}, and must be above 0"):
        ends.chain([layer])


class Acts(Middleware):
    """Does one of the things that layers do, right and wrong."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.event_timeout = 0.002 if how.startswith("hangs") else 1000.0

    @on(ResponseCancel)
    async def act(self, event: ResponseCancel, call_next: Next[ResponseCancel]) -> None:
        if self.how in ("waits", "hangs"):
            await anyio.lowlevel.checkpoint()
        if self.how == "hangs":
            await anyio.sleep_forever()
        if self.how == "raises":
            raise ValueError("mine")
        if self.how == "changes":
            event = replace(event, response_id=f"{event.response_id}+")
        await call_next(event)
        if self.how == "repeats":
            await call_next(event)
        if self.how == "waits":
            await anyio.lowlevel.checkpoint()
        if self.how == "hangs_after":
            await anyio.sleep_forever()
        if self.how == "raises_after":
            raise ValueError("mine")


class ActingGuard(Acts):
    """The same, but nothing passes where it fails."""

    critical: ClassVar[bool] = True


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(
    observers=st.lists(st.sampled_from(BEHAVIOURS), max_size=5),
    guards=st.lists(st.sampled_from(BEHAVIOURS), max_size=2),
)
def test_an_event_passes_once_whatever_layers_do_and_never_by_a_guard_that_failed_before_it(
    backend: str, observers: list[str], guards: list[str]
) -> None:
    async def run() -> tuple[list[str | None], bool, list[tuple[str, str, str | None]]]:
        left: list[str | None] = []
        reports: list[tuple[str, str, str | None]] = []

        async def sink(event: Any) -> None:
            left.append(event.response_id)

        def report(what: str, layer: Middleware, subject: object, error: Exception | None) -> None:
            reports.append((what, layer.name, type(error).__name__))

        layers, ways = [Acts(how) for how in observers], [ActingGuard(how) for how in guards]
        compiled = Chain(layers, ways, inbound=sink, outbound=sink, report=report).compiled(ResponseCancel)
        stopped = False
        if compiled is not None:
            try:
                await compiled(ResponseCancel(event_id="e", response_id="r"))
            except MiddlewareError:
                stopped = True
        return left, stopped, reports

    left, stopped, reports = anyio.run(run, backend=backend)
    assert stopped is any(how in ("raises", "hangs") for how in guards)
    if observers or guards:
        changes = [*observers, *guards].count("changes")
        assert left == ([] if stopped else ["r" + "+" * changes])
    failed = [layer for what, layer, _ in reports if what == "failed"]
    assert (failed.count("Acts"), failed.count("ActingGuard")) == expected_failures(observers, guards)


def expected_failures(observers: list[str], guards: list[str]) -> tuple[int, int]:
    """How many observers and guards fail: what a guard stops gets no further, and nobody before it sees it end."""
    stops = next((index for index, how in enumerate(guards) if how in ("raises", "hangs")), None)
    before, later = ("raises", "hangs"), ("raises_after", "hangs_after", "repeats")
    if stops is None:
        wrong = (*before, *later)
        return sum(how in wrong for how in observers), sum(how in wrong for how in guards)
    return sum(how in before for how in observers), 1


async def test_who_sends_may_give_up_on_the_wire_after_a_layer_has_hung(ends: Ends) -> None:
    reached = anyio.Event()

    async def stuck(event: object) -> None:
        reached.set()
        await anyio.sleep_forever()

    class Hangs(Middleware):
        event_timeout = 0.002

        @on(InputAudioBufferClear)
        async def hang(self, event: InputAudioBufferClear, call_next: Next[InputAudioBufferClear]) -> None:
            await anyio.sleep_forever()

    chain = Chain([Hangs()], inbound=stuck, outbound=stuck, report=ends.report)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, chain, CLEAR)
            await reached.wait()
            tasks.cancel_scope.cancel()
    assert [what for what, _, _ in ends.reports] == ["failed"]


async def test_f86_a_handler_that_goes_on_waiting_though_it_was_told_to_stop_is_told_again(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentkit.middleware.waiting.GRACE", 0.001)
    told = 0

    class Stubborn(Middleware):
        event_timeout = 0.002

        @on(InputAudioBufferClear)
        async def hang(self, event: InputAudioBufferClear, call_next: Next[InputAudioBufferClear]) -> None:
            nonlocal told
            while told < 3:
                try:
                    await anyio.sleep_forever()
                except anyio.get_cancelled_exc_class():
                    told += 1

    with anyio.fail_after(5):
        await send(ends.chain([Stubborn()]), CLEAR)
    assert (told, ends.outbound) == (3, [CLEAR])
    assert ends.reports == [("failed", "Stubborn", "TimeoutError")]


async def test_a_handler_with_no_limit_may_wait(ends: Ends) -> None:
    class Patient(Middleware):
        event_timeout = math.inf

        @on(InputAudioBufferClear)
        async def wait(self, event: InputAudioBufferClear, call_next: Next[InputAudioBufferClear]) -> None:
            await anyio.lowlevel.checkpoint()
            await call_next(event)

    await send(ends.chain([Patient()]), CLEAR)
    assert ends.outbound == [CLEAR]


def test_where_asyncio_was_never_imported_its_loop_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "asyncio")
    assert running_loop() is None


async def test_a_handlers_own_time_limits_and_tasks_work_within_a_layer(ends: Ends) -> None:
    async def own_limit(event: Event, call_next: Next[Any]) -> None:
        with anyio.move_on_after(0.001):
            await anyio.sleep_forever()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(anyio.lowlevel.checkpoint)
        await call_next(event)

    class Limits(Middleware):
        @on(InputAudioBufferClear)
        async def limit(self, event: InputAudioBufferClear, call_next: Next[InputAudioBufferClear]) -> None:
            await own_limit(event, call_next)

    await send(ends.chain([Limits(), Limits()]), CLEAR)
    assert ends.outbound == [CLEAR]
    assert ends.reports == []


# Around the guards alone


class Marks(Middleware):
    """Writes its name down around a call."""

    def __init__(self, name: str, passed: list[str]) -> None:
        self._name = name
        self.passed = passed

    @property
    def name(self) -> str:
        return self._name

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        self.passed.append(self._name)
        return await call_next(call)


class MarksCritically(Marks):
    """The same, as a guard does."""

    critical: ClassVar[bool] = True


async def test_a_changed_call_passes_the_guards_again_and_the_critical_layers_and_no_observer(ends: Ends) -> None:
    passed: list[str] = []
    layers = [Marks("a", passed), MarksCritically("b", passed), Marks("c", passed)]
    chain = ends.chain(layers, [Marks("guard", passed)])
    result = await chain.around_guards(ends.body)(CALL)
    assert (passed, result.output, ends.bodies) == (["b", "guard"], "tool", [CALL])


async def test_without_guards_the_body_is_all_there_is(ends: Ends) -> None:
    chain = ends.chain([Marks("a", [])])
    assert chain.around_guards(ends.body) == ends.body


async def test_a_guard_refuses_a_changed_call(ends: Ends) -> None:
    class Refuses(Middleware):
        async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
            return ToolResult.refused("no")

    result = await ends.chain([], [Refuses()]).around_guards(ends.body)(CALL)
    assert (result.status, ends.bodies) == ("refused", [])
