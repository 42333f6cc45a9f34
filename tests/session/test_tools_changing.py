"""Tools that change while a session runs, and toolsets."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

import agentkit
from agentkit.events import Notice, ToolFinished
from agentkit.testing import FakeServer
from agentkit.tools import Tool, Toolset, tool

pytestmark = pytest.mark.anyio
ITEM, CREATE = "conversation.item.create", "response.create"


def named(name: str, result: str = "") -> Tool[..., object]:
    async def body() -> str:
        """Say a name."""
        return result or name

    return tool(body, name=name)


def names(update: dict[str, Any]) -> list[str]:
    return [each["name"] for each in update["session"]["tools"]]


async def call(server: FakeServer, name: str, number: int = 1) -> str:
    await server.calls(f"r{number}", **{f"c{number}": (name, "{}")})
    with anyio.fail_after(5):
        output = (await server.next(ITEM))["item"]["output"]
        await server.next(CREATE)
    await server.says(f"s{number}", "well")
    await anyio.wait_all_tasks_blocked()
    return str(output)


async def test_tools_are_added_removed_and_replaced_each_by_one_update_that_the_server_confirms() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[named("a"), named("b")]) as session:
        await session.add_tool(named("c"))
        await session.replace_tool(named("a", "new"))  # the model sees no difference, so nothing is sent
        await session.remove_tool("b")
        assert [names(update) for update in server.updates] == [["a", "b"], ["a", "b", "c"], ["a", "c"]]
        assert list(session.tools) == ["a", "c"]
        assert await call(server, "a") == "new"
        assert (await call(server, "b", 2)).startswith("unknown tool 'b'")


@pytest.mark.parametrize("change", ["add a", "remove x", "replace x"])
async def test_a_change_that_makes_no_sense_is_refused_and_nothing_is_sent(change: str) -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[named("a")]) as session:
        verb, _, name = change.partition(" ")
        with pytest.raises(agentkit.LocalProtocolError, match=name):
            await (session.remove_tool(name) if verb == "remove" else getattr(session, f"{verb}_tool")(named(name)))
        assert len(server.updates) == 1


class Slow(FakeServer):
    """Confirms an update when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[dict[str, Any]] = []

    async def confirm(self, update: dict[str, Any]) -> None:
        if self.updates:
            self.waiting.append(update)
        else:
            await super().confirm(update)

    async def confirm_now(self) -> None:
        for update in self.waiting:
            await super().confirm(update)


async def test_the_next_response_waits_until_the_server_has_confirmed_the_tools() -> None:
    server = Slow()
    async with agentkit.open(server, tools=[named("a")]) as session, anyio.create_task_group() as tasks:
        tasks.start_soon(session.add_tool, named("b"))
        await anyio.wait_all_tasks_blocked()
        await session.send_text("hi")
        await server.next(ITEM)
        await session.clear_audio()
        await server.next("input_audio_buffer.clear")
        await server.confirm_now()
        with anyio.fail_after(5):
            await server.next(CREATE)


async def test_a_change_that_is_given_up_holds_nothing_up() -> None:
    server = Slow()
    async with agentkit.open(server, tools=[named("a")]) as session:
        with anyio.move_on_after(0.01):
            await session.add_tool(named("b"))
        await session.send_text("hi")
        await server.next(ITEM)
        with anyio.fail_after(5):
            await server.next(CREATE)


async def test_a_tool_may_change_the_tools_and_the_next_response_has_them() -> None:
    found: list[agentkit.Session] = []

    @tool
    async def learn() -> str:
        """Learn another tool."""
        await found[0].add_tool(named("fly"))
        return "I can fly"

    server = FakeServer()
    async with agentkit.open(server, tools=[learn]) as session:
        found.append(session)
        await server.calls("r1", c=("learn", "{}"))
        with anyio.fail_after(5):
            assert (await server.next(ITEM))["item"]["output"] == "I can fly"
            await server.next(CREATE)
        kinds = [frame["type"] for frame in server.written]
        assert kinds == ["session.update", "session.update", ITEM, CREATE]


async def test_changes_at_once_are_all_made() -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[]) as session:
        async with anyio.create_task_group() as tasks:
            for name in "abcd":
                tasks.start_soon(session.add_tool, named(name))
            tasks.start_soon(session.set_tools, [named("z"), named("y")])
        assert len(server.updates) == 5
        assert names(server.updates[-1]) == list(session.tools)


class Refusing(FakeServer):
    """Confirms the first update, and refuses the others."""

    async def confirm(self, update: dict[str, Any]) -> None:
        if not self.updates:
            await super().confirm(update)
            return
        error = {"type": "invalid_request_error", "code": "bad", "message": "no", "event_id": update["event_id"]}
        await self.emit("error", error=error)


async def test_tools_that_the_server_refuses_leave_the_others_as_they_were() -> None:
    async with agentkit.open(Refusing(), tools=[named("a")]) as session:
        with pytest.raises(agentkit.ServerError, match="no"):
            await session.add_tool(named("b"))
        assert list(session.tools) == ["a"]


