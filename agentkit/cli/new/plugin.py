"""``agentkit new plugin``: the beginning of a plugin's package, of any kind.

Rule: what is written is complete: it installs, its tests pass, and its agent.yaml runs without a key.
"""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from string import Template
from typing import Final

import click

from agentkit.cli.exits import Exit, Problem
from agentkit.cli.flags import Command, flags_of
from agentkit.cli.new.files import change_to, filled, make_room, tell, templates, walk, write
from agentkit.cli.output import Out

KINDS: Final = {
    "tool": "something that a model may call",
    "middleware": "a layer that events and tool calls pass",
    "preset": "a named partial configuration",
    "provider": "a way to a Realtime server",
    "responder": "what answers in the embedded server",
    "command": "a verb of agentkit",
}
"""What a new plugin can bring, each with what that is."""

_SUMMARIES: Final = {
    "tool": "A tool that tells the $words for a place.",
    "middleware": "A middleware that limits the tool calls of a session.",
    "preset": "A preset for short answers as text.",
    "provider": "A provider that reaches the $words server.",
    "responder": "A responder that repeats what the user said.",
    "command": "A command that names an agent and its tools.",
}
_NOTES: Final = {
    "pyproject.toml": "entry point, pytest, mypy and ruff, typed marker",
    "__init__.py": "what the plugin brings, and its hook",
    "py.typed": "says that it has types",
    "preset.yaml": "the preset itself",
    "command.py": "the command itself",
    "tools.py": "a tool to try it on",
    "agent.yaml": "uses it, and needs no key",
    "README.md": "install, use, options",
}
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_MAX_NAME: Final = 40
_PREFIXES: Final = ("agentkit-realtime-", "agentkit-")


@click.command("plugin", cls=Command, short_help="Write a plugin's package, with tests that pass.")
@click.argument("name", required=False)
@click.argument("folder", required=False, metavar="[DIR]")
@click.option("--kind", type=click.Choice(list(KINDS)), default="tool", show_default=True, help="What it brings.")
@click.option("--force", is_flag=True, help="Write into a folder that is not empty.")
@click.option("--yes", is_flag=True, help="Do not ask before files are replaced.")
@click.option("--list", "listing", is_flag=True, help="List the kinds.")
@click.pass_context
def plugin(
    context: click.Context, name: str | None, folder: str | None, kind: str, force: bool, yes: bool, listing: bool
) -> int:
    """Write a plugin's package, with tests that pass, into DIR (a folder of its NAME where none is given).

    NAME is that of the distribution: agentkit-tides is imported as agentkit_tides, and its plugin is tides.
    """
    flags = flags_of(context)
    out = Out()
    if listing:
        width = max(map(len, KINDS))
        for each, what in KINDS.items():
            out.line(f"{each:{width}}  {what}")
        return Exit.DONE
    if name is None:
        raise Problem("the plugin needs a name", hint="agentkit new plugin agentkit-tides --kind tool")
    names = names_of(name, kind)
    target = Path(folder or name)
    if not force and find_spec(names["module"]) is not None:
        message = f"there is a package {names['module']} already"
        raise Problem(message, hint="take another name, or write it with --force")
    texts = rendered(kind, names)
    make_room(target, texts, flags, force=force, yes=yes, verb="agentkit new plugin")
    write(target, texts)
    tell(
        target,
        {str(path): _note(path, text) for path, text in texts.items()},
        (
            f"{change_to(target)} && pip install -e '.[dev]'",
            "pytest",
            f"agentkit {names['plugin']}" if kind == "command" else "agentkit run agent.yaml",
        ),
        flags,
        out,
    )
    return Exit.DONE


def names_of(name: str, kind: str) -> dict[str, str]:
    """Return what the templates put in: the names that come of the distribution's, and more.

    Raises:
        Problem: It cannot be the name of such a plugin.
    """
    hint = "agentkit-tides is one: small letters and digits, with - between words"
    near = re.sub(r"[-_. ]+", "-", name).lower()
    if near != name and _NAME.fullmatch(near):
        hint = f"did you mean {near}?"
    if _NAME.fullmatch(name) is None or len(name) > _MAX_NAME:
        raise Problem(f"{name!r} cannot be the name of a plugin's package", hint=hint)
    plugin = name
    for prefix in _PREFIXES:
        plugin = plugin.removeprefix(prefix)
    if not plugin or not plugin[0].isalpha() or plugin in ("agentkit", "realtime"):
        raise Problem(f"{name!r} cannot be the name of a plugin's package: agentkit's own is called so", hint=hint)
    if plugin in _taken(kind):
        raise Problem(f"agentkit has a {kind} called {plugin} itself", hint=f"take another name, as my-{plugin}")
    words = plugin.replace("-", " ")
    import agentkit

    summary = Template(_SUMMARIES[kind]).substitute(words=words)
    return {
        "distribution": name,
        "plugin": plugin,
        "module": f"agentkit_{plugin.replace('-', '_')}",
        "words": words,
        "summary": summary,
        "version": ".".join(agentkit.__version__.split(".")[:2]),
    }


def _taken(kind: str) -> tuple[str, ...]:
    """Return the names that agentkit itself has, which a plugin's would not replace."""
    if kind == "command":
        from agentkit.cli.main import COMMANDS

        return tuple(COMMANDS)
    from agentkit.plugins import Plugins
    from agentkit.registry import SINGULAR

    plugins = Plugins.from_modules({})
    return next(plugins.names(plural) for plural, singular in SINGULAR.items() if singular == kind)


def rendered(kind: str, names: Mapping[str, str]) -> dict[PurePosixPath, str]:
    """Return the files of a new plugin by their path, in the order in which they are shown."""
    use = filled(templates("plugin", kind, "use.md.txt"), names).strip()
    texts: dict[PurePosixPath, str] = {}
    for template, path in [*walk(templates("plugin", "common")), *walk(templates("plugin", kind))]:
        if path.name == "use.md":
            continue
        shown = str(path).replace("MODULE", names["module"]).replace("NAME", names["plugin"].replace("-", "_"))
        texts[PurePosixPath(shown)] = filled(template, {**names, "use": use})
    return dict(sorted(texts.items(), key=lambda each: _place(each[0])))


def _place(path: PurePosixPath) -> tuple[int, str]:
    """Order a file as the tree shows it: the project, the module, its tests, the rest."""
    order = 0 if path.name == "pyproject.toml" else 1 if path.parts[0].startswith("agentkit_") else 2
    return (order if path.parts[0] != "README.md" else 4) + (path.name == "agent.yaml"), str(path)


def _note(path: PurePosixPath, text: str) -> str:
    """Say what a file is."""
    if path.parts[0] == "tests":
        tests = text.count("def test_")
        return f"{tests} test{'s' * (tests > 1)} that pass{'es' * (tests == 1)}"
    return _NOTES.get(path.name, "")
