"""Bodies that run again: which, how often, and after what time."""

import anyio
import pytest
import trio
from trio.testing import MockClock

from agentkit.errors import ToolError
from agentkit.tools import ToolCall, ToolContext, ToolResult, tool
from agentkit.tools.running import longest

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Failing:
    """A body that fails some times, and knows when it ran."""

    def __init__(self, *errors: BaseException | None) -> None:
        self.errors = list(errors)
        self.at: list[float] = []
        self.attempts: list[int] = []

    async def run(self, context: ToolContext) -> str:
        """Run."""
        self.at.append(trio.current_time())
        self.attempts.append(context.attempt)
        error = self.errors.pop(0)
        if error is not None:
            raise error
        return "done"

    async def call(self, *, retries: int, timeout: float | None = None) -> ToolResult:
        made = tool(self.run, effects="reads", retries=retries, timeout=timeout)
        return await made.run(ToolCall(call_id="c", name="run"))


async def test_a_body_that_raises_runs_again_after_ever_longer_waits() -> None:
    body = Failing(OSError("a"), OSError("b"), OSError("c"), None)
    assert (await body.call(retries=3)).value == "done"
    assert [at - body.at[0] for at in body.at] == pytest.approx([0, 0.25, 0.75, 1.75])
    assert body.attempts == [1, 2, 3, 4]


async def test_the_last_failure_is_the_result() -> None:
    body = Failing(OSError("a"), ValueError("b"), None)
    result = await body.call(retries=1)
    assert result.output == "run failed: ValueError"
    assert len(body.at) == 2


async def test_a_body_runs_once_unless_it_says_more() -> None:
    body = Failing(OSError("a"), None)
    assert (await body.call(retries=0)).status == "error"
    assert len(body.at) == 1


async def test_what_the_author_tells_the_model_stands() -> None:
    body = Failing(ToolError("there is no such city"), None)
    assert (await body.call(retries=3)).output == "there is no such city"
    assert len(body.at) == 1


async def test_the_author_may_ask_for_another_try() -> None:
    body = Failing(ToolError("busy", retry=True), None)
    assert (await body.call(retries=3)).value == "done"


async def test_wrong_arguments_are_not_tried_again() -> None:
    made = tool(Failing(None).run, effects="reads", retries=3)
    call = ToolCall(call_id="c", name="run", raw_arguments='{"x": 1}')
    assert (await made.run(call)).status == "invalid"


async def test_a_body_that_takes_too_long_runs_again() -> None:
    runs: list[float] = []

    async def slow() -> str:
        """Wait."""
        runs.append(trio.current_time())
        if len(runs) == 1:
            await anyio.sleep_forever()
        return "done"

    result = await tool(slow, idempotent=True, retries=1, timeout=2).run(ToolCall(call_id="c", name="slow"))
    assert result.value == "done"
    assert runs[1] - runs[0] == pytest.approx(2.25)


@pytest.mark.parametrize("retries, seconds", [(0, 10), (1, 20.25), (2, 30.75), (8, 90 + 7.75 + 3 * 5)])
def test_the_longest_time_of_all_tries_is_known_before(retries: int, seconds: float) -> None:
    assert longest(10, retries) == pytest.approx(seconds)
