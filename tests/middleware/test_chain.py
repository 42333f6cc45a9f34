"""The compiled chain: order, and what becomes of layers that drop, hold, replace, raise or repeat."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

import anyio
import pytest
from anyio import get_cancelled_exc_class
from msgspec.structs import replace

from agentkit.errors import MiddlewareError
from agentkit.events import (
    ClientEvent,
    Event,
    InputAudioBufferClear,
    InputAudioBufferCommit,
    Notice,
    ResponseCancel,
    ResponseCreate,
    SessionEvent,
)
from agentkit.middleware import Middleware, Next, NextCall, on
from agentkit.middleware.chain import FAILURES
from agentkit.middleware.faults import subject_name
from agentkit.tools import ToolCall, ToolResult

if TYPE_CHECKING:
    from tests.middleware.conftest import Ends

pytestmark = pytest.mark.anyio
CLEAR = InputAudioBufferClear(event_id="e")
CALL = ToolCall(call_id="c", name="tool")
NOTICE = Notice(code="c", message="m")


class Named(Middleware):
    """Writes its name down as an event passes, and passes it on."""

    def __init__(self, name: str, passed: list[str]) -> None:
        self._name = name
        self.passed = passed

    @property
    def name(self) -> str:
        return self._name

    @on(ClientEvent, SessionEvent)
    async def note(self, event: Event, call_next: Next[Event]) -> None:
        self.passed.append(self._name)
        await call_next(event)

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        self.passed.append(self._name)
        return await call_next(call)


class Layer(Middleware):
    """Does what it is made to do."""

    def __init__(self, do: Any, wrap: Any = None) -> None:
        self.do = do
        self.wrap = wrap

    @on(ClientEvent)
    async def handle(self, event: ClientEvent, call_next: Next[ClientEvent]) -> None:
        await self.do(event, call_next)

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        result: ToolResult = await self.wrap(call, call_next)
        return result


class Guard(Layer):
    critical: ClassVar[bool] = True


async def send(ends: Ends, event: Event, *layers: Middleware, guards: tuple[Middleware, ...] = ()) -> None:
    compiled = ends.chain(layers, guards).compiled(type(event))
    assert compiled is not None
    await compiled(event)


async def passes(event: Any, call_next: Any) -> Any:
    return await call_next(event)


async def drops(event: Any, call_next: Any) -> None: ...


async def raises(event: Any, call_next: Any) -> None:
    raise ValueError("broken")


async def raises_after(event: Any, call_next: Any) -> None:
    await call_next(event)
    raise ValueError("broken")


# Order


async def test_client_events_and_calls_go_down_the_list_and_the_others_up(ends: Ends) -> None:
    passed: list[str] = []
    a, b, guard = (Named(name, passed) for name in ("a", "b", "guard"))
    chain = ends.chain([a, b], [guard])
    for event_class, event in ((InputAudioBufferClear, CLEAR), (Notice, NOTICE)):
        compiled = chain.compiled(event_class)
        assert compiled is not None
        await compiled(event)
    await chain.around_call(ends.body)(CALL)
    assert passed == ["a", "b", "guard", "b", "a", "guard", "a", "b", "guard"]
    assert (ends.outbound, ends.inbound, ends.bodies) == ([CLEAR], [NOTICE], [CALL])
    assert chain.order(InputAudioBufferClear) == chain.order_of_calls() == chain.layers == [a, b, guard]
    assert chain.order(Notice) == [b, a, guard]


def test_an_event_that_no_layer_handles_has_no_chain(ends: Ends) -> None:
    chain = ends.chain([Layer(passes)])
    assert chain.compiled(Notice) is None
    assert chain.compiled(InputAudioBufferClear) is chain.compiled(InputAudioBufferClear) is not None


def test_a_layer_that_can_never_fire_is_an_error(ends: Ends) -> None:
    with pytest.raises(TypeError, match="Middleware has no hook that can fire"):
        ends.chain([Middleware()])


# Passing, dropping, holding, replacing


async def test_f82_a_dropped_event_leaves_a_trace_that_names_the_layer(ends: Ends) -> None:
    await send(ends, CLEAR, Layer(drops))
    assert ends.outbound == []
    assert ends.reports == [("dropped", "Layer", None)]


async def test_a_held_event_goes_on_later_and_was_not_dropped(ends: Ends) -> None:
    held: list[tuple[Any, Any]] = []

    async def holds(event: Any, call_next: Any) -> None:
        held.append((event, call_next))

    await send(ends, CLEAR, Layer(holds))
    assert (ends.outbound, ends.reports) == ([], [])
    event, call_next = held.pop()
    await call_next(event)
    assert ends.outbound == [CLEAR]
    del call_next
    assert ends.reports == []


async def test_an_event_that_was_held_and_forgotten_was_dropped(ends: Ends) -> None:
    held: list[Any] = []

    async def holds(event: Any, call_next: Any) -> None:
        held.append(call_next)

    await send(ends, CLEAR, Layer(holds))
    held.clear()
    assert ends.reports == [("dropped", "Layer", None)]


async def test_an_event_is_replaced_by_a_changed_copy(ends: Ends) -> None:
    async def changes(event: ResponseCancel, call_next: Any) -> None:
        await call_next(replace(event, response_id="r2"))

    await send(ends, ResponseCancel(event_id="e", response_id="r1"), Layer(changes))
    assert ends.outbound == [ResponseCancel(event_id="e", response_id="r2")]


@pytest.mark.parametrize("event_id", [None, "other"])
async def test_what_replaces_a_client_event_keeps_its_id(ends: Ends, event_id: str | None) -> None:
    async def changes(event: Any, call_next: Any) -> None:
        await call_next(ResponseCreate(event_id=event_id))

    await send(ends, ResponseCreate(event_id="e"), Layer(changes))
    assert ends.outbound == [ResponseCreate(event_id="e")]


async def test_f85_another_class_of_event_is_not_let_through(ends: Ends) -> None:
    async def changes(event: Any, call_next: Any) -> None:
        await call_next(InputAudioBufferCommit())

    await send(ends, CLEAR, Layer(changes))
    assert ends.outbound == [CLEAR]
    assert ends.reports == [("failed", "Layer", "MiddlewareError")]


def test_f85_events_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        CLEAR.event_id = "other"  # type: ignore[misc]  # what is tested


async def test_an_event_passes_once(ends: Ends) -> None:
    async def repeats(event: Any, call_next: Any) -> None:
        await call_next(event)
        await call_next(event)

    await send(ends, CLEAR, Layer(repeats))
    assert ends.outbound == [CLEAR]
    assert ends.reports == [("failed", "Layer", "MiddlewareError")]


# Failing


@pytest.mark.parametrize("how", [raises, raises_after])
async def test_f81_an_event_goes_on_as_if_a_broken_observer_were_absent(ends: Ends, how: Any) -> None:
    await send(ends, CLEAR, Layer(how))
    assert ends.outbound == [CLEAR]
    assert ends.reports == [("failed", "Layer", "ValueError")]


async def test_f81_an_observer_is_switched_off_after_failures_in_a_row(ends: Ends) -> None:
    chain = ends.chain([Layer(raises, raises)])
    compiled = chain.compiled(InputAudioBufferClear)
    assert compiled is not None
    for _ in range(FAILURES + 2):
        await compiled(CLEAR)
    await chain.around_call(ends.body)(CALL)
    assert [what for what, _, _ in ends.reports] == ["failed"] * FAILURES + ["switched off"]
    assert len(ends.outbound) == FAILURES + 2
    assert ends.bodies == [CALL]


async def test_a_success_in_between_starts_the_count_anew(ends: Ends) -> None:
    layer = Layer(raises)
    compiled = ends.chain([layer]).compiled(InputAudioBufferClear)
    assert compiled is not None
    for _ in range(3):
        layer.do = raises
        for _ in range(FAILURES - 1):
            await compiled(CLEAR)
        layer.do = passes
        await compiled(CLEAR)
    assert "switched off" not in [what for what, _, _ in ends.reports]


async def test_f81_a_broken_guard_lets_nothing_through(ends: Ends) -> None:
    for _ in range(FAILURES + 1):
        with pytest.raises(MiddlewareError, match=r"Guard failed on input_audio_buffer\.clear") as caught:
            await send(ends, CLEAR, guards=(Guard(raises),))
    assert (caught.value.layer, caught.value.event_type) == ("Guard", "input_audio_buffer.clear")
    assert isinstance(caught.value.__cause__, ValueError)
    assert ends.outbound == []
    assert {what for what, _, _ in ends.reports} == {"failed"}


async def test_a_guard_that_fails_after_it_let_an_event_through_is_only_reported(ends: Ends) -> None:
    await send(ends, CLEAR, guards=(Guard(raises_after),))
    assert ends.outbound == [CLEAR]
    assert ends.reports == [("failed", "Guard", "ValueError")]


async def test_what_a_broken_guard_held_back_cannot_be_let_through_later(ends: Ends) -> None:
    held: list[Any] = []

    async def keeps(event: Any, call_next: Any) -> None:
        held.append(call_next)
        raise ValueError("broken")

    with pytest.raises(MiddlewareError):
        await send(ends, CLEAR, guards=(Guard(keeps),))
    with pytest.raises(MiddlewareError, match="called call_next too late"):
        await held[0](CLEAR)
    assert ends.outbound == []


async def test_what_fails_beyond_a_layer_is_not_its_fault(ends: Ends) -> None:
    ends.broken = MiddlewareError("no", layer="x", event_type="y")
    with pytest.raises(MiddlewareError, match="no"):
        await send(ends, CLEAR, Layer(passes), Layer(passes))
    assert ends.reports == []


async def test_a_layers_own_fault_does_not_hide_what_failed_beyond_it(ends: Ends) -> None:
    async def hides(event: Any, call_next: Any) -> None:
        try:
            await call_next(event)
        finally:
            raise ValueError("mine")

    ends.broken = MiddlewareError("no", layer="x", event_type="y")
    with pytest.raises(MiddlewareError, match="no"):
        await send(ends, CLEAR, Layer(hides))
    assert ends.reports == [("failed", "Layer", "ValueError")]


async def test_f86_a_cancelled_layer_lets_the_cancellation_through(ends: Ends) -> None:
    async def hangs(event: Any, call_next: Any) -> None:
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await send(ends, CLEAR, Layer(hangs))
    assert scope.cancelled_caught
    assert ends.outbound == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_f86_a_layer_lets_asyncios_own_cancellation_of_its_task_through(ends: Ends) -> None:
    async def hangs(event: Any, call_next: Any) -> None:
        await anyio.sleep_forever()

    task = asyncio.ensure_future(send(ends, CLEAR, Layer(hangs)))
    await anyio.lowlevel.checkpoint()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (ends.outbound, ends.reports) == ([], [])


async def test_a_layer_that_turns_a_cancellation_into_an_error_does_not_stop_it(ends: Ends) -> None:
    async def turns(event: Any, call_next: Any) -> None:
        try:
            await call_next(event)
        finally:
            raise ValueError("mine")

    async def hangs(event: Any, call_next: Any) -> None:
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await send(ends, CLEAR, Layer(turns), Layer(hangs))
    assert scope.cancelled_caught


def lets_out_a_cancellation(backend: str) -> Any:
    """A layer's code that awaits a task of its own which somebody cancelled, or a library that leaks one."""

    async def leaks(*_: Any) -> Any:
        if backend == "asyncio":
            task = asyncio.ensure_future(anyio.sleep_forever())
            task.cancel()
            await task
        escaped: BaseException | None = None
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.sleep_forever()
            except get_cancelled_exc_class() as exc:
                escaped = exc
                raise
        assert escaped is not None
        raise escaped

    return leaks