class Cart(Toolset):
    """A cart with things in it: as many tools as there are things, and one to add some."""

    def __init__(self, *, broken: bool = False) -> None:
        self.things: list[str] = []
        self.log: list[str] = []
        self.broken = broken

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.log.append("open")
        if self.broken:
            raise agentkit.ToolError("the shop is closed")
        try:
            yield
        finally:
            self.log.append("closed")

    async def put(self, thing: str) -> str:
        """Put a thing in."""
        self.things.append(thing)
        self.changed()
        return f"{len(self.things)} in it"

    def tools(self) -> Sequence[Tool[..., object]]:
        return [tool(self.put), *(named(f"drop_{thing}") for thing in self.things)]


async def test_a_toolset_is_opened_with_the_session_and_its_tools_share_its_state() -> None:
    cart = Cart()
    server = FakeServer()
    async with agentkit.open(server, tools=[named("a"), cart]) as session:
        assert cart.log == ["open"]
        assert names(server.updates[0]) == ["a", "put"]
        await server.calls("r1", c=("put", '{"thing": "pear"}'))
        with anyio.fail_after(5):
            assert (await server.next(ITEM))["item"]["output"] == "1 in it"
            await server.next(CREATE)
        kinds = [frame["type"] for frame in server.written][1:]
        assert sorted(kinds) == sorted([ITEM, "session.update", CREATE])
        assert kinds[-1] == CREATE
        assert names(server.updates[1]) == ["a", "put", "drop_pear"]
        assert list(session.tools) == ["a", "put", "drop_pear"]
    assert cart.log == ["open", "closed"]


async def test_one_that_is_open_already_is_shared_and_stays_open() -> None:
    one, two = FakeServer(), FakeServer()
    async with Cart() as cart:
        async with agentkit.open(one, tools=[cart]), agentkit.open(two, tools=[cart]):
            cart.things.append("fig")
            cart.changed()
            await anyio.wait_all_tasks_blocked()
            assert names(one.updates[-1]) == names(two.updates[-1]) == ["put", "drop_fig"]
        assert cart.log == ["open"]
        cart.changed()  # nobody uses it any more


async def test_one_that_another_session_has_opened_cannot_be_used_as_it_would_be_closed() -> None:
    cart = Cart()
    async with agentkit.open(FakeServer(), tools=[cart]):
        with pytest.raises(agentkit.ConfigError, match="toolset Cart is another session's"):
            async with agentkit.open(FakeServer(), tools=[cart]):
                pass
        assert cart.log == ["open"]
    async with agentkit.open(FakeServer(), tools=[cart]):
        assert cart.log == ["open", "closed", "open"]


async def test_one_that_cannot_be_opened_is_an_error() -> None:
    with pytest.raises(agentkit.ToolError, match="the shop is closed"):
        async with agentkit.open(FakeServer(), tools=[Cart(broken=True)]):
            pass


async def test_one_that_is_optional_is_left_out_with_a_notice() -> None:
    cart = Cart(broken=True)
    cart.optional = True
    server = FakeServer()
    async with agentkit.open(server, tools=[named("a"), cart]) as session:
        notice = await session.wait_for(Notice, timeout=5)
        assert (notice.code, notice.message) == ("toolset_missing", "Cart is left out: the shop is closed")
        assert names(server.updates[0]) == ["a"]


async def test_a_name_that_there_is_already_is_an_error_at_first_and_left_out_later() -> None:
    with pytest.raises(TypeError, match="toolset Cart gives put, which there is already"):
        async with agentkit.open(FakeServer(), tools=[named("put"), Cart()]):
            pass
    cart = Cart()
    server = FakeServer()
    async with agentkit.open(server, tools=[named("drop_fig"), cart]) as session:
        with session.subscribe(Notice) as notices:
            cart.things.append("fig")
            cart.changed()
            assert (await anext(notices)).code == "tool_hidden"
        assert list(session.tools) == ["drop_fig", "put"]


async def test_a_toolset_tells_a_person_by_the_session() -> None:
    cart = Cart()
    async with agentkit.open(FakeServer(), tools=[cart]) as session:
        with session.subscribe(Notice) as notices:
            cart.notice("low", "there are few pears left", hint="buy some")
            notice = await anext(notices)
            assert (notice.code, notice.hint) == ("low", "buy some")


async def test_a_call_that_has_begun_goes_on_though_its_tool_is_removed() -> None:
    go = anyio.Event()

    @tool
    async def slow() -> str:
        """Wait."""
        await go.wait()
        return "done"

    server = FakeServer()
    async with agentkit.open(server, tools=[slow]) as session, anyio.create_task_group():
        with session.subscribe(ToolFinished) as finished:
            await server.calls("r1", c=("slow", "{}"))
            await anyio.wait_all_tasks_blocked()
            await session.remove_tool("slow")
            go.set()
            assert (await anext(finished)).result == "done"
