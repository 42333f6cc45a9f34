"""``agentkit check``: every mistake in configuration files at once."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agentkit.cli.exits import Exit, Problem, say
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.output import Out

if TYPE_CHECKING:
    from agentkit.cli.fixing import Fixed
    from agentkit.config import Diagnostic
    from agentkit.config.build import Agent


@click.command("check", cls=Command)
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["full", "concise", "json", "github"]),
    default="full",
    help="How findings look.",
)
@click.option("--fix", is_flag=True, help="Mend what has one way out; of stdin, the mended text goes to stdout.")
@click.option("--offline", is_flag=True, help="Run no code of yours: what `python:` names is only parsed.")
@click.option("--trust", is_flag=True, help="Let a configuration from stdin name code with `python:`.")
@click.option("--select", multiple=True, metavar="CODE", help="Show these only: AK101, or AK1 for all of its kind.")
@click.option("--ignore", multiple=True, metavar="CODE", help="Do not show these.")
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option("--stdin-name", default="<stdin>", metavar="NAME", help="How messages call what comes from stdin (-).")
@click.option("--explain", metavar="CODE", help="Say what a code means, and how to mend it; nothing is checked.")
@click.pass_context
def command(
    context: click.Context, /, paths: tuple[str, ...], explain: str | None, stdin_name: str, **said: Any
) -> int:
    """Find every mistake in configurations (agent.yaml where none is named); - reads one from stdin.

    Variables, presets and the names of plugins are resolved, so what is valid will start,
    where its files can be written and its server answers. Of a folder, every YAML file below it
    is checked that has `agent:`, `extends:` or `preset:` at its top. A file that others extend is
    checked with them.
    """
    from agentkit.cli.source import STDIN, find_config, read_stdin
    from agentkit.cli.targets import targets
    from agentkit.config.loader import is_pipe

    out = Out()
    if explain is not None:
        out.write(_explained(explain))
        return Exit.DONE
    flags = flags_of(context)
    chosen = _Chosen(said["select"], said["ignore"])
    names = targets(paths) if paths else [find_config(None)]
    piped = next((name for name in names if is_pipe(Path(name))), None)
    if said["fix"] and piped is not None:
        raise Problem(f"{piped} is a pipe, which cannot be mended", hint="agentkit check --fix - reads one from stdin")
    text = read_stdin() if STDIN in names else None
    check = _Check(names, flags, chosen, stdin_name=stdin_name, offline=said["offline"], trust=said["trust"])
    fixed: Fixed | None = None
    if said["fix"]:
        from agentkit.cli.fixing import fix_all

        fixed = fix_all(check.run, flags, stdin=None if text is None else (stdin_name, text))
        text = fixed.text
    found = check.run(text)
    if fixed is not None and text is not None:
        out.write(text)
        out = Out(sys.stderr)
    _print(found, check, said["form"], flags, out, fixed)
    from agentkit.cli.schema import tell_stale

    tell_stale(flags, names)
    if any(each.file in check.shown and each.code == "AK009" for each in found):
        return Exit.USAGE
    errors = any(each.severity == "error" for each in found)
    return Exit.NO if errors or (said["strict"] and found) else Exit.DONE


class _Chosen:
    """Which codes are shown."""

    def __init__(self, select: Sequence[str], ignore: Sequence[str]) -> None:
        self._select = tuple(_prefix(code) for each in select for code in each.split(",") if code.strip())
        self._ignore = tuple(_prefix(code) for each in ignore for code in each.split(",") if code.strip())

    def __contains__(self, code: str) -> bool:
        return (not self._select or code.startswith(self._select)) and not code.startswith(self._ignore)


class _Check:
    """Checks the same configurations as often as is asked for."""

    def __init__(
        self, names: Sequence[str], flags: Flags, chosen: _Chosen, *, stdin_name: str, offline: bool, trust: bool
    ) -> None:
        from agentkit.cli.source import STDIN

        self.shown = [stdin_name if name == STDIN else name for name in names]
        self.fine: list[tuple[str, Agent]] = []
        """The configurations that are valid, and what they come to."""
        self.offline = offline
        self._names = [(shown, name == STDIN) for name, shown in zip(names, self.shown, strict=True)]
        self._chosen = chosen
        self._trust = trust
        self._plugins = flags.load_plugins()
        self._environ = flags.environ()

    def run(self, text: str | None) -> "list[Diagnostic]":
        """Return what is wrong, each once.

        Args:
            text: What stdin gave.
        """
        from agentkit.config.build import examine
        from agentkit.config.names import in_order

        self.fine = []
        found: dict[tuple[object, ...], Diagnostic] = {}
        for name, from_stdin in self._names:
            agent, diagnostics = examine(
                name,
                text=text if from_stdin else None,
                plugins=self._plugins,
                trust=self._trust or not from_stdin,
                offline=self.offline,
            )
            unset = () if agent is None else agent.unset_variables(self._environ)
            for each in (*diagnostics, *unset):
                if each.code in self._chosen:
                    found.setdefault((each.code, each.place, each.message), each)
            if agent is not None:
                self.fine.append((name, agent))
        return list(in_order(found.values()))


def _print(found: "list[Diagnostic]", check: _Check, form: str, flags: Flags, out: Out, fixed: "Fixed | None") -> None:
    from agentkit.config import render_concise, render_full, render_github, render_json

    if form == "json":
        more: dict[str, object] = {} if fixed is None else {"fixed": fixed.count}
        if check.offline:
            more["unchecked"] = [
                {"file": at.file, "line": at.line, "col": at.column, "python": text}
                for _, agent in check.fine
                for text, at in _not_imported(agent)
            ]
        out.write(render_json(found, more))
        return
    if form == "github":
        out.write(render_github(found))
        out = Out(sys.stderr)
    if fixed is not None and flags.verbosity >= 0:
        out.line(f"{fixed}.")
    if found and form != "github":
        look = flags.look(out.stream)
        out.write(
            render_concise(found) if form == "concise" else render_full(found, color=look.color, width=look.width)
        )
    if flags.verbosity >= 0 and not (form == "concise" and found):
        for name, agent in check.fine:
            out.line(f"{Path(name).as_posix()}: {_summary(agent, offline=check.offline)}")
            if check.offline:
                for text, at in _not_imported(agent):
                    say(sys.stderr, flags.look(), f"{at}: {text} was only parsed, not imported", level="note")


def _not_imported(agent: "Agent") -> "list[tuple[str, Any]]":
    from agentkit.config.looking import python_items

    return [(node.text, node.place) for _, node in python_items(agent.loaded.root)]


def _summary(agent: "Agent", *, offline: bool) -> str:
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
    parsed = len(_not_imported(agent)) if offline else 0
    parts += [f"{parsed} python tool{'s' * (parsed != 1)} not imported"] if parsed else []
    return f"valid: provider {agent.provider.name}, {', '.join(parts)}"


def _prefix(code: str) -> str:
    """Return the beginning of the codes that are meant: `AK1`, `AK1xx`, `1xx`, `101`.

    Raises:
        Problem: There are none.
    """
    from agentkit.config import CODES

    prefix = "AK" + code.strip().upper().removeprefix("AK").rstrip("X")
    if prefix == "AK" or not any(known.startswith(prefix) for known in CODES):
        raise Problem(f"there is no code {code.strip()}", hint="write AK101, or AK1 for all that begin so")
    return prefix


def _explained(code: str) -> str:
    from agentkit.config import CODES
    from agentkit.config.explanations import EXPLANATIONS

    name = code.strip().upper()
    name = name if name.startswith("AK") else f"AK{name}"
    if name not in CODES:
        raise Problem(f"there is no code {code}", hint=f"the codes are {', '.join(CODES)}")
    said = EXPLANATIONS[name]
    example = "".join(f"    {line}\n" for line in said.example.splitlines())
    shown = f"\nFor example:\n\n{example}" if example else ""
    return f"{name}: {CODES[name]}\n\n{said.meaning}\n{shown}\n{said.mend}\n"
