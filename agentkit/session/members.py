"""The agents of a session: what each of them has, and the tools by which they hand over to one another."""

import math
import re
import unicodedata
import zlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from agentkit.events import FunctionTool, ServerMcpTool
from agentkit.tools import Tool, ToolContext, Toolset

Offered: TypeAlias = "Tool[..., object] | FunctionTool"
Given: TypeAlias = "Tool[..., object] | FunctionTool | ServerMcpTool | Toolset"

HAND_OVER: Final = "hand_over_to_"
"""How the names begin of the tools by which an agent hands over."""
MAX_NAME: Final = 64
"""Characters of a tool's name. Source: the protocol."""


class HandoffAgent(Struct, frozen=True, kw_only=True, eq=False):
    """One of the agents of a session, who hand the conversation over to one another."""

    name: str
    description: str = ""
    """When to hand over to it, for the model."""
    instructions: str | None = None
    """What the model is told about its task; None for what the session was opened with."""
    voice: str | None = None
    """Its voice, where the server can still change it; None for what the session was opened with."""
    tools: Sequence[Given] = ()
    """What it can do, besides the session's own tools."""
    greeting: str | None = None
    """What it says when the conversation has come to it from another."""
    handoff: Sequence[str] = ()
    """The names of those that it may hand over to; for each it gets a tool, which ``tool_name`` names."""


def tool_name(agent: str) -> str:
    """Return the name of the tool that hands over to an agent."""
    plain = unicodedata.normalize("NFKD", agent).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9-]+", "_", plain).strip("_")
    safe = safe or f"{zlib.crc32(agent.encode('utf-8', 'surrogatepass')):08x}"
    return f"{HAND_OVER}{safe}"[:MAX_NAME]


class Member:
    """One agent as a session has it."""

    def __init__(self, agent: HandoffAgent, common: Sequence[Given]) -> None:
        given = [*common, *agent.tools]
        self.agent = agent
        self.tools: dict[str, Offered] = {}
        """Its tools but those of toolsets, as they are whenever the conversation is with it."""
        self.toolsets = tuple(dict.fromkeys(each for each in given if isinstance(each, Toolset)))
        self.hosted = tuple(each for each in agent.tools if isinstance(each, ServerMcpTool))
        for each in given:
            if isinstance(each, Tool | FunctionTool):
                self.add(each)

    def add(self, tool: Offered) -> None:
        """Give it one more tool.

        Raises:
            TypeError: It has one of this name.
        """
        name = tool.name or ""
        if name in self.tools and self.tools[name] is not tool:
            raise TypeError(f"agent {self.agent.name}: two tools have the name {name}; rename one with renamed(...)")
        self.tools[name] = tool


Ask: TypeAlias = Callable[[Member, Member, ToolContext], Awaitable[object]]


def members_of(agents: Sequence[HandoffAgent], common: Sequence[Given], ask: Ask) -> dict[str, Member]:
    """Return the agents of a session by name, each with its tools and those that hand over.

    Args:
        agents: The agents.
        common: The tools that each of them has.
        ask: What a tool that hands over does: takes who has it, whom it hands over to, and its call.

    Raises:
        TypeError: One is no agent, or two tools of one have the same name, or two MCP servers the same label.
        ValueError: Two agents have one name, or one hands over to itself or to nobody.
    """
    members: dict[str, Member] = {}
    for agent in agents:
        if not isinstance(agent, HandoffAgent):
            raise TypeError(f"{agent!r} is no agent; make one with agentkit.HandoffAgent(name=...)")
        if agent.name in members:
            raise ValueError(f"two agents are called {agent.name!r}")
        members[agent.name] = Member(agent, common)
    labels = {tool.server_label for tool in common if isinstance(tool, ServerMcpTool)}
    for member in members.values():
        own = [tool.server_label for tool in member.hosted]
        for label in own:
            if label in labels or own.count(label) > 1:
                raise TypeError(f"agent {member.agent.name}: two MCP servers have the label {label}; rename one")
        for name in dict.fromkeys(member.agent.handoff):
            target = members.get(name)
            if target is None:
                known = ", ".join(members)
                raise ValueError(f"{member.agent.name} hands over to {name!r}, and no agent is called so: {known}")
            if target is member:
                raise ValueError(f"{name} hands over to itself")
            member.add(_tool(member, target, ask))
    return members


def _tool(member: Member, target: Member, ask: Ask) -> "Tool[..., object]":
    agent = target.agent

    # Nobody reads the summary: the next agent finds it in the conversation, as an argument of this call.
    async def hand_over(*, context: ToolContext, summary: str = "") -> object:
        return await ask(member, target, context)

    when = f": {agent.description}" if agent.description else "."
    told = "What the next agent has to know: what is wanted, and what is settled already."
    definition = {
        "name": tool_name(agent.name),
        "description": f"Hand the conversation over to {agent.name}{when}",
        "parameters": {"type": "object", "properties": {"summary": {"type": "string", "description": told}}},
    }
    spoken = " ".join(re.split(r"[\s_-]+", agent.name)).strip()
    examples = [f"{lead} {spoken}" for lead in ("talk to", "speak to", "hand me over to", "connect me with", "back to")]
    return Tool.from_definition(definition, hand_over, context="context", examples=examples, timeout=math.inf)
