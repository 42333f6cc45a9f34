"""``budget``: the numbers come from one place, and a session that has used them up says goodbye and ends."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from agentkit_guard import Amounts, Budget, BudgetConfig
from trio.testing import MockClock

from agentkit import MiddlewareError, Rates, tool
from agentkit.events import Notice, ResponseDone, SessionEnded, ToolFinished, TurnCompleted, decode_server
from agentkit.pytest_plugin import Cli

from .talking import Server, opened

pytestmark = pytest.mark.anyio
virtual = pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])
BYE = "We have to stop here. Goodbye."
USAGE = {
    "total_tokens": 1500,
    "input_tokens": 1000,
    "output_tokens": 500,
    "input_token_details": {
        "text_tokens": 600,
        "audio_tokens": 400,
        "cached_tokens": 300,
        "cached_tokens_details": {"text_tokens": 200, "audio_tokens": 100},
    },
    "output_token_details": {"text_tokens": 100, "audio_tokens": 400},
}
RATES = Rates(input=4.0, output=16.0, audio_input=32.0, audio_output=64.0, cached=0.4, cached_audio=0.5)


def budget(**options: Any) -> Budget:
    return Budget(BudgetConfig(**options))


async def answered(server: Server, response_id: str = "r1", **usage: Any) -> None:
    await server.begins(response_id, f"i_{response_id}")
    await server.ends("Fine.", response_id=response_id, item_id=f"i_{response_id}", usage={**USAGE, **usage})


async def test_tokens_are_counted_once_for_each_response() -> None:
    server, guard = Server(), budget(stop=Amounts(tokens=100_000))
    async with opened(server, guard) as (_, seen):
        await answered(server)
        await server.emit("response.done", response={"id": "r1", "status": "completed", "output": [], "usage": USAGE})
        await answered(server, "r2")
        await seen.all()
    assert guard.tokens == 3000


async def test_money_is_counted_by_the_rates() -> None:
    server, guard = Server(), budget(stop=Amounts(cost=100.0), rates=RATES)
    async with opened(server, guard) as (_, seen):
        await answered(server)
        await seen.all()
    expected = 400 * 4.0 + 200 * 0.4 + 300 * 32.0 + 100 * 0.5 + 100 * 16.0 + 400 * 64.0
    assert guard.cost == pytest.approx(expected / 1e6)


async def test_tokens_of_which_nobody_says_what_they_are_count_as_the_dearest() -> None:
    server, guard = Server(), budget(stop=Amounts(cost=100.0), rates=RATES)
    async with opened(server, guard) as (_, seen):
        await answered(server, input_token_details=None, output_token_details=None)
        await seen.all()
    assert guard.cost == pytest.approx((1000 * 32.0 + 500 * 64.0) / 1e6)


async def test_a_warning_comes_once() -> None:
    server = Server()
    async with opened(server, budget(warn=Amounts(tokens=1000))) as (_, seen):
        await answered(server)
        await answered(server, "r2")
        notice = await seen.until(Notice)
        await seen.all()
    assert "1500 tokens" in notice.message
    assert len(seen.of(Notice)) == 1


@pytest.mark.parametrize("as_middleware", [False, True])
async def test_at_the_end_of_it_the_agent_says_goodbye_and_the_session_ends(as_middleware: bool) -> None:
    server = Server()
    guard = budget(stop=Amounts(tokens=1000), goodbye=BYE)
    async with opened(server, guard, as_middleware=as_middleware) as (session, seen):
        await answered(server)
        said = await server.answers_until("response.create")
        assert said["response"]["instructions"].endswith(BYE)
        assert session.ended is None
        await answered(server, "r2")
        ended = await seen.until(SessionEnded)
    assert ended.cause == "limit"
    assert any("budget is used up" in notice.message for notice in seen.of(Notice))


async def test_without_a_goodbye_it_ends_at_once() -> None:
    server = Server()
    async with opened(server, budget(stop=Amounts(turns=1))) as (_, seen):
        await answered(server)
        ended = await seen.until(SessionEnded)
    assert ended.cause == "limit"
    assert seen.of(TurnCompleted)


async def test_nothing_else_is_answered_once_it_is_used_up() -> None:
    server = Server()
    async with opened(server, budget(stop=Amounts(tokens=1000), goodbye=BYE)) as (session, _):
        await answered(server)
        await server.answers_until("response.create")
        with pytest.raises(MiddlewareError, match="Budget"):
            await session.ask("one more thing?", timeout=5)


async def test_a_response_that_the_server_makes_by_itself_is_cancelled_then_and_the_goodbye_is_not() -> None:
    server = Server()
    async with opened(server, budget(stop=Amounts(tokens=1000), goodbye=BYE)) as (_, seen):
        await answered(server)
        said = await server.answers_until("response.create")
        await server.begins("r2", "i2")
        assert (await server.answers_until("response.cancel"))["response_id"] == "r2"
        await server.emit("response.done", response={"id": "r2", "status": "cancelled", "output": []})
        goodbye = {"id": "r3", "status": "in_progress", "output": [], "metadata": said["response"]["metadata"]}
        await server.emit("response.created", response=goodbye)
        await server.ends("Bye.", response_id="r3", item_id="i3")
        await seen.until(SessionEnded)


async def test_calls_of_tools_are_counted_and_refused() -> None:
    ran: list[str] = []

    @tool
    def ping() -> str:
        """Answer."""
        ran.append("ping")
        return "pong"

    server = Server()
    async with opened(server, budget(stop=Amounts(tool_calls=1), goodbye=BYE), tools=[ping]) as (_, seen):
        await server.calls("r1", c1=("ping", "{}"))
        await server.answers_until("response.create")
        await server.calls("r2", c2=("ping", "{}"))
        await seen.until(ToolFinished)
        second = await seen.until(ToolFinished)
    assert ran == ["ping"]
    assert second.status == "refused"


@virtual
async def test_time_is_limited_too() -> None:
    server = Server()
    began = anyio.current_time()
    async with opened(server, budget(warn=Amounts(time=60.0), stop=Amounts(time=90.0))) as (_, seen):
        with anyio.fail_after(100):
            async for event in seen.subscription:
                seen.events.append(event)
    assert anyio.current_time() - began == pytest.approx(90, abs=1)
    assert "60 s" in seen.of(Notice)[0].message
    assert seen.of(SessionEnded)[0].cause == "limit"


@virtual
async def test_a_goodbye_that_nobody_says_does_not_keep_the_session_open() -> None:
    server = Server()
    async with opened(server, budget(stop=Amounts(turns=1), goodbye=BYE)) as (session, _):
        await answered(server)
        await server.answers_until("response.create")
        await server.begins("r2", "i2")
        with anyio.fail_after(300):
            await session.wait_closed()


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "say what is limited"),
        ({"stop": Amounts(cost=1.0)}, "needs the rates"),
        ({"stop": Amounts(tokens=-1)}, "below 0"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BudgetConfig(**options)


async def test_a_response_that_is_told_twice_is_counted_once() -> None:
    guard = budget(stop=Amounts(tokens=100_000))
    event = decode_server(json.dumps({"type": "response.done", "response": {"id": "r1", "usage": USAGE}}).encode())
    assert isinstance(event, ResponseDone)
    passed: list[ResponseDone] = []

    async def call_next(event: ResponseDone) -> None:
        passed.append(event)

    await guard.done(event, call_next)
    await guard.done(event, call_next)
    assert guard.tokens == 1500
    assert len(passed) == 2


@pytest.mark.parametrize(
    "usage",
    [
        {"total_tokens": -1_000_000, "input_tokens": 5, "output_tokens": 2},
        {"total_tokens": 0, "input_tokens": 5, "output_tokens": 2},
        {"total_tokens": 7, "input_tokens": -9, "output_tokens": None},
    ],
)
async def test_numbers_that_do_not_fit_give_no_tokens_back(usage: dict[str, Any]) -> None:
    server, guard = Server(), budget(stop=Amounts(tokens=100_000, cost=100.0), rates=Rates(input=1.0))
    async with opened(server, guard) as (_, seen):
        await answered(server, input_token_details=None, output_token_details=None, **usage)
        await seen.all()
    assert guard.tokens == 7
    assert guard.cost >= 0


async def test_responses_without_a_name_are_all_counted() -> None:
    server, guard = Server(), budget(stop=Amounts(tokens=100_000))
    async with opened(server, guard) as (_, seen):
        for _ in range(1100):
            usage = {"total_tokens": 1, "input_tokens": 1, "output_tokens": 0}
            await server.emit("response.done", response={"status": "completed", "output": [], "usage": usage})
        await seen.all()
    assert guard.tokens == 1100


def test_a_budget_that_stops_the_session_is_a_limit_at_the_command_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stop = "{stop: {turns: 1}, goodbye: Bye.}"
    text = f"agent: {{}}\nprovider: {{use: local}}\nguardrails: [{{use: budget, with: {stop}}}]\n"
    Path("agent.yaml").write_text(text)
    done = cli("run", "--lines", stdin="one\ntwo\nthree\n")
    assert done.code == 5
    assert done.out.endswith("\nBye.\n")
    assert done.err == "ended: the session's budget is used up: 1 turn\n"
