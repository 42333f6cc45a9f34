"""What becomes of a body that fails, hangs, or is cancelled."""

import asyncio
import contextlib
import functools
import logging
import math
import signal
import threading
from collections.abc import Callable

import anyio
import pytest
import trio
from anyio import CapacityLimiter, Event, create_task_group, from_thread, get_cancelled_exc_class

from agentkit.errors import ToolError, ToolTimeoutError
from agentkit.tools import Tool, ToolCall, ToolContext, ToolResult, tool
from agentkit.tools.running import _raised_by_body, failure_text

pytestmark = pytest.mark.anyio

CALL = ToolCall(call_id="c1", name="x")


def raiser(error: BaseException) -> Tool[[], object]:
    @tool(name="boom")
    async def boom() -> None:
        raise error.with_traceback(None)

    return boom


def thread_raiser(error: BaseException) -> Tool[[], object]:
    @tool(name="boom")
    def boom() -> None:
        raise error.with_traceback(None)

    return boom


makers = pytest.mark.parametrize("make", [raiser, thread_raiser])


async def test_a_coroutine_answers() -> None:
    @tool
    async def add(a: int, b: int) -> int:
        await anyio.lowlevel.checkpoint()
        return a + b

    result = await add.run(ToolCall(call_id="c", name="add", raw_arguments='{"a": 1, "b": 2}'))
    assert (result.output, result.value, result.status, result.ok) == ("3", 3, "ok", True)


async def test_a_plain_function_runs_in_another_thread() -> None:
    @tool
    def where() -> int:
        return threading.get_ident()

    assert (await where.run(CALL)).value != threading.get_ident()


async def test_a_plain_function_that_gives_an_awaitable_is_awaited_in_the_loop() -> None:
    async def inner() -> int:
        return threading.get_ident()

    assert (await tool(lambda: inner(), name="outer").run(CALL)).value == threading.get_ident()


async def test_a_coroutine_function_that_gives_no_awaitable_is_answered_too() -> None:
    class Odd:
        async def __call__(self) -> int:
            raise NotImplementedError

    odd = tool(Odd(), name="odd").renamed("odder")
    same = Tool(name="odd", function=lambda: 7, signature=odd.signature, is_async=True)
    assert (await same.run(CALL)).output == "7"


async def test_bad_arguments_do_not_run_the_body() -> None:
    ran = []

    @tool
    async def note(text: str) -> None:
        ran.append(text)

    result = await note.run(ToolCall(call_id="c", name="note", raw_arguments='{"text": 1, "x": 2}'))
    assert result.status == "invalid"
    assert result.output == "invalid arguments: text: expected str, got int; x: unknown"
    assert ran == []


