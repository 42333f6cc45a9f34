"""An agent's tools without a session: those that are known, and those of toolsets, which are open meanwhile."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from agentkit.errors import AgentkitError

if TYPE_CHECKING:
    from agentkit.config.build import Agent
    from agentkit.config.nodes import Place
    from agentkit.tools import Tool


class Listed(Struct, frozen=True, kw_only=True):
    """One tool, with where it comes from."""

    tool: "Tool[..., object]"
    source: str
    place: "Place"
    toolset: str | None = None
    """The toolset that gives it."""


class Missing(Struct, frozen=True, kw_only=True):
    """A toolset that cannot be opened."""

    name: str
    place: "Place"
    error: AgentkitError
    optional: bool


class Teller(Protocol):
    """Takes what toolsets tell."""

    def notice(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        """Tell a person something in one line."""


@asynccontextmanager
async def opened(agent: "Agent", teller: Teller) -> AsyncIterator[tuple[list[Listed], list[Missing]]]:
    """Open an agent's toolsets, and give every tool, and every toolset that is not there."""
    listed = [Listed(tool=each.tool, source=each.source, place=each.place) for each in agent.tools]
    missing: list[Missing] = []
    async with AsyncExitStack() as stack:
        for source, toolset in zip(agent.toolsets, agent.make_toolsets(), strict=True):
            stack.callback(toolset.attach(_User(teller)))
            try:
                await stack.enter_async_context(toolset)
            except AgentkitError as exc:
                lost = Missing(name=source.name, place=source.place, error=exc, optional=toolset.optional)
                missing.append(lost)
                continue
            listed += [
                Listed(tool=tool, source=source.source, place=source.place, toolset=source.name)
                for tool in toolset.tools()
            ]
        yield listed, missing


class _User:
    """Whoever looks at a toolset: its notices are told, its changes come too late."""

    def __init__(self, teller: Teller) -> None:
        self._teller = teller

    def tools_changed(self, toolset: object) -> None:
        """Nothing is offered to anybody."""

    def notice(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        """Tell a person something in one line."""
        self._teller.notice(code, message, level=level, hint=hint)
