"""Handlers: how they are turned on and off, in which order they are called, and what a failing one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from anyio import wait_all_tasks_blocked
from trio.testing import MockClock

from agentkit import LocalProtocolError, RealtimeClient
from agentkit.client import EventHandlers
from agentkit.events import Dialect

if TYPE_CHECKING:
    from tests.client.conftest import Record, Server

pytestmark = pytest.mark.anyio
VIRTUAL = [("trio", {"clock": MockClock(autojump_threshold=0)})]


async def tell(handlers: EventHandlers, name: str, payload: Any = None) -> list[BaseException]:
    return await handlers.dispatch(name, payload=lambda: payload)


async def test_a_handler_is_called_for_every_event_of_its_name_and_for_no_other() -> None:
    handlers = EventHandlers()
    told: list[Any] = []
    assert handlers.on("a", told.append) == told.append
    for name, payload in (("a", 1), ("b", 2), ("a", 3), ("aa", 4)):
        await tell(handlers, name, payload)
    assert told == [1, 3]


async def test_on_and_on_next_are_decorators_that_return_the_function() -> None:
    handlers = EventHandlers()
    told: list[Any] = []

    @handlers.on("a")
    def each(event: Any) -> None:
        told.append(("each", event))

    @handlers.on_next("a")
    async def once(event: Any) -> None:
        told.append(("once", event))

    await tell(handlers, "a", 1)
    await tell(handlers, "a", 2)
    assert told == [("each", 1), ("once", 1), ("each", 2)]
    handlers.off("a", each)
    await tell(handlers, "a", 3)
    assert len(told) == 3
    assert once.__name__ == "once"


async def test_sync_and_async_handlers_are_called_in_the_order_in_which_they_came() -> None:
    handlers = EventHandlers()
    told: list[Any] = []

    async def slow(event: Any) -> None:
        await wait_all_tasks_blocked()
        told.append("slow")

    handlers.on("a", lambda event: told.append("first"))
    handlers.on("*", slow)
    handlers.on("a", lambda event: told.append("last"))
    handlers.on_next("a", lambda event: told.append("once"))
    await tell(handlers, "a")
    assert told == ["first", "slow", "last", "once"]


@pytest.mark.parametrize(
    "pattern, names",
    [
        ("*", ["server.response.done", "server.response.output_text.delta", "client.response.create"]),
        ("server.*", ["server.response.done", "server.response.output_text.delta"]),
        ("server.response.*", ["server.response.done", "server.response.output_text.delta"]),
        ("*.delta", ["server.response.output_text.delta"]),
        ("server.*.delta", ["server.response.output_text.delta"]),
        ("server.response.d?ne", ["server.response.done"]),
        ("server.response", []),
        ("server.response.do[n]e", []),
        ("Server.*", []),
    ],
)
async def test_stars_and_question_marks_stand_for_anything_and_nothing_else_does(
    pattern: str, names: list[str]
) -> None:
    handlers = EventHandlers()
    told: list[Any] = []
    handlers.on(pattern, told.append)
    for name in ("server.response.done", "server.response.output_text.delta", "client.response.create"):
        await tell(handlers, name, name)
    assert told == names


async def test_a_handler_turned_off_is_not_called_and_the_others_are() -> None:
    handlers = EventHandlers()
    told: list[Any] = []
    other: list[Any] = []
    handlers.on("a", told.append)
    handlers.on("a", other.append)
    handlers.off("a", told.append)
    await tell(handlers, "a", 1)
    assert (told, other) == ([], [1])


async def test_a_handler_that_was_turned_on_twice_is_turned_off_once() -> None:
    handlers = EventHandlers()
    told: list[Any] = []
    for _ in range(2):
        handlers.on("a", told.append)
    handlers.off("a", told.append)
    await tell(handlers, "a", 1)
    assert told == [1]


async def test_off_without_a_handler_turns_all_of_the_name_off() -> None:
    handlers = EventHandlers()
    told: list[Any] = []
    handlers.on("a", told.append)
    handlers.on("a", lambda event: told.append(event))
    handlers.on("b", told.append)
    handlers.on_next("a", told.append)
    handlers.off("a")
    handlers.off_next("a")
    for name in "ab":
        await tell(handlers, name, name)
    assert told == ["b"]


@pytest.mark.parametrize("method", ["off", "off_next"])
async def test_turning_off_what_is_not_on_is_an_error(method: str) -> None:
    handlers = EventHandlers()
    handlers.on("b", print)
    handlers.on_next("b", print)
    with pytest.raises(LocalProtocolError, match="does not listen to 'a'"):
        getattr(handlers, method)("a", print)


@pytest.mark.parametrize("method", ["on", "on_next"])
def test_what_cannot_be_called_is_no_handler(method: str) -> None:
    handlers = EventHandlers()
    with pytest.raises(TypeError, match="handler of 'a' has to be callable, not str"):
        getattr(handlers, method)("a", "print")
    assert not handlers.listened("a")


async def test_a_handler_for_the_next_event_is_called_once_though_it_fails() -> None:
    handlers = EventHandlers()
    told: list[Any] = []

    def fail(event: Any) -> None:
        told.append(event)
        raise ZeroDivisionError

    handlers.on_next("a", fail)
    for number in range(3):
        await tell(handlers, "a", number)
    assert told == [0]


async def test_a_handler_may_turn_itself_and_others_on_and_off() -> None:
    handlers = EventHandlers()
    told: list[Any] = []

    def once(event: Any) -> None:
        told.append("once")
        handlers.off("a", once)
        handlers.on("a", lambda event: told.append("new"))

    handlers.on("a", once)
    await tell(handlers, "a")
    await tell(handlers, "a")
    assert told == ["once", "new"]


async def test_clear_event_handlers_turns_every_handler_off(server: Server, record: Callable[..., Record]) -> None:
    client = RealtimeClient(provider=server)
    told, raw = record(client, "*"), record(client.realtime, "*")
    client.on_next("close", lambda event: told.told.append(("next", event)))
    client.clear_event_handlers()
    client.realtime.clear_event_handlers()
    async with client:
        await server.handled(client)
    assert (told.names, raw.names) == ([], [])


# Names of both dialects


@pytest.mark.parametrize("dialect", list(Dialect), ids=str)
@pytest.mark.parametrize(
    "ga, beta",
    [
        ("response.output_text.delta", "response.text.delta"),
        ("response.output_audio.delta", "response.audio.delta"),
        ("response.output_audio_transcript.done", "response.audio_transcript.done"),
        ("conversation.item.added", "conversation.item.created"),
    ],
)
async def test_rb_24_a_name_of_either_dialect_finds_the_events_of_both(
    new_server: Callable[..., Server], record: Callable[..., Record], dialect: Dialect, ga: str, beta: str
) -> None:
    server = new_server(dialect)
    client = RealtimeClient(provider=server)
    told = record(client.realtime, f"server.{ga}", f"server.{beta}")
    sent = ga if dialect is Dialect.GA else beta
    async with client:
        await server.emit(sent, delta="", item={"id": "i1", "type": "message", "role": "user", "content": []})
        await server.handled(client)
    assert told.names == [f"server.{ga}", f"server.{beta}"]
    assert {event["type"] for event in told.events} == {sent}


async def test_a_pattern_that_fits_both_names_of_an_event_is_called_once(
    server: Server, record: Callable[..., Record]
) -> None:
    client = RealtimeClient(provider=server)
    told = record(client.realtime, "server.response.*delta")
    async with client:
        await server.tells("output_text", "x")
        await server.handled(client)
    assert len(told.told) == 1
