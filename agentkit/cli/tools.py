"""``agentkit tools``: what an agent can do, and where each tool comes from."""

from typing import TYPE_CHECKING

import click

from agentkit.cli.flags import Command, flags_of
from agentkit.cli.output import Out
from agentkit.cli.terminal import Look, clean, one_line

if TYPE_CHECKING:
    from agentkit.config.build import ToolSource


@click.command("tools", cls=Command)
@click.argument("config", required=False)
@click.option("--schema", is_flag=True, help="With the JSON Schema of the arguments.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, schemas included.")
@click.pass_context
def command(context: click.Context, config: str | None, schema: bool, as_json: bool) -> int:
    """List the tools of CONFIG (agent.yaml where none is named), with where they come from."""
    from agentkit.cli.source import load_agent

    flags = flags_of(context)
    agent = load_agent(flags, config)
    out = Out()
    if as_json:
        out.json({"v": 1, "tools": [_described(each) for each in agent.tools]})
        return 0
    look = flags.look(out.stream)
    if not agent.tools:
        out.line("this agent has no tools")
    width = max((len(each.tool.name) for each in agent.tools), default=0)
    for each in agent.tools:
        _print(each, width, look, out, schema=schema)
    return 0


def _print(each: "ToolSource", width: int, look: Look, out: Out, *, schema: bool) -> None:
    import msgspec

    margin = " " * (width + 2)
    room = None if look.width is None else look.width - len(margin)
    first = one_line(each.tool.description.partition("\n\n")[0]) or "(no description)"
    out.line(look.paint(f"{each.tool.name:<{width}}", "bold") + "  " + (look.cut(first, room) if room else first))
    details = f"{each.source}, {each.place}"
    if each.tool.timeout is not None:
        details += f", timeout {each.tool.timeout:g} s"
    out.line(margin + look.paint(look.cut(clean(details), room) if room else clean(details), "dim"))
    if schema:
        text = msgspec.json.format(msgspec.json.encode(each.tool.parameters), indent=2).decode()
        out.line("\n".join(margin + clean(line) for line in text.splitlines()))


def _described(each: "ToolSource") -> dict[str, object]:
    return {
        "name": each.tool.name,
        "description": each.tool.description,
        "source": each.source,
        "where": str(each.place),
        "timeout": each.tool.timeout,
        "examples": each.tool.examples,
        "parameters": each.tool.parameters,
    }
