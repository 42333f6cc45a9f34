"""``agentkit show``: what a configuration comes to."""

from typing import TYPE_CHECKING, Final

import click
from msgspec import Struct

from agentkit.cli.flags import Command, flags_of
from agentkit.cli.output import Out

if TYPE_CHECKING:
    from agentkit.config.build import Agent
    from agentkit.config.parts import LayerSource
    from agentkit.events import Event
    from agentkit.middleware import Chain, Middleware

GUARD: Final = " [guardrail]"
"""Marks one in a row of layers."""


@click.command("show", cls=Command)
@click.argument("config", required=False)
@click.option("--chain", is_flag=True, help="The layers in order, for each family of events.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_context
def command(context: click.Context, config: str | None, chain: bool, as_json: bool) -> int:
    """Show the layers and guardrails of CONFIG (agent.yaml where none is named), in the order in which they are passed.

    That is all there is to show yet, with --chain or without.
    """
    from agentkit.cli.source import load_agent

    flags = flags_of(context)
    agent = load_agent(flags, config)
    ways = ways_of(agent)
    out = Out()
    if as_json:
        out.json({"v": 1, "chain": [_described(way) for way in ways]})
        return 0
    look = flags.look(out.stream)
    width = max(len(way.name) for way in ways)
    for way in ways:
        stops = [way.start, *(f"{source.name}{GUARD if source.guard else ''}" for source, _ in way.layers)]
        stops += [way.end] if way.end is not None else []
        for line in look.wrapped(f"{way.name:<{width}}  {' > '.join(stops)}", indent=width + 2):
            out.line(line)
    hooks = [(source, layer.hooks()) for source, layer in _pairs(agent, agent.chain())]
    if hooks:
        out.line()
    for source, names in hooks:
        kind = " (guardrail)" if source.guard else ""
        for line in look.wrapped(f"{source.name}{kind}: {', '.join(names)}"):
            out.line(line)
        for line in look.wrapped(f"  {source.source}, {source.place}", indent=2):
            out.line(look.paint(line, "dim"))
    return 0


class Way(Struct, frozen=True, kw_only=True):
    """One way through the layers."""

    name: str
    start: str
    end: str | None
    """None where what passes goes nowhere: it is only watched."""
    layers: "list[tuple[LayerSource, list[str]]]"
    """In passing order, with the hooks that take part."""


def ways_of(agent: "Agent") -> list[Way]:
    """Return every way through an agent's layers."""
    from agentkit.events import ClientEvent, ServerEvent, SessionEvent

    chain = agent.chain()
    pairs = _pairs(agent, chain)
    layers = [pair for pair in pairs if not pair[0].guard]
    guards = [pair for pair in pairs if pair[0].guard]
    back = [*layers[::-1], *guards]
    sources = {id(layer): source for source, layer in pairs}
    calls = [(sources[id(layer)], ["wrap_tool_call"]) for layer in chain.order_of_calls()]
    taps = [(source, ["on_wire"]) for source, layer in pairs if layer.overrides("on_wire")]
    return [
        Way(name="client events", start="application", end="wire", layers=_passing(pairs, ClientEvent)),
        Way(name="server events", start="wire", end="application", layers=_passing(back, ServerEvent)),
        Way(name="session events", start="session", end="application", layers=_passing(back, SessionEvent)),
        Way(name="tool calls", start="model", end="tool", layers=calls),
        Way(name="wire tap", start="each frame, both ways", end=None, layers=taps),
    ]


def _pairs(agent: "Agent", chain: "Chain") -> "list[tuple[LayerSource, Middleware]]":
    return list(zip([*agent.layers, *agent.guards], chain.layers, strict=True))


def _passing(
    layers: "list[tuple[LayerSource, Middleware]]", family: "type[Event]"
) -> "list[tuple[LayerSource, list[str]]]":
    found = [(source, [name for name in layer.hooks() if _belongs(name, family)]) for source, layer in layers]
    return [(source, names) for source, names in found if names]


def _belongs(name: str, family: "type[Event]") -> bool:
    """Tell whether a hook's name is an event class of a family, or of all families."""
    import agentkit.events

    found = getattr(agentkit.events, name, None)
    return isinstance(found, type) and (issubclass(found, family) or issubclass(family, found))


def _described(way: Way) -> dict[str, object]:
    layers = [
        {
            "name": source.name,
            "handles": names,
            "guardrail": source.guard,
            "source": source.source,
            "where": str(source.place),
        }
        for source, names in way.layers
    ]
    return {"way": way.name, "from": way.start, "to": way.end, "layers": layers}