async def test_a_cancellation_that_nobody_asked_for_is_the_layers_fault(ends: Ends, anyio_backend: str) -> None:
    await send(ends, CLEAR, Layer(lets_out_a_cancellation(anyio_backend)))
    assert ends.outbound == [CLEAR]
    assert ends.reports == [("failed", "Layer", "RuntimeError")]


async def test_a_cancellation_that_nobody_asked_for_does_not_end_a_call(ends: Ends, anyio_backend: str) -> None:
    assert (await around(ends, lets_out_a_cancellation(anyio_backend))).output == "tool"
    assert ends.reports == [("failed", "Layer", "RuntimeError")]


# Tool calls


async def around(ends: Ends, wrap: Any, guard: Any = None) -> ToolResult:
    guards = [Guard(passes, guard)] if guard is not None else []
    return await ends.chain([Layer(passes, wrap)], guards).around_call(ends.body)(CALL)


async def test_a_call_and_its_result_are_changed_on_their_ways(ends: Ends) -> None:
    async def changes(call: ToolCall, call_next: NextCall) -> ToolResult:
        result = await call_next(replace(call, raw_arguments='{"x": 1}'))
        return replace(result, output=result.output.upper())

    assert (await around(ends, changes)).output == "TOOL"
    assert [call.raw_arguments for call in ends.bodies] == ['{"x": 1}']


