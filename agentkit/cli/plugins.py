"""``agentkit plugins``: what is installed, what each plugin brings, and why one is missing."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import click
from msgspec import Struct

from agentkit.cli.completing import Words
from agentkit.cli.exits import Exit, Problem
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.output import Out
from agentkit.cli.terminal import Look, one_line

if TYPE_CHECKING:
    from agentkit.config.describe import Option
    from agentkit.plugins import PluginInfo, Plugins
    from agentkit.registry import Kind


_MEASURE: Final = """
import sys
import agentkit.config.build
from agentkit.plugins import load_plugins
print(load_plugins([sys.argv[1]]).load(sys.argv[1]).import_ms)
"""
"""The program that measures one import: what a configuration imports anyway is not the plugin's."""
_MEASURE_SECONDS: Final = 60


@click.command("plugins", cls=Command, log_default="error")
@click.argument("name", required=False, type=Words("plugins"))
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("--time", "timed", is_flag=True, help="Import each in a process of its own; the slowest comes first.")
@click.option("--options", is_flag=True, help="The options of NAME as Markdown tables, for its README.")
@click.option(
    "--check",
    "checked",
    metavar="NAME",
    type=Words("plugins"),
    help="Find what its author should mend; exit code 1 if anything.",
)
@click.pass_context
def command(
    context: click.Context, name: str | None, as_json: bool, timed: bool, options: bool, checked: str | None
) -> int:
    """List the installed plugins and what they bring; those that failed with the reason.

    With NAME: what that plugin brings, in full, with the options (with:) of each.
    """
    flags = flags_of(context)
    plugins = flags.load_plugins()
    out = Out()
    if checked is not None:
        if name is not None or options:
            raise Problem("--check names its plugin itself", hint=f"agentkit plugins --check {checked}")
        return _check(plugins, checked, flags, out, as_json=as_json)
    if options and name is None:
        raise Problem("--options needs the name of a plugin", hint="agentkit plugins NAME --options")
    if name is not None:
        plugin = _Plugin.load(plugins, name)
        if options:
            out.write(plugin.tables())
        elif as_json:
            out.json({"v": 1, "plugin": plugin.info, "brings": plugin.brings})
        else:
            _print_whole(plugin, flags.look(out.stream), out)
        return Exit.DONE
    rows = _measured(plugins.report()) if timed else plugins.report()
    if as_json:
        out.json({"v": 1, "plugins": rows})
        return Exit.DONE
    look = flags.look(out.stream)
    for row in rows:
        _print(row, look, out, timed=timed)
    return Exit.DONE


def _measured(rows: "Sequence[PluginInfo]") -> "Sequence[PluginInfo]":
    """Import each plugin in a process of its own, after what agentkit itself imports; the slowest first."""
    import subprocess

    from msgspec.structs import replace

    measured = []
    for row in rows:
        took = None
        if row.state in ("loaded", "not imported"):
            words = [sys.executable, "-W", "ignore", "-c", _MEASURE, row.name]
            try:
                done = subprocess.run(
                    words,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=_MEASURE_SECONDS,
                )
                took = float(done.stdout.split()[-1])
            except (subprocess.TimeoutExpired, OSError, ValueError, IndexError):
                took = None
        measured.append(replace(row, import_ms=took))
    return sorted(measured, key=lambda row: -(row.import_ms or 0))


class Brought(Struct, frozen=True, kw_only=True):
    """One thing that a plugin brings."""

    name: str
    description: str
    options: "tuple[Option, ...]" = ()
    """The keys of its ``with:``."""


class _Plugin:
    """One plugin, imported and described."""

    def __init__(self, info: "PluginInfo", brings: "Mapping[Kind, list[Brought]]", module: object) -> None:
        self.info = info
        self.brings = brings
        self._module = module

    @classmethod
    def load(cls, plugins: "Plugins", name: str) -> "_Plugin":
        """Import it; raises as ``Plugins.load`` does."""
        from agentkit.config.describe import options_of
        from agentkit.registry import Factory

        loaded = plugins.load(name)
        info = next(row for row in plugins.report() if row.name == name)
        brings: dict[Kind, list[Brought]] = {}
        for kind, items in loaded.values.items():
            for each, item in sorted(items.items()):
                config = item.config if isinstance(item, Factory) else None
                brings.setdefault(kind, []).append(
                    Brought(
                        name=each,
                        description=_description(item),
                        options=() if config is None else options_of(config),
                    )
                )
        return cls(info, brings, loaded.plugin)

    def tables(self) -> str:
        """Return the tables of all its options, between the marks that a README keeps them in."""
        from agentkit.config.describe import options_tables

        return options_tables(self._module)


