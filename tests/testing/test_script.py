"""A fake server's script: what it expects of the client, and what follows."""

from collections.abc import Callable

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

import agentkit
from agentkit.events import Notice, RateLimitsUpdated
from agentkit.testing import FakeServer
from agentkit.testing.script import fits

pytestmark = pytest.mark.anyio

NOTE: dict[str, list[str]] = {"rate_limits": []}


async def test_a_step_follows_the_frame_that_was_expected() -> None:
    server = FakeServer()
    server.script.expect("response.create").emit("rate_limits.updated", **NOTE)
    async with agentkit.open(server) as session:
        with session.subscribe(RateLimitsUpdated) as told:
            await session.send_text("hello")
            await anext(told)
    server.verify()


async def test_nothing_follows_a_frame_that_differs() -> None:
    server = FakeServer()
    server.script.expect("conversation.item.create", item={"role": "system"}).drop()
    async with agentkit.open(server) as session:
        await session.send_text("hello", reply=False)
        assert session.ended is None
    assert server.script.left() == [
        "expect conversation.item.create(item={'role': 'system'})",
        "drop the connection",
    ]


async def test_steps_that_did_not_run_fail_with_what_the_client_wrote_instead() -> None:
    server = FakeServer()
    server.script.expect("response.create", response={"instructions": "Be brief."})
    async with agentkit.open(server) as session:
        await session.send_text("good morning", reply=False)
    with pytest.raises(
        AssertionError, match=r"(?s)expect response\.create\(.*Be brief.*the client wrote.*good morning"
    ):
        server.verify()


async def test_a_script_that_ran_passes() -> None:
    server = FakeServer()
    server.script.expect("conversation.item.create").expect("response.create")
    async with agentkit.open(server) as session:
        await session.send_text("hello")
    server.verify()


async def test_expectations_hold_in_their_order() -> None:
    server = FakeServer()
    server.script.expect("response.create").expect("conversation.item.create")
    async with agentkit.open(server) as session:
        await session.send_text("hello")
    assert server.script.left() == ["expect conversation.item.create"]


async def test_an_update_is_confirmed_and_can_be_expected() -> None:
    server = FakeServer()
    server.script.expect("session.update", session={"instructions": "Be brief."}).emit("rate_limits.updated", **NOTE)
    async with agentkit.open(server, settings=agentkit.Settings(instructions="Be brief.")):
        assert server.session["instructions"] == "Be brief."
    server.verify()


async def test_steps_before_the_first_expectation_run_at_once() -> None:
    server = FakeServer()
    server.script.emit("rate_limits.updated", **NOTE)
    async with agentkit.open(server):
        pass
    server.verify()


async def test_a_step_that_is_added_while_the_client_only_reads_runs_too() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        with session.subscribe(RateLimitsUpdated) as told:
            await server.emit("rate_limits.updated", **NOTE)
            await anext(told)  # now the reader waits
            server.script.emit("rate_limits.updated", **NOTE)
            await anext(told)


async def test_a_dropped_connection_has_no_close_frame_and_what_was_sent_before_it_is_read() -> None:
    server = FakeServer()
    server.script.expect("response.create").emit("rate_limits.updated", **NOTE).drop()
    async with agentkit.open(server) as session:
        with session.subscribe(RateLimitsUpdated) as told:
            await session.send_text("hello")
            await anext(told)
            await session.wait_closed()
        assert session.ended is not None
        assert isinstance(session.ended.error, agentkit.ConnectionLostError)
        assert session.ended.error.close_code is None


