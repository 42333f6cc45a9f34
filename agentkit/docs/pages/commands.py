"""``commands.md``: every command with its flags, from click."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Final

import click

from agentkit.cli.exits import Exit
from agentkit.cli.main import COMMANDS, cli
from agentkit.docs.pages.writing import attribute_docs, fenced, inline, page, table

VARIABLES: Final[Mapping[str, str]] = {
    "OPENAI_API_KEY": "The key of the provider `openai`, where its `api_key` does not say another.",
    "NO_COLOR": "Any text: no escapes at all, bold neither. `--color` wins over it.",
    "FORCE_COLOR": "Any text: colour in a pipe, too.",
    "AGENTKIT_ASCII": "Any text: no signs beyond ASCII.",
    "AGENTKIT_PLUGINS": "`none`, or the names of the plugins to use, with commas; also for your own programs.",
    "AGENTKIT_STATE_DIR": "Where conversations are kept; `agentkit sessions path` prints the folder.",
    "XDG_STATE_HOME": "The folder that `agentkit/sessions` is made in, where that is not said.",
    "XDG_CACHE_HOME": "Where the index of the installed plugins is kept.",
}
"""The variables that are no flags, each with what it does."""
_HEAD: Final = ("flag", "default", "meaning")


def commands_page() -> str:
    """Return the page."""
    context = click.Context(cli, info_name="agentkit")
    found = {name: command for name in COMMANDS if (command := cli.get_command(context, name)) is not None}
    parts = [
        inline(
            """
            `agentkit COMMAND -h` shows the same for one command. Where a command takes a CONFIG, it is `agent.yaml`
            in the working directory unless you name one, and `-` reads it from stdin. The answer is on stdout, and
            everything else on stderr.
            """
        ),
        table(("command", "what it does"), [(_link(name, each), COMMANDS[name]) for name, each in found.items()]),
    ]
    for name, command in found.items():
        parts += _command(command, click.Context(command, info_name=name, parent=context), level=2)
    parts += [
        "## Flags of every command",
        "They go before or after the command.",
        _flags(cli),
        "## Variables",
        inline(
            """
            `AGENTKIT_` and a flag's name set that flag, of any command: `AGENTKIT_LOG_LEVEL=debug`,
            `AGENTKIT_JSON=1`. What the command line says wins. Beside those:
            """
        ),
        table(("variable", "meaning"), [(f"`{name}`", text) for name, text in VARIABLES.items()]),
        "## Exit codes",
        table(("code", "meaning"), [(f"`{code.value}`", attribute_docs(Exit)[code.name]) for code in Exit]),
        "Plugins may add commands; `agentkit -h` lists them under a heading of their own.",
    ]
    return page("Commands", *parts)


def _link(name: str, command: click.Command) -> str:
    return f"[`{name}`](#{_anchor(_heading(command, click.Context(command, info_name=name)))})"


def _anchor(heading: str) -> str:
    kept = "".join(char for char in heading.lower() if char.isalnum() or char in " -_")
    return kept.replace(" ", "-")


def _heading(command: click.Command, context: click.Context) -> str:
    return f"agentkit {_path(context)}"


def _path(context: click.Context) -> str:
    names = []
    at: click.Context | None = context
    while at is not None and at.command is not cli:
        names.append(at.info_name or "")
        at = at.parent
    return " ".join(reversed(names))


def _command(command: click.Command, context: click.Context, *, level: int) -> Iterator[str]:
    yield f"{'#' * level} {_heading(command, context)}"
    pieces = " ".join(command.collect_usage_pieces(context))
    yield fenced(f"agentkit {_path(context)} {pieces}", "text")
    for paragraph in inspect.cleandoc(command.help or "").replace("\b\n", "").split("\n\n"):
        yield _escaped(inline(paragraph))
    yield _flags(command)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _command(inner, click.Context(inner, info_name=name, parent=context), level=level + 1)


def _flags(command: click.Command) -> str:
    options = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    return table(_HEAD, [(_names(each), _default(each), _escaped(_help(each))) for each in options])


def _names(option: click.Option) -> str:
    value = "" if option.is_flag or option.count else f" {_value(option)}"
    names = ", ".join(f"`{name}`" for name in option.opts[:-1])
    last = f"`{option.opts[-1]}{value}`"
    others = "".join(f", `{name}`" for name in option.secondary_opts)
    return f"{names}, {last}{others}" if names else f"{last}{others}"


def _value(option: click.Option) -> str:
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(str(choice) for choice in option.type.choices)
    return "N" if isinstance(option.type, click.types.IntParamType) else option.type.name.upper()


def _default(option: click.Option) -> str:
    value = option.default
    if option.is_flag or option.count or option.multiple or option.required or callable(value):
        return "required" if option.required else ""
    said = str(value) if isinstance(value, str | int | float) else ""
    return f"`{said}`" if said else ""


def _help(option: click.Option) -> str:
    text = inline(option.help or "")
    return f"{text} May be repeated." if option.multiple and "repeated" not in text else text


def _escaped(text: str) -> str:
    """Keep what looks like a tag from being one."""
    parts = text.split("`")
    return "`".join(part.replace("<", r"\<") if number % 2 == 0 else part for number, part in enumerate(parts))
