"""What tests of handing over share: tools by name, toolsets, and what the wire carries."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from agentkit.testing import FakeServer
from agentkit.tools import Tool, Toolset, tool

ITEM = "conversation.item.create"


def named(name: str, result: str = "", **policy: Any) -> Tool[..., object]:
    async def body() -> str:
        """Say a name."""
        return result or name

    return tool(body, name=name, **policy)


class Box(Toolset):
    """As many tools as things."""

    def __init__(self, *things: str) -> None:
        self.things = list(things)
        self.opened = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.opened += 1
        yield

    def tools(self) -> Sequence[Tool[..., object]]:
        return [named(thing) for thing in self.things]


async def output(server: FakeServer) -> str:
    with anyio.fail_after(5):
        return str((await server.next(ITEM))["item"]["output"])
