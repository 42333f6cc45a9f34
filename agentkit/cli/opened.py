"""An agent's tools without a session: those that are known, and those of toolsets, which are open meanwhile."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from agentkit.errors import AgentkitError

if TYPE_CHECKING:
    from agentkit.config.build import Agent
    from agentkit.config.nodes import Place
    from agentkit.config.parts import AgentSource
    from agentkit.tools import Tool


class Listed(Struct, frozen=True, kw_only=True):
    """One tool, with where it comes from."""

    tool: "Tool[..., object]"
    source: str
    place: "Place"
    toolset: str | None = None
    """The toolset that gives it."""
    agents: tuple[str, ...] = ()
    """The agents that have it."""


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
    """Open the toolsets of an agent, and of those that it hands over to, and give every tool once.

    Given with it is every toolset that is not there.
    """
    owners: list[Agent | AgentSource] = [agent, *agent.agents]
    users: dict[int, list[str]] = {}
    for owner in owners:
        for source in (*owner.tools, *owner.toolsets):
            users.setdefault(id(source), []).append(owner.name)
    single = {id(source): source for owner in owners for source in owner.tools}
    sets = {id(source): source for owner in owners for source in owner.toolsets}
    listed = [
        Listed(tool=each.tool, source=each.source, place=each.place, agents=tuple(users[key]))
        for key, each in single.items()
    ]
    taken = {owner.name: {each.tool.name: each.place for each in owner.tools} for owner in owners}
    missing: list[Missing] = []
    async with AsyncExitStack() as stack:
        for key, source in sets.items():
            toolset = source.build(*(taken[name] for name in users[key]))
            stack.callback(toolset.attach(_User(teller)))
            try:
                await stack.enter_async_context(toolset)
            except AgentkitError as exc:
                lost = Missing(name=source.name, place=source.place, error=exc, optional=toolset.optional)
                missing.append(lost)
                continue
            listed += [
                Listed(
                    tool=tool, source=source.source, place=source.place, toolset=source.name, agents=tuple(users[key])
                )
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
