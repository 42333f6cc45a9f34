"""What a configuration comes to: the parts of an agent, each with where it comes from and what makes it."""

from collections.abc import Callable

from msgspec import Struct

from agentkit.config.nodes import Place
from agentkit.config.schema import ToolItem
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

    def build(self, taken: dict[str, Place]) -> Toolset:
        """Make one instance for one session.

        Args:
            taken: The names of the session's other tools; its own are added when it is opened.
        """
        from agentkit.config.toolsets import ConfiguredToolset

        return ConfiguredToolset(self.make(), self.item, self.place, taken)


class LayerSource(Struct, frozen=True, kw_only=True):
    """One middleware of an agent, with where it comes from."""

    name: str
    """As the configuration names it."""
    source: str
    place: Place
    build: Callable[[], Middleware]
    """Makes one instance for one session."""
    guard: bool = False
    """Whether it stands under ``guardrails:``."""
