"""Toolset: one lifetime and one state for several tools."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from agentkit.tools import Tool, Toolset, tool

pytestmark = pytest.mark.anyio


class Counter(Toolset):
    def __init__(self) -> None:
        self.log: list[str] = []
        self.count = 0
        self.fails = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.log.append("open")
        if self.fails:
            raise OSError("no")
        try:
            yield
        finally:
            self.log.append("closed")

    def add(self, number: int) -> int:
        """Count on."""
        self.count += number
        return self.count

    def tools(self) -> Sequence[Tool[..., object]]:
        return [tool(self.add)]


class User:
    def __init__(self) -> None:
        self.told: list[object] = []

    def tools_changed(self, toolset: Toolset) -> None:
        self.told.append(toolset)

    def notice(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        self.told.append((code, message, level, hint))


async def test_what_its_tools_need_is_open_within_its_block() -> None:
    counter = Counter()
    states = [counter.is_open]
    async with counter as held:
        assert held is counter
        states.append(held.is_open)
        assert counter.log == ["open"]
    assert counter.log == ["open", "closed"]
    assert [*states, counter.is_open] == [False, True, False]


async def test_it_is_closed_where_its_block_raises_and_can_be_opened_again() -> None:
    counter = Counter()
    with pytest.raises(ZeroDivisionError):
        async with counter:
            raise ZeroDivisionError
    async with counter:
        pass
    assert counter.log == ["open", "closed"] * 2


async def test_one_that_is_open_cannot_be_opened_once_more() -> None:
    async with Counter() as counter:
        with pytest.raises(RuntimeError, match="toolset Counter is open already"):
            await counter.__aenter__()
        assert counter.is_open


async def test_one_that_could_not_be_opened_is_not_open() -> None:
    counter = Counter()
    counter.fails = True
    with pytest.raises(OSError, match="no"):
        await counter.__aenter__()
    assert not counter.is_open


async def test_who_uses_it_is_told_of_changes_and_notices_until_they_leave() -> None:
    counter, one, two = Counter(), User(), User()
    leave = counter.attach(one)
    counter.attach(two)
    counter.changed()
    counter.notice("code", "message", hint="do this")
    leave()
    counter.changed()
    assert one.told == [counter, ("code", "message", "warning", "do this")]
    assert two.told == [*one.told, counter]


async def test_one_that_needs_nothing_has_only_to_say_its_tools() -> None:
    class Plain(Toolset):
        pass

    async with Plain() as plain:
        assert plain.name == "Plain"
        with pytest.raises(NotImplementedError, match=r"Plain has to say its tools\(\)"):
            plain.tools()
