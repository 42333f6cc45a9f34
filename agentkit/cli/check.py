"""``agentkit check``: every mistake in configuration files at once."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentkit.cli.exits import Exit
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.output import Out

if TYPE_CHECKING:
    from agentkit.config import Diagnostic
    from agentkit.config.build import Agent


@click.command("check", cls=Command)
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.option(
    "--format", "form", type=click.Choice(["full", "concise", "json"]), default="full", help="How findings look."
)
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option("--stdin-name", default="<stdin>", metavar="NAME", help="How messages call what comes from stdin (-).")
@click.pass_context
def command(context: click.Context, paths: tuple[str, ...], form: str, strict: bool, stdin_name: str) -> int:
    """Find every mistake in configurations (agent.yaml where none is named); - reads one from stdin.

    Variables, presets and the names of plugins are resolved, so what is valid will start,
    where its files can be written and its server answers.
    """
    from agentkit.cli.source import find_config

    flags = flags_of(context)
    names = [find_config(path) for path in paths or (None,)]
    plugins = flags.load_plugins()
    from agentkit.cli.source import STDIN, read_stdin
    from agentkit.config.build import examine

    found: list[Diagnostic] = []
    fine: list[tuple[str, Agent]] = []
    for name in names:
        shown = stdin_name if name == STDIN else name
        agent, diagnostics = examine(shown, text=read_stdin() if name == STDIN else None, plugins=plugins)
        found += diagnostics
        if agent is not None:
            fine.append((shown, agent))
    out = Out()
    _print(found, fine, form, flags, out)
    errors = any(each.severity == "error" for each in found)
    if any(each.code == "AK204" and each.file in names and each.line is None for each in found):
        return Exit.USAGE
    return Exit.NO if errors or (strict and found) else Exit.DONE


def _print(found: "list[Diagnostic]", fine: "list[tuple[str, Agent]]", form: str, flags: Flags, out: Out) -> None:
    from agentkit.config import render_concise, render_full, render_json

    if form == "json":
        out.write(render_json(found))
        return
    if found:
        look = flags.look(out.stream)
        out.write(
            render_concise(found) if form == "concise" else render_full(found, color=look.color, width=look.width)
        )
    if flags.verbosity >= 0 and not (form == "concise" and found):
        for name, agent in fine:
            out.line(f"{Path(name).as_posix()}: {_summary(agent)}")


def _summary(agent: "Agent") -> str:
    counts = [
        (len(agent.tools), "tool", "s"),
        (len(agent.toolsets), "toolset", "s"),
        (len(agent.layers), "middleware", ""),
        (len(agent.guards), "guardrail", "s"),
    ]
    always = ("tool", "middleware")
    parts = [
        f"{count} {word}{plural if count != 1 else ''}" for count, word, plural in counts if count or word in always
    ]
    return f"valid: provider {agent.provider.name}, {', '.join(parts)}"