@makers
@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret: sk-123"),
        ExceptionGroup("two", [ValueError(), KeyError()]),
        BaseExceptionGroup("two", [SystemExit(), KeyError()]),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        TimeoutError("the body's own"),
        RecursionError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_body_raises_is_an_error_without_its_message(
    make: Callable[[BaseException], Tool[[], object]], error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    result = await make(error).run(CALL)
    assert result.output == f"boom failed: {type(error).__name__}"
    assert (result.status, result.value, result.error) == ("error", None, error)
    (record,) = [record for record in caplog.records if record.name == "agentkit.tools"]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_stop_iteration_in_a_thread_is_an_error() -> None:
    result = await thread_raiser(StopIteration(1)).run(CALL)
    assert result.output == "boom failed: StopIteration"


@makers
async def test_the_message_of_a_tool_error_is_shown(
    make: Callable[[BaseException], Tool[[], object]], caplog: pytest.LogCaptureFixture
) -> None:
    result = await make(ToolError("there is no such city")).run(CALL)
    assert (result.output, result.status) == ("there is no such city", "error")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_tool_error_alone_in_groups_is_shown() -> None:
    error = ExceptionGroup("outer", [ExceptionGroup("inner", [ToolError("no")])])
    assert failure_text("boom", error) == "no"


def test_a_tool_error_without_a_message_names_the_tool() -> None:
    assert failure_text("boom", ToolError()) == "boom failed"


def test_a_tool_error_that_cannot_be_read_names_the_tool() -> None:
    class BadError(ToolError):
        def __str__(self) -> str:
            raise ValueError

    assert failure_text("boom", BadError()) == "boom failed"


async def test_a_coroutine_that_hangs_is_cancelled_and_joined() -> None:
    ended = []

    @tool(timeout=0.01)
    async def slow() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    result = await slow.run(CALL)
    assert (result.output, result.status, result.value) == ("slow timed out after 0.01 s", "timeout", None)
    assert isinstance(result.error, ToolTimeoutError)
    assert result.error.seconds == 0.01
    assert ended == [True]


async def test_a_thread_that_hangs_is_abandoned_and_named(caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()

    @tool
    def slow() -> None:
        gate.wait()

    result = await slow.run(CALL, default_timeout=0.01)
    gate.set()
    assert result.output == "slow timed out after 0.01 s"
    assert "tool slow timed out after 0.01 s; its thread is abandoned, and runs on" in caplog.text


async def test_a_failure_while_it_is_stopped_is_a_timeout_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    @tool(timeout=0.01)
    async def slow() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError("in the way out")

    assert (await slow.run(CALL)).status == "timeout"
    assert "ValueError: in the way out" in caplog.text


async def test_a_value_given_after_the_deadline_is_not_lost() -> None:
    @tool(timeout=0.01)
    async def late() -> str:
        with contextlib.suppress(get_cancelled_exc_class()):
            await anyio.sleep_forever()
        return "late"

    assert (await late.run(CALL)).output == "late"


async def test_an_infinite_timeout_is_no_limit() -> None:
    @tool(timeout=math.inf)
    async def quick() -> str:
        return "done"

    assert (await quick.run(CALL)).ok


async def test_cancellation_of_the_surroundings_passes_a_coroutine() -> None:
    results = []
    started = Event()

    @tool
    async def slow() -> None:
        started.set()
        await anyio.sleep_forever()

    async def call() -> None:
        results.append(await slow.run(CALL))

    async with create_task_group() as group:
        group.start_soon(call)
        await started.wait()
        group.cancel_scope.cancel()
    assert results == []


async def test_cancellation_of_the_surroundings_passes_a_thread() -> None:
    results = []
    gate, started = threading.Event(), Event()

    @tool
    def slow() -> None:
        from_thread.run_sync(started.set)
        gate.wait()

    async def call() -> None:
        results.append(await slow.run(CALL))

    async with create_task_group() as group:
        group.start_soon(call)
        await started.wait()
        group.cancel_scope.cancel()
    gate.set()
    assert results == []


async def test_cancellation_passes_a_body_that_makes_another_error_of_it() -> None:
    @tool
    async def stubborn() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ValueError

    with anyio.move_on_after(0.01) as scope:
        await stubborn.run(CALL)
    assert scope.cancelled_caught


@pytest.mark.parametrize("raised", [None, ValueError])
def test_asyncio_cancel_passes_a_body_whatever_it_makes_of_it(raised: type[Exception] | None) -> None:
    @tool
    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            if raised is not None:
                raise raised

    async def main() -> None:
        task = asyncio.create_task(slow.run(CALL))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_cancel_that_was_survived_before_the_call_is_not_taken_for_a_new_one() -> None:
    async def main() -> ToolResult:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        return await raiser(asyncio.CancelledError()).run(CALL)

    assert asyncio.run(main()).output == "boom failed: CancelledError"


def test_a_future_that_was_cancelled_is_an_error_of_the_body() -> None:
    @tool
    async def wait() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async def main() -> ToolResult:
        return await wait.run(CALL)

    assert asyncio.run(main()).output == "wait failed: CancelledError"


async def test_a_real_interrupt_passes() -> None:
    @tool
    async def busy() -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            await busy.run(CALL)
    finally:
        signal.signal(signal.SIGINT, before)


async def test_an_interrupt_from_the_handler_of_the_event_loop_passes() -> None:
    space: dict[str, Callable[[], None]] = {}
    exec("def handler():\n    raise KeyboardInterrupt", {"__name__": "trio._core._ki"}, space)

    @tool
    async def busy() -> None:
        space["handler"]()

    with pytest.raises(KeyboardInterrupt):
        await busy.run(CALL)


def test_an_interrupt_without_a_trace_is_taken_for_real() -> None:
    assert not _raised_by_body(KeyboardInterrupt())


def test_closing_the_coroutine_of_a_call_closes_the_body() -> None:
    closed = []

    @tool
    async def slow() -> None:
        try:
            await anyio.sleep_forever()
        except GeneratorExit:
            closed.append(True)
            raise

    async def main() -> None:
        coroutine = slow.run(CALL)
        coroutine.send(None)
        coroutine.close()

    trio.run(main)
    assert closed == [True]


async def test_what_has_no_json_form_is_an_error_result_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    @tool
    def odd() -> object:
        return object()

    result = await odd.run(CALL)
    assert result.output == "the tool returned an object at $, which has no JSON form"
    assert result.status == "error"
    assert "tool odd: the tool returned an object" in caplog.text


async def test_a_result_made_by_the_body_stays_as_it_is() -> None:
    refused = ToolResult.refused("not today")
    assert await tool(lambda: refused, name="ask").run(CALL) is refused


async def test_the_output_is_capped_and_the_value_is_whole() -> None:
    result = await tool(lambda: "ab" * 50, name="long").run(CALL, max_bytes=10)
    assert result.output == "ababababab… [truncated: 10 of 100 bytes shown]"
    assert result.value == "ab" * 50


async def test_the_limiter_bounds_the_threads() -> None:
    limiter = CapacityLimiter(1)
    result = await tool(lambda: from_thread.run_sync(lambda: limiter.borrowed_tokens), name="count").run(
        CALL, limiter=limiter
    )
    assert result.value == 1


async def test_a_body_that_asks_gets_the_context() -> None:
    context = ToolContext(call=CALL, data={"user": "ada"})

    @tool
    async def who(context: ToolContext) -> object:
        return context

    assert (await who.run(CALL, context)).value is context
    assert (await who.run(CALL)).value == ToolContext(call=CALL)


async def test_partials_methods_and_objects_run() -> None:
    class Greeter:
        """Greet."""

        async def greet(self, name: str) -> str:
            return f"hello {name}"

        def __call__(self, name: str) -> str:
            return f"hi {name}"

    call = ToolCall(call_id="c", name="x", raw_arguments='{"name": "Ada"}')
    assert (await tool(Greeter().greet).run(call)).output == "hello Ada"
    assert (await tool(Greeter()).run(call)).output == "hi Ada"
    assert (await tool(functools.partial(Greeter.greet, Greeter())).run(call)).output == "hello Ada"
