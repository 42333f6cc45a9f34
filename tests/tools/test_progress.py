"""Progress: told from the event loop, from worker threads and by what a generator yields."""

import threading
from collections.abc import AsyncGenerator

import anyio
import pytest
from anyio.lowlevel import current_token

from agentkit.tools import Progress, Reporter, ToolCall, ToolContext, ToolResult, tool

pytestmark = pytest.mark.anyio
CALL = ToolCall(call_id="c", name="tool")


class Heard:
    """A reporter, and what was told by it."""

    def __init__(self) -> None:
        self.told: list[Progress] = []
        self.threads: set[int] = set()
        self.reporter = Reporter(self.take, current_token())
        self.context = ToolContext(call=CALL, reporter=self.reporter)

    def take(self, progress: Progress) -> None:
        self.told.append(progress)
        self.threads.add(threading.get_ident())


async def test_an_async_body_tells_how_far_it_has_come() -> None:
    heard = Heard()

    async def work(context: ToolContext) -> None:
        """Work."""
        context.progress("half", done=0.5)
        context.progress("more")

    await tool(work).run(CALL, heard.context)
    assert heard.told == [Progress(message="half", done=0.5), Progress(message="more")]


async def test_a_worker_thread_is_heard_in_the_event_loops_thread() -> None:
    heard = Heard()

    def work(context: ToolContext) -> None:
        """Work."""
        for number in range(3):
            context.progress(str(number))

    await tool(work).run(CALL, heard.context)
    assert [each.message for each in heard.told] == ["0", "1", "2"]
    assert heard.threads == {threading.get_ident()}


async def test_a_thread_of_the_tools_own_is_heard_too() -> None:
    heard = Heard()

    def work(context: ToolContext) -> None:
        """Work."""
        thread = threading.Thread(target=context.progress, args=("from afar",))
        thread.start()
        thread.join()

    await tool(work).run(CALL, heard.context)
    assert [each.message for each in heard.told] == ["from afar"]


async def test_nobody_is_told_once_the_call_is_over() -> None:
    heard = Heard()
    heard.reporter.closed = True
    heard.context.progress("late")
    await anyio.to_thread.run_sync(heard.context.progress, "later")
    assert heard.told == []


async def test_a_call_that_ends_while_a_thread_is_telling_is_not_told_of_it() -> None:
    heard = Heard()
    telling = threading.Thread(target=heard.context.progress, args=("late",))
    telling.start()  # it waits for this thread, which closes the reporter first
    heard.reporter.closed = True
    await anyio.to_thread.run_sync(telling.join)
    assert heard.told == []


async def test_a_tool_without_a_session_may_tell_as_well() -> None:
    def work(context: ToolContext) -> str:
        """Work."""
        context.progress("alone")
        context.tell_partial(1)
        return "done"

    assert (await tool(work).run(CALL)).value == "done"


def test_progress_after_the_event_loop_has_gone_is_dropped() -> None:
    async def make() -> ToolContext:
        return Heard().context

    context = anyio.run(make)
    thread = threading.Thread(target=context.progress, args=("too late",))
    thread.start()
    thread.join(10)
    assert not thread.is_alive()


async def counting(to: int) -> AsyncGenerator[object, None]:
    """Count."""
    for number in range(to):
        yield {"so_far": number}


async def test_what_an_async_generator_yields_is_partial_and_the_last_is_the_result() -> None:
    heard = Heard()
    call = ToolCall(call_id="c", name="counting", raw_arguments='{"to": 3}')
    result = await tool(counting).run(call, heard.context)
    assert [each.partial for each in heard.told] == [{"so_far": 0}, {"so_far": 1}, {"so_far": 2}]
    assert result.output == '{"so_far":2}'
    assert (await tool(counting).run(call)).output == '{"so_far":2}'


async def test_one_that_yields_nothing_has_no_result() -> None:
    call = ToolCall(call_id="c", name="counting", raw_arguments='{"to": 0}')
    assert (await tool(counting).run(call)).output == "null"


async def test_a_generator_that_takes_too_long_is_closed() -> None:
    closed: list[bool] = []

    async def endless() -> AsyncGenerator[int, None]:
        """Never end."""
        try:
            while True:
                yield 1
                await anyio.sleep(1)
        finally:
            closed.append(True)

    result = await tool(endless, timeout=0.01).run(CALL)
    assert result.status == "timeout"
    assert closed == [True]


async def test_a_failure_is_logged_without_the_secrets_of_the_call(caplog: pytest.LogCaptureFixture) -> None:
    def pay(pin: str) -> ToolResult:
        """Pay."""
        raise ValueError(f"wrong pin {pin}")

    call = ToolCall(call_id="c", name="pay", raw_arguments='{"pin": "canary-2468"}')
    result = await tool(pay, secret=["pin"]).run(call)
    assert result.output == "pay failed: ValueError"
    assert "wrong pin ***" in caplog.text
    assert "Traceback" in caplog.text
    assert "canary" not in caplog.text