async def test_a_layer_answers_in_a_tools_place(ends: Ends) -> None:
    async def refuses(call: ToolCall, call_next: NextCall) -> ToolResult:
        return ToolResult.refused("not today")

    assert (await around(ends, refuses)).output == "refused: not today"
    assert ends.bodies == []


async def test_an_observer_that_fails_before_the_call_is_absent(ends: Ends) -> None:
    assert (await around(ends, raises)).output == "tool"
    assert ends.bodies == [CALL]
    assert ends.reports == [("failed", "Layer", "ValueError")]


async def test_an_observer_that_fails_after_the_call_does_not_run_it_again(ends: Ends) -> None:
    assert (await around(ends, raises_after)).output == "tool"
    assert ends.bodies == [CALL]


async def test_a_call_that_goes_well_starts_the_count_of_failures_anew(ends: Ends) -> None:
    layer = Layer(passes, raises)
    run = ends.chain([layer]).around_call(ends.body)
    for wrap in ([raises] * (FAILURES - 1) + [passes]) * 3:
        layer.wrap = wrap
        await run(CALL)
    assert "switched off" not in [what for what, _, _ in ends.reports]


@pytest.mark.parametrize("result", [None, "text"])
async def test_a_layer_that_returns_no_result_is_absent(ends: Ends, result: object) -> None:
    async def forgets(call: ToolCall, call_next: NextCall) -> object:
        await call_next(call)
        return result

    assert (await around(ends, forgets)).output == "tool"
    assert ends.reports == [("failed", "Layer", "TypeError")]


