"""What a configuration comes to: the parts of an agent, each with where it comes from and what makes it."""

from collections.abc import Callable

from msgspec import Struct

from agentkit.config.nodes import Place
from agentkit.config.schema import HostedMcp, ToolItem
from agentkit.middleware import Middleware
from agentkit.tools import Tool, Toolset

AnyTool = Tool[..., object]


class ToolSource(Struct, frozen=True, kw_only=True):
    """One tool of an agent, with where it comes from."""

    tool: AnyTool
    """One instance, for looking at; each session gets its own."""
    source: str
    """``basics:now (agentkit-realtime-basics 0.1.0)``, or the function of a file."""
    place: Place
    """Where the configuration names it."""
    build: Callable[[], AnyTool]
    """Makes one instance for one session."""


class ToolsetSource(Struct, frozen=True, kw_only=True):
    """Several tools of an agent that share a lifetime; which they are shows only when they are opened."""

    name: str
    """As the configuration names it."""
    source: str
    place: Place
    item: ToolItem
    """What the configuration says of its tools."""
    make: Callable[[], Toolset]
    """Makes one instance for one session, without what the configuration says."""

    def build(self, *taken: dict[str, Place]) -> Toolset:
        """Make one instance for one session.

        Args:
            taken: Of each agent that has it, the names of its other tools; its own are added when it is opened.
        """
        from agentkit.config.toolsets import ConfiguredToolset

        return ConfiguredToolset(self.make(), self.item, self.place, taken)


class AgentSource(Struct, frozen=True, kw_only=True):
    """One agent under ``agents:``, with what it takes over from ``agent:`` and ``tools:``."""

    name: str
    description: str
    """When to hand over to it; empty where its name says it."""
    instructions: str | None
    greeting: str | None
    voice: str | None
    """None for the session's own."""
    tools: tuple[ToolSource, ...]
    """Each tool that is known without opening anything, but those that hand over."""
    toolsets: tuple[ToolsetSource, ...]
    hosted: tuple[HostedMcp, ...]
    """MCP servers that the Realtime server calls by itself."""
    handoff: tuple[str, ...]
    """The names of those that it may hand over to."""
    place: Place
    """Where the configuration names it."""


class LayerSource(Struct, frozen=True, kw_only=True):
    """One middleware of an agent, with where it comes from."""

    name: str
    """As the configuration names it."""
    source: str
    place: Place
    make: Callable[[], Middleware]
    """Makes one instance for one session, which does not know where it is named."""
    guard: bool = False
    """Whether it stands under ``guardrails:``."""

    def build(self) -> Middleware:
        """Make one instance for one session."""
        layer = self.make()
        layer.where = str(self.place)
        return layer
