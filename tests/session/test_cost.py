"""What a session costs: counted once for each response, whatever became of it."""

from typing import Any

import anyio
import hypothesis.strategies as st
import pytest
from hypothesis import given

import agentkit
from agentkit.events import ResponseDone, ResponseSettings, TurnCompleted, Usage, UsageDetails
from agentkit.testing import FakeServer
from agentkit.tools import tool

RATES = agentkit.Rates(input=4.0, output=16.0, audio_input=32.0, audio_output=64.0, cached=0.4, cached_audio=0.5)
USAGE: dict[str, Any] = {
    "total_tokens": 1100,
    "input_tokens": 1000,
    "output_tokens": 100,
    "input_token_details": {"text_tokens": 1000},
    "output_token_details": {"text_tokens": 100},
}
"""Costs 0.0056 dollars by the rates."""
ONE = 0.0056
LIMITS = agentkit.SessionLimits(rates=RATES)


@tool
async def look() -> str:
    """Look."""
    return "seen"


async def over(server: FakeServer, response_id: str, usage: dict[str, Any] | None, **fields: Any) -> None:
    """Send a whole response that said nothing."""
    metadata = fields.pop("metadata", None)
    await server.emit("response.created", response={"id": response_id, "metadata": metadata})
    response = {"id": response_id, "status": "completed", "output": [], "usage": usage, "metadata": metadata, **fields}
    await server.emit("response.done", response=response)


async def counted(session: agentkit.Session, server: FakeServer, *responses: dict[str, Any]) -> float | None:
    """Let the server send responses, and return what the session says of their cost."""
    with session.subscribe(ResponseDone) as done:
        for index, response in enumerate(responses):
            await over(server, f"r{index}", **response)
            await anext(done)
    return session.cost


# Rates


def test_every_kind_of_token_has_its_rate() -> None:
    usage = Usage(
        input_tokens=1000,
        output_tokens=500,
        input_token_details=UsageDetails(
            text_tokens=300,
            audio_tokens=600,
            image_tokens=100,
            cached_tokens=250,
            cached_tokens_details={"audio_tokens": 200, "text_tokens": 50},
        ),
        output_token_details=UsageDetails(text_tokens=100, audio_tokens=400),
    )
    expected = (350 * 4.0 + 50 * 0.4 + 400 * 32.0 + 200 * 0.5 + 100 * 16.0 + 400 * 64.0) / 1_000_000
    assert RATES.cost(usage) == pytest.approx(expected)


def test_a_rate_that_is_left_out_is_that_of_the_same_thing_as_text_or_as_new() -> None:
    usage = Usage(
        input_tokens=20,
        output_tokens=10,
        input_token_details=UsageDetails(audio_tokens=20, cached_tokens=10, cached_tokens_details={"audio_tokens": 10}),
        output_token_details=UsageDetails(audio_tokens=10),
    )
    assert agentkit.Rates(input=1.0, output=2.0).cost(usage) == pytest.approx(40 / 1_000_000)


def test_tokens_of_no_known_kind_count_as_the_dearest() -> None:
    assert RATES.cost(Usage(input_tokens=10, output_tokens=10)) == pytest.approx(960 / 1_000_000)


TOKENS = st.none() | st.integers(-5, 10_000)
DETAILS = st.none() | st.builds(
    UsageDetails,
    text_tokens=TOKENS,
    audio_tokens=TOKENS,
    image_tokens=TOKENS,
    cached_tokens=TOKENS,
    cached_tokens_details=st.none() | st.dictionaries(st.sampled_from(["audio_tokens", "text_tokens"]), TOKENS),
)


@given(st.builds(Usage, input_tokens=TOKENS, output_tokens=TOKENS, input_token_details=DETAILS))
def test_nothing_that_a_server_tells_gives_money_back(usage: Usage) -> None:
    assert RATES.cost(usage) >= 0