@pytest.mark.parametrize("how", [raises, raises_after])
async def test_a_guard_that_cannot_check_a_call_refuses_it(ends: Ends, how: Any) -> None:
    result = await around(ends, passes, how)
    assert result.status == "refused"
    assert "Guard could not check this call" in result.output


@pytest.mark.parametrize("other", [None, ToolCall(call_id="other", name="tool")])
async def test_another_call_is_not_let_through(ends: Ends, other: Any) -> None:
    async def changes(call: ToolCall, call_next: NextCall) -> ToolResult:
        return await call_next(other)

    assert (await around(ends, changes)).output == "tool"
    assert ends.bodies == [CALL]
    assert ends.reports == [("failed", "Layer", "TypeError")]


async def test_what_fails_beyond_a_layer_is_not_its_fault_in_a_call(ends: Ends) -> None:
    ends.broken = RuntimeError("engine")
    with pytest.raises(RuntimeError, match="engine"):
        await around(ends, passes)
    assert ends.reports == []


async def test_a_layers_own_fault_does_not_hide_what_failed_beyond_it_in_a_call(ends: Ends) -> None:
    async def hides(call: Any, call_next: Any) -> None:
        try:
            await call_next(call)
        finally:
            raise ValueError("mine")

    ends.broken = RuntimeError("engine")
    with pytest.raises(RuntimeError, match="engine"):
        await around(ends, hides)


async def test_a_layer_may_ask_for_a_call_again(ends: Ends) -> None:
    async def retries(call: ToolCall, call_next: NextCall) -> ToolResult:
        ends.broken = RuntimeError("first")
        try:
            await call_next(call)
        except RuntimeError:
            ends.broken = None
        await call_next(call)
        raise ValueError("afterwards")

    assert (await around(ends, retries)).output == "tool"
    assert ends.bodies == [CALL]


def test_a_subject_is_named_in_words() -> None:
    assert subject_name(CALL) == "the call of tool"
    assert subject_name(CLEAR) == "input_audio_buffer.clear"