def _description(item: object) -> str:
    said = getattr(item, "description", None) or getattr(item, "help", None) or ""
    return one_line(str(said).partition("\n\n")[0])


def _print(row: "PluginInfo", look: Look, out: Out, *, timed: bool) -> None:
    head = look.paint(row.name, "bold")
    source = f"{row.distribution} {row.version}".strip()
    parts = [head, source] if source else [head]
    if row.state in ("failed", "disabled"):
        parts.append(look.paint(row.state, "red" if row.state == "failed" else "yellow"))
    if timed and row.state in ("loaded", "not imported"):
        parts.append("not measured" if row.import_ms is None else f"{row.import_ms:.0f} ms")
    out.line("  ".join(parts))
    if row.origin:
        _line(f"  from: {row.origin}", look, out, tone="dim")
    for kind, names in row.registers.items():
        _line(f"  {kind}: {', '.join(names)}", look, out)
    if row.problem:
        out.line(f"  {one_line(row.problem)}")
    if row.hint:
        out.line(look.paint(f"  {one_line(row.hint)}", "dim"))
    for notice in row.notices:
        _line(f"  warning: {notice}", look, out, tone="yellow")


def _print_whole(plugin: _Plugin, look: Look, out: Out) -> None:
    from agentkit.config.describe import default_in_words

    info = plugin.info
    _print(_without_names(info), look, out, timed=True)
    for kind, items in plugin.brings.items():
        out.line(kind)
        for item in items:
            name = look.paint(item.name, "bold")
            out.line(f"  {name}  {item.description}" if item.description else f"  {name}")
            for option in item.options:
                default = default_in_words(option)
                said = (
                    f"{option.type}; {default if option.required else f'default {default}'}" if default else option.type
                )
                _line(f"    {option.name}: {said}", look, out)
                if option.description:
                    _line(f"      {one_line(option.description)}", look, out, tone="dim")


def _without_names(info: "PluginInfo") -> "PluginInfo":
    from msgspec.structs import replace

    return replace(info, registers={})


def _line(text: str, look: Look, out: Out, *, tone: str | None = None) -> None:
    line = one_line(text)
    margin = " " * (len(text) - len(text.lstrip(" ")))
    for part in look.wrapped(margin + line, indent=len(margin)):
        out.line(look.paint(part, tone) if tone else part)


# For authors


def _check(plugins: "Plugins", name: str, flags: Flags, out: Out, *, as_json: bool) -> int:
    findings = list(_findings(plugins, name))
    if as_json:
        told = [{"where": where, "message": message} for where, message in findings]
        out.json({"v": 1, "plugin": name, "findings": told})
    for where, message in () if as_json else findings:
        _line(f"{where}: {message}", flags.look(out.stream), out)
    if not findings and not as_json and flags.verbosity >= 0:
        out.line(f"{name}: nothing to mend")
    return Exit.NO if findings else Exit.DONE


def _findings(plugins: "Plugins", name: str) -> Iterator[tuple[str, str]]:
    """Find what is wrong with a plugin, each with what it is about.

    Raises:
        UnknownNameError: There is none of this name, or it is switched off.
    """
    from agentkit.cli.main import COMMANDS, STAND_INS
    from agentkit.config.describe import unclear_options
    from agentkit.errors import PluginError, UnknownNameError
    from agentkit.hookspecs import lookalikes
    from agentkit.plugins import SLOW_MS
    from agentkit.registry import SINGULAR, Factory
    from agentkit.testing import check_plugin

    try:
        loaded = plugins.load(name)
    except UnknownNameError:
        raise
    except PluginError as error:
        yield name, str(error)
        return
    if loaded.import_ms >= SLOW_MS:
        hint = "import what is large in `build` or in the tool"
        yield name, f"its import takes {loaded.import_ms:.0f} ms, which every command that needs it waits for; {hint}"
    for function, hook in lookalikes(loaded.plugin):
        yield f"function {function}", f"it is never called; for the hook {hook}, name it so and mark it with @hookimpl"
    for verb in loaded.values["commands"]:
        if verb in COMMANDS and verb not in STAND_INS:
            yield f"command {verb}", "agentkit has one of this name, which wins; give it another"
    for kind, items in loaded.values.items():
        for each, item in items.items():
            for key in unclear_options(item.config) if isinstance(item, Factory) and item.config else ():
                message = "it may be null and is required: give it the default None, or take None away"
                yield f"{SINGULAR[kind]} {each}, option {key}", message
    for finding in check_plugin(loaded.plugin):
        yield finding.where, finding.message