async def test_the_connection_can_be_dropped_now() -> None:
    server = FakeServer()
    async with agentkit.open(server) as session:
        await server.drop()
        await session.wait_closed()
        with pytest.raises(agentkit.AgentkitError):
            await session.send_text("hello")


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])
async def test_what_comes_after_a_delay_comes_so_much_later_though_the_client_writes_nothing() -> None:
    server = FakeServer()
    server.script.expect("response.create").delay(5).emit("rate_limits.updated", **NOTE).delay(2).drop()
    async with agentkit.open(server) as session:
        began = anyio.current_time()
        with session.subscribe(RateLimitsUpdated) as told:
            await session.send_text("hello")
            await anext(told)
            assert anyio.current_time() - began == pytest.approx(5)
            await session.wait_closed()
        assert anyio.current_time() - began == pytest.approx(7)
    server.verify()


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])
async def test_what_the_client_writes_in_a_delay_waits_for_the_step_behind_it() -> None:
    server = FakeServer()
    server.script.expect("response.create").delay(5).expect("input_audio_buffer.clear").emit(
        "rate_limits.updated", **NOTE
    )
    async with agentkit.open(server) as session:
        with session.subscribe(RateLimitsUpdated) as told:
            await session.send_text("hello")
            await session.clear_audio()
            assert len(server.script.left()) == 3
            await anext(told)
    server.verify()


async def test_the_script_has_the_frames_while_it_has_steps_and_next_those_behind_it() -> None:
    server = FakeServer()
    server.script.expect("response.create")
    async with agentkit.open(server) as session:
        await session.send_text("one", reply=False)
        with pytest.raises(AssertionError, match=r"the script takes the client's frames.*expect response\.create"):
            await server.next()
        await session.send_text("two")
        await session.send_text("three", reply=False)
        assert (await server.next("conversation.item.create"))["item"]["content"][0]["text"] == "three"
    kinds = [event["type"] for event in server.written]
    assert kinds.count("conversation.item.create") == 3


async def test_without_a_handshake_a_script_works_as_well() -> None:
    server = FakeServer(handshake=False)
    server.script.emit("session.created", session=server.session).expect("session.update").emit(
        "session.updated", session={**server.session, "instructions": "x"}
    )
    async with agentkit.open(server, settings=agentkit.Settings(instructions="x")) as session:
        assert session.ended is None
    server.verify()


async def test_a_second_connection_goes_on_with_the_script() -> None:
    server = FakeServer()
    server.script.expect("response.create").drop().expect("input_audio_buffer.clear")
    async with agentkit.open(server) as session:
        await session.send_text("one", reply=False)
        await session.send_text("two")
        await session.wait_closed()
    async with agentkit.open(server) as session:
        await session.clear_audio()
        server.verify()
        await session.send_text("three", reply=False)
        assert (await server.next())["item"]["content"][0]["text"] == "three"
    assert [event["type"] for event in server.written].count("conversation.item.create") == 3


async def test_an_error_of_the_server_can_be_played() -> None:
    server = FakeServer()
    error = {"type": "server_error", "code": "overloaded", "message": "too busy"}
    server.script.expect("input_audio_buffer.clear").emit("error", error=error)
    async with agentkit.open(server) as session:
        with session.subscribe(agentkit.events.ErrorEvent, Notice) as told:
            await session.clear_audio()
            assert "too busy" in str(await anext(told))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def part_of(draw: Callable[..., object], value: object) -> object:
    """Leave out keys of maps, at any depth, and put ``...`` for values."""
    if draw(st.integers(0, 9)) == 0:
        return ...
    if isinstance(value, dict):
        return {key: part_of(draw, inner) for key, inner in value.items() if draw(st.booleans())}
    return [part_of(draw, inner) for inner in value] if isinstance(value, list) else value


@given(st.data(), JSON)
def test_whatever_part_of_a_frame_is_wanted_fits(data: st.DataObject, value: object) -> None:
    assert fits(value, part_of(data.draw, value))


@given(JSON, JSON)
def test_a_frame_that_lacks_a_wanted_key_does_not_fit(frame: object, value: object) -> None:
    assert not fits({"given": frame}, {"given": ..., "wanted": value})


@pytest.mark.parametrize(
    "given, wanted, expected",
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 1}}}, True),
        ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]}, True),
        ({"a": [1, 2]}, {"a": [1]}, False),
        ({"a": [1, 2]}, {"a": (1, 2)}, True),
        ({"a": "text"}, {"a": ["t"]}, False),
        ({"a": 5}, {"a": ...}, True),
        ({}, {"a": ...}, False),
        ("text", {"a": 1}, False),
        ("text", "text", True),
    ],
)
def test_a_frame_fits_that_has_all_that_is_wanted(given: object, wanted: object, expected: bool) -> None:
    assert fits(given, wanted) is expected
