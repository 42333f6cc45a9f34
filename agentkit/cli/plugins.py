"""``agentkit plugins``: what is installed, what each plugin brings, and why one is missing."""

from typing import TYPE_CHECKING

import click

from agentkit.cli.flags import Command, flags_of
from agentkit.cli.output import Out
from agentkit.cli.terminal import Look, one_line

if TYPE_CHECKING:
    from agentkit.plugins import PluginInfo


@click.command("plugins", cls=Command, log_default="error")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--time", "timed", is_flag=True, help="With how long each import took, slowest first.")
@click.pass_context
def command(context: click.Context, as_json: bool, timed: bool) -> int:
    """List the installed plugins and what they bring; those that failed with the reason."""
    flags = flags_of(context)
    rows = list(flags.load_plugins().report())
    out = Out()
    if timed:
        rows.sort(key=lambda row: -(row.import_ms or 0))
    if as_json:
        out.json({"v": 1, "plugins": rows})
        return 0
    look = flags.look(out.stream)
    for row in rows:
        _print(row, look, out, timed=timed)
    return 0


def _print(row: "PluginInfo", look: Look, out: Out, *, timed: bool) -> None:
    head = look.paint(row.name, "bold")
    source = f"{row.distribution} {row.version}".strip()
    parts = [head, source] if source else [head]
    if row.state in ("failed", "disabled"):
        parts.append(look.paint(row.state, "red" if row.state == "failed" else "yellow"))
    if timed and row.import_ms is not None:
        parts.append(f"{row.import_ms:.0f} ms")
    out.line("  ".join(parts))
    for kind, names in row.registers.items():
        line = f"  {kind}: {', '.join(names)}"
        for part in look.wrapped(line, indent=len(line) - len(line.lstrip(" "))):
            out.line(part)
    if row.problem:
        out.line(f"  {one_line(row.problem)}")
    if row.hint:
        out.line(look.paint(f"  {one_line(row.hint)}", "dim"))
