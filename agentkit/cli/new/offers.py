"""What the installed plugins offer a new agent: presets, and the tools that work without options."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from agentkit.cli.exits import Problem
from agentkit.cli.terminal import one_line

if TYPE_CHECKING:
    from agentkit.config.build import Agent
    from agentkit.plugins import Plugins


class Offers:
    """The presets and tools, each with what it is in a line."""

    def __init__(self, plugins: "Plugins") -> None:
        self._plugins = plugins
        self.presets: Mapping[str, str] = self._presets()
        """Presets by name."""
        self.packages: dict[str, str] = {}
        """The distribution that brings each tool; empty where none is known."""
        self.tools: Mapping[str, str] = self._tools()
        """Tools by the name for ``use:``; without those that must be told something first."""

    def _presets(self) -> dict[str, str]:
        from agentkit.errors import PluginError

        found: dict[str, str] = {}
        for name in self._plugins.names("presets"):
            try:
                found[name] = one_line(self._plugins.get("presets", name).description)
            except PluginError:
                continue  # `agentkit plugins` says why
        return found

    def _tools(self) -> dict[str, str]:
        from agentkit.config.build import examine
        from agentkit.errors import PluginError

        found: dict[str, str] = {}
        for name in self._plugins.names("tools"):
            try:
                item = self._plugins.get("tools", name)
                self.packages[name] = self._plugins.owner("tools", name).distribution
            except PluginError:
                continue  # `agentkit plugins` says why
            found[name] = one_line((item.description or "").partition("\n\n")[0])
        names = list(found)
        listed = "".join(f"  - use: {name}\n" for name in names)
        text = f"agent: {{}}\nprovider: {{use: local}}\ntools:\n{listed}" if names else ""
        for each in examine("agent.yaml", text=text, plugins=self._plugins)[1]:
            number = re.match(r"tools\[(\d+)\]", each.key or "")
            if each.severity == "error" and number:
                found.pop(names[int(number[1])], None)
        return found

    def check(self, tools: Iterable[str], preset: str | None) -> None:
        """Check that what was asked for by name is there.

        Raises:
            Problem: It is not.
        """
        for name in tools:
            if name not in self.tools:
                raise Problem(self._missing(name), hint=_near(name, self.tools))
        if preset is not None and preset not in self.presets:
            raise Problem(f"no preset is called {preset}", hint=_near(preset, self.presets))

    def _missing(self, name: str) -> str:
        if name in self._plugins.names("tools"):
            return f"the tool {name} must be told something first: write it into agent.yaml afterwards"
        return f"no installed plugin has a tool called {name}"

    def provider_of(self, preset: str | None) -> str | None:
        """Return which provider a preset brings; None where it leaves that to the file."""
        agent = self._agent_of(preset, "agent: {}\n")
        return agent.provider.name if agent is not None else None

    def has_tools(self, preset: str) -> bool:
        """Tell whether a preset brings tools, which a list of the file's own would replace."""
        agent = self._agent_of(preset, "agent: {}\nprovider: {use: local}\n")
        return agent is not None and bool(agent.tools or agent.toolsets)

    def _agent_of(self, preset: str | None, text: str) -> "Agent | None":
        if preset is None:
            return None
        from agentkit.config.build import examine

        return examine("agent.yaml", text=text, preset=preset, plugins=self._plugins)[0]


def _near(name: str, known: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.6)
    return f"did you mean {near[0]}?" if near else "agentkit new agent --list"
