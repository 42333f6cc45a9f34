"""``agentkit show``: what a configuration comes to, where each value comes from, and the layers in passing order."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click
from msgspec import Struct

from agentkit.cli.exits import Exit, Problem
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.output import Out
from agentkit.cli.terminal import Look, cells, clean, one_line

if TYPE_CHECKING:
    from agentkit.config.build import Agent
    from agentkit.config.origin import ConfigOf, Origin, Shown
    from agentkit.config.parts import LayerSource
    from agentkit.config.written import Line
    from agentkit.events import Event
    from agentkit.middleware import Chain, Middleware
    from agentkit.registry import Kind

GUARD: Final = "*"
"""Marks a guardrail in a row of layers."""
_FEW: Final = 6
"""So many hooks are named; of more there is a count for each family, and -v names them."""
_MAX_COLUMN: Final = 48
"""Where the comments begin at most; a longer line has its own behind it."""


@click.command("show", cls=Command)
@click.argument("config", required=False)
@click.option("--origin", is_flag=True, help="Every value with where it comes from, defaults included.")
@click.option("--only", metavar="KEY", help="Only this key: session.turn, tools[0].timeout.")
@click.option("--chain", is_flag=True, help="The layers in order, for each family of events.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="Override a key of the configuration.")
@click.option("--preset", metavar="P", help="Start from this preset instead of the file's.")
@click.option("--demo", is_flag=True, help="As with the embedded server, whatever the file says.")
@click.option("--trust", is_flag=True, help="Let a configuration from stdin name code with python:.")
@click.pass_context
def command(
    context: click.Context,
    config: str | None,
    origin: bool,
    only: str | None,
    chain: bool,
    as_json: bool,
    overrides: tuple[str, ...],
    preset: str | None,
    demo: bool,
    trust: bool,
) -> int:
    """Show CONFIG (agent.yaml where none is named) after presets, other files, variables and --set, secrets masked.

    What is printed is a configuration again. Defaults are in it where --origin or --only asks for them.
    """
    from agentkit.cli.source import load_agent

    if chain and (only is not None or origin):
        raise Problem("--chain shows the layers, so it does not go with --only or --origin", hint="leave one out")
    flags = flags_of(context)
    agent = load_agent(flags, config, overrides=overrides, preset=preset, demo=demo, trust=trust)
    out = Out()
    if chain:
        _show_chain(agent, flags.look(out.stream), out, as_json=as_json, verbose=flags.verbosity > 0)
        return Exit.DONE
    from agentkit.config.origin import effective, said, to_data

    shown = effective(agent.loaded, _options_of(agent, flags), environ=flags.environ(), flags=_flags(demo, preset))
    if only is not None:
        from agentkit.cli.picked import pick

        shown = pick(shown, only, defaults=origin)
    elif not origin:
        shown = said(shown)
    if as_json:
        document: dict[str, object] = {"v": 1, "config": to_data(shown)}
        if origin:
            document["origins"] = dict(_origins(shown, ()))
        out.json(document)
        return Exit.DONE
    from agentkit.config.written import to_yaml

    _print(to_yaml(shown), flags.look(out.stream), out, comments=origin)
    return Exit.DONE


def _flags(demo: bool, preset: str | None) -> dict[str, str]:
    """Return which flags stand for overrides, by their keys."""
    return {**({"provider": "--demo"} if demo else {}), **({"preset": "--preset"} if preset is not None else {})}


def _options_of(agent: "Agent", flags: Flags) -> "ConfigOf":
    """Return what looks up the options of plugins, among those that the configuration allows."""
    from agentkit.errors import PluginError
    from agentkit.registry import Factory

    plugins = flags.load_plugins()
    if agent.config.plugins is not None:
        plugins = plugins.restrict(agent.config.plugins)

    def config_of(kind: "Kind", name: str) -> "type[Struct] | None":
        try:
            entry: object = plugins.get(kind, name)
        except PluginError:
            return None
        return entry.config if isinstance(entry, Factory) else None

    return config_of


def _origins(shown: "Shown", path: tuple[str | int, ...]) -> "list[tuple[str, dict[str, object]]]":
    """Return where each single value comes from, by its key path."""
    from agentkit.config.nodes import path_text
    from agentkit.config.origin import Branch

    if isinstance(shown, Branch) and shown.items:
        return [pair for key, item in shown.items for pair in _origins(item, (*path, key))]
    return [(path_text(path), _described(shown.origin))] if path else []


def _described(origin: "Origin") -> dict[str, object]:
    place = origin.place
    return {
        "kind": origin.kind,
        "text": str(origin),
        "file": place.file if place is not None else None,
        "line": place.line if place is not None else None,
        "col": place.column if place is not None else None,
        "variables": [name.removesuffix(" unset") for name in origin.variables],
    }


def _print(lines: "list[Line]", look: Look, out: Out, *, comments: bool) -> None:
    widest = max((len(line.comment) for line in lines), default=0)
    column = _MAX_COLUMN if look.width is None else min(_MAX_COLUMN, look.width - widest - len("  # "))
    longest = max((len(line.text) for line in lines if line.comment and len(line.text) <= column), default=0)
    for line in lines:
        text = clean(line.text)
        if comments and line.comment:
            out.line(f"{text.ljust(longest)}  {look.paint(f'# {clean(line.comment)}', 'dim')}")
        else:
            out.line(text)
    if not lines:
        out.line("{}")


# The chain


class Way(Struct, frozen=True, kw_only=True):
    """One way through the layers."""

    name: str
    start: str
    end: str | None
    """None where what passes goes nowhere: it is only watched."""
    layers: "list[tuple[LayerSource, list[str]]]"
    """In passing order, with the hooks that take part."""


def _show_chain(agent: "Agent", look: Look, out: Out, *, as_json: bool, verbose: bool) -> None:
    """Print every way, and then every layer with the hooks that it has and where it stands.

    Args:
        verbose: Name every hook, however many there are.
    """
    ways = ways_of(agent)
    if as_json:
        out.json({"v": 1, "chain": [_way_described(way) for way in ways]})
        return
    sources = [*agent.layers, *agent.guards]
    labels = _labels(sources)
    width = max(len(way.name) for way in ways)
    for way in ways:
        stops = [way.start, *(labels[id(source)] for source, _ in way.layers)]
        for line in _row(way.name.ljust(width), [*stops, *([way.end] if way.end is not None else [])], look):
            out.line(line)
    for source, layer in _pairs(agent, agent.chain()):
        out.line()
        label = labels[id(source)]
        out.line(look.paint(label, "bold") + ("  a guardrail" if source.guard else ""))
        for line in (f"  {source.source}, {source.place}", *_hooks(layer.hooks(), verbose=verbose)):
            for part in look.wrapped(f"  {one_line(line)}", indent=2):
                out.line(look.paint(part, "dim") if line.startswith(" ") else part)


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


def _labels(sources: "Sequence[LayerSource]") -> dict[int, str]:
    """Name each layer; one of several of a name has the line where it stands."""
    counts = Counter(source.name for source in sources)
    labels = {}
    for number, source in enumerate(sources, 1):
        line = source.place.line if source.place.line is not None else f"#{number}"
        name = source.name if counts[source.name] == 1 else f"{source.name}:{line}"
        labels[id(source)] = name + (GUARD if source.guard else "")
    return labels


def _row(name: str, stops: Sequence[str], look: Look) -> list[str]:
    """Write the stops of one way behind its name, broken before an arrow where the terminal is too narrow."""
    margin = " " * (len(name) + 2)
    lines = [f"{look.paint(name, 'bold')}  {stops[0]}"]
    used = len(margin) + cells(stops[0])
    for stop in stops[1:]:
        piece = f" > {stop}"
        if look.width is not None and used + cells(piece) > look.width:
            lines.append(f"{margin}{piece[1:]}")
            used = len(margin) + cells(piece) - 1
        else:
            lines[-1] += piece
            used += cells(piece)
    return lines


def _hooks(names: Sequence[str], *, verbose: bool) -> list[str]:
    if verbose or len(names) <= _FEW:
        return [", ".join(names)]
    from agentkit.events import ClientEvent, ServerEvent, SessionEvent

    families = {"client": ClientEvent, "server": ServerEvent, "session": SessionEvent}
    counts = {word: sum(_belongs(name, family) for name in names) for word, family in families.items()}
    events = [f"{count} {word}" for word, count in counts.items() if count]
    others = [name for name in names if not any(_belongs(name, family) for family in families.values())]
    return [", ".join([f"events: {', '.join(events)}" if events else "", *others]).strip(", ")]


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


def _way_described(way: Way) -> dict[str, object]:
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