@pytest.mark.parametrize("rate", [-1.0, float("inf"), float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="the rate audio_input is"):
        agentkit.Rates(audio_input=rate)


# Sessions


@pytest.mark.anyio
async def test_without_rates_no_cost_is_known() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        with session.subscribe(TurnCompleted) as turns:
            assert await counted(session, server, {"usage": USAGE}) is None
            assert (await anext(turns)).cost_usd is None


@pytest.mark.anyio
async def test_a_session_begins_at_nothing_and_tokens_that_nobody_tells_cost_nothing() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=LIMITS) as session:
        assert session.cost == 0
        assert await counted(session, server, {"usage": None}) == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    "fields",
    [
        {"status": "cancelled", "status_details": {"reason": "turn_detected"}},
        {"status": "incomplete", "status_details": {"reason": "max_output_tokens"}},
        {"status": "failed", "status_details": {"error": {"code": "invalid_request_error"}}},
        {"conversation_id": None},
    ],
)
async def test_a_response_counts_whatever_became_of_it(fields: dict[str, Any]) -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=LIMITS) as session:
        assert await counted(session, server, {"usage": USAGE}, {"usage": USAGE, **fields}) == pytest.approx(2 * ONE)


@pytest.mark.anyio
async def test_a_response_that_the_server_tells_twice_counts_once() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=LIMITS) as session, anyio.create_task_group() as tasks:
        tasks.start_soon(session.ask, "hello")
        await server.next("conversation.item.create")
        await server.next("response.create")
        with session.subscribe(TurnCompleted) as turns:
            await over(server, "r", USAGE)
            await server.emit("response.done", response={"id": "r", "status": "completed", "usage": USAGE})
            await over(server, "s", None)
            await anext(turns)
            await anext(turns)
        assert session.cost == pytest.approx(ONE)


@pytest.mark.anyio
async def test_a_response_beside_the_conversation_counts() -> None:
    server = FakeServer()
    async with agentkit.open(server, limits=LIMITS) as session, anyio.create_task_group() as tasks:

        async def respond() -> None:
            turn = await session.respond(ResponseSettings(conversation="none"))
            assert turn.cost_usd == pytest.approx(ONE)

        tasks.start_soon(respond)
        create = await server.next("response.create")
        await over(server, "r", USAGE, metadata=create["response"]["metadata"])
    assert session.cost == pytest.approx(ONE)


@pytest.mark.anyio
async def test_a_turn_costs_what_all_its_responses_do() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[look], limits=LIMITS) as session, anyio.create_task_group() as tasks:
        turns: list[agentkit.Turn] = []

        async def ask() -> None:
            turns.append(await session.ask("look"))

        tasks.start_soon(ask)
        await server.next("conversation.item.create")
        await server.next("response.create")
        call = {"id": "i", "type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
        call["status"] = "completed"
        await server.emit("response.created", response={"id": "r1"})
        await server.emit("response.output_item.done", response_id="r1", item=call)
        await server.emit(
            "response.done", response={"id": "r1", "status": "completed", "output": [call], "usage": USAGE}
        )
        await server.next("conversation.item.create")
        await server.next("response.create")
        with session.subscribe(TurnCompleted) as told:
            await over(server, "r2", USAGE)
            assert (await anext(told)).cost_usd == pytest.approx(2 * ONE)
    assert [turn.cost_usd for turn in turns] == [pytest.approx(2 * ONE)]
    assert session.cost == pytest.approx(2 * ONE)


@pytest.mark.anyio
async def test_the_cost_is_known_when_the_response_is_told() -> None:
    server, seen = FakeServer(), list[float | None]()

    class Look(agentkit.Middleware):
        @agentkit.on(ResponseDone)
        async def done(self, event: ResponseDone, call_next: agentkit.Next[ResponseDone]) -> None:
            seen.append(session.cost)
            await call_next(event)

    async with agentkit.open(server, middleware=[Look()], limits=LIMITS) as session:
        await counted(session, server, {"usage": USAGE})
    assert seen == [pytest.approx(ONE)]
