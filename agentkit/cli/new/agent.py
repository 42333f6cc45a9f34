"""``agentkit new agent``: a folder with an agent that runs at once, a tool of its own, and tests.

Rule: what is written passes ``agentkit check --strict``, and its tests pass, whatever was chosen.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Final

import click
from msgspec import structs

from agentkit.cli.exits import Exit, Problem
from agentkit.cli.flags import Command, Flags, flags_of
from agentkit.cli.new.files import asks, change_to, filled, make_room, tell, templates, walk, write
from agentkit.cli.new.offers import Offers
from agentkit.cli.new.wizard import DEFAULT_TOOLS, PROVIDERS, Choices, ask
from agentkit.cli.output import Out

_NOTES: Final = {
    "agent.yaml": "what it is: edit this",
    "tools.py": "what it can do: a function of your own",
    "test_agent.py": "tests that pass",
    ".env.example": "where the key goes",
    ".gitignore": "keeps keys and logs out of git",
    "README.md": "how to run it",
    ".agentkit/schema.json": "lets editors complete agent.yaml",
}
_OWN_TOOL: Final = "opening_hours"
_DEFAULT_NAME: Final = "my-agent"
_MAX_NAME: Final = 200


@click.command("agent", cls=Command, short_help="Write an agent that runs at once, with a tool and tests.")
@click.argument("folder", required=False, metavar="[DIR]")
@click.option("--name", metavar="NAME", help="What it is called; as DIR, where nothing is said.")
@click.option("--provider", type=click.Choice(list(PROVIDERS)), help="Which Realtime server; local needs no key.")
@click.option("--text/--voice", "text", default=None, help="What it answers with; local answers as text.")
@click.option("--tool", "tools", multiple=True, metavar="NAME", help="An installed tool to take; may be repeated.")
@click.option("--preset", metavar="NAME", help="A preset to start from.")
@click.option("--yes", is_flag=True, help="Ask nothing: what no flag says is as the wizard offers it.")
@click.option("--force", is_flag=True, help="Write into a folder that is not empty.")
@click.option("--list", "listing", is_flag=True, help="List the providers, presets and tools that can be chosen.")
@click.pass_context
def agent(
    context: click.Context,
    folder: str | None,
    name: str | None,
    provider: str | None,
    text: bool | None,
    tools: tuple[str, ...],
    preset: str | None,
    yes: bool,
    force: bool,
    listing: bool,
) -> int:
    """Write an agent that runs at once, with a tool of its own and tests that pass, into DIR.

    In a terminal it asks for what no flag says; DIR is a folder of the agent's name where none is given.
    """
    flags = flags_of(context)
    out = Out()
    offers = Offers(flags.load_plugins())
    if listing:
        _list(offers, flags, out)
        return Exit.DONE
    offers.check(tools, preset)
    if preset is not None and provider is None and text is not None:
        raise Problem(f"the preset {preset} says itself what the agent answers with", hint="say --provider as well")
    given = Choices(
        name=_checked(name) if name is not None else None,
        provider=provider,
        voice=None if text is None else not text,
        tools=tools or None,
        preset=preset,
    )
    if folder is not None:
        make_room(Path(folder), (), flags, force=force, yes=True, verb="agentkit new agent")
    default = _name_of(Path(folder)) if folder is not None else _DEFAULT_NAME
    if not yes and asks(flags):

        def check_name(said: str) -> str:
            if folder is None:
                make_room(Path(_slug(said)), (), flags, force=force, yes=True, verb="agentkit new agent")
            return _checked(said)

        given = ask(given, offers, flags.look(), default_name=default, check_name=check_name)
    choices = given.completed(default, [each for each in DEFAULT_TOOLS if each in offers.tools])
    if preset is not None and choices.provider is None and offers.provider_of(preset) is None:
        choices = structs.replace(choices, provider="local")
    if _OWN_TOOL in (each.rpartition(":")[2] for each in choices.tools or ()):
        raise Problem(f"the agent has a tool of its own called {_OWN_TOOL}", hint="leave the plugin's out for now")
    if choices.voice and choices.provider == "local":
        raise Problem("local has no voice", hint="leave out --voice, or say --provider openai")
    target = Path(folder) if folder is not None else Path(_slug(choices.name or default))
    texts = _rendered(choices, offers)
    make_room(target, texts, flags, force=force, yes=yes, verb="agentkit new agent")
    write(target, texts)
    _write_schema(target)
    _tell(target, texts, choices, flags, out)
    return Exit.DONE


def _list(offers: Offers, flags: Flags, out: Out) -> None:
    look = flags.look(out.stream)
    for head, rows in (("providers", PROVIDERS), ("presets", offers.presets), ("tools", offers.tools)):
        if rows:
            out.line(head)
            width = max(map(len, rows))
            for name, what in rows.items():
                out.line(look.cut(f"  {name:{width}}  {what}".rstrip()))


def _name_of(folder: Path) -> str:
    """Return the name that a folder stands for."""
    name = folder.resolve().name
    return name if name and name.isprintable() and len(name) <= _MAX_NAME else _DEFAULT_NAME


def _checked(name: str) -> str:
    """Return a name for an agent.

    Raises:
        Problem: It cannot be one.
    """
    name = name.strip()
    if not name or not name.isprintable() or len(name) > _MAX_NAME:
        raise Problem(f"an agent's name is 1 to {_MAX_NAME} printable characters", hint="--name concierge")
    return name


def _slug(name: str) -> str:
    """Return a name as that of a folder."""
    return re.sub(r"[^\w]+", "-", name.lower()).strip("-_")[:60] or _DEFAULT_NAME


def _rendered(choices: Choices, offers: Offers) -> dict[PurePosixPath, str]:
    """Return the files by their paths, in the order in which they are shown."""
    from agentkit.config.describe import written

    tools = choices.tools or ()
    packages = sorted({offers.packages[name] for name in tools if offers.packages.get(name)})
    needs_key = (choices.provider or offers.provider_of(choices.preset)) != "local"
    inherits = "  - inherit\n" if choices.preset and offers.has_tools(choices.preset) else ""
    values = {
        "title": choices.name or "",
        "name": written(choices.name),
        "preset": f"preset: {written(choices.preset)}\n" if choices.preset else "",
        "provider": _provider(choices),
        "tools": inherits
        + "".join(f"  - use: {written(name):30} # {offers.tools[name]}".rstrip(" #") + "\n" for name in tools),
        "packages": "".join(f" {each}" for each in packages if each != "agentkit-realtime"),
        "demo": " --demo" if needs_key else "",
        "key": "With a key in `.env` (see `.env.example`): `agentkit run --env-file .env`. " if needs_key else "",
    }
    texts = {
        PurePosixPath(".gitignore" if path.name == "gitignore" else path): filled(template, values)
        for template, path in walk(templates("agent", "files"))
    }
    if needs_key:
        kind = "compatible" if choices.provider == "compatible" else "openai"
        texts[PurePosixPath(".env.example")] = filled(templates("agent", "env", f"{kind}.txt"), {})
    order = [path for path in map(PurePosixPath, _NOTES) if path in texts]
    return {path: texts[path] for path in order}


def _provider(choices: Choices) -> str:
    """Return the blocks ``provider`` and ``session``; nothing where the preset brings them."""
    if choices.provider is None:
        return ""
    parts = [choices.provider]
    if choices.voice and choices.provider != "local":
        parts.append(f"{choices.provider}-voice")
    values = {"output": "audio" if choices.voice else "text"}
    texts = [filled(templates("agent", "provider", f"{part}.yaml.txt"), values) for part in parts]
    return "".join(texts) + "\n"


def _write_schema(target: Path) -> None:
    """Write what the first line of agent.yaml names.

    Raises:
        Problem: It cannot be written.
    """
    from agentkit.cli.schema import all_plugins
    from agentkit.config.json_schema import SCHEMA_FILE, write_schema

    try:
        write_schema(target / SCHEMA_FILE, all_plugins())
    except OSError as exc:
        raise Problem(f"{target / SCHEMA_FILE} cannot be written: {exc.strerror}", code=Exit.NO) from exc


def _tell(target: Path, texts: dict[PurePosixPath, str], choices: Choices, flags: Flags, out: Out) -> None:
    paths = {*map(str, texts), ".agentkit/schema.json"}
    here = target.resolve() == Path.cwd()
    with_key = ".env.example" in paths
    tell(
        target,
        {path: note for path, note in _NOTES.items() if path in paths},
        (
            *(() if here else (change_to(target),)),
            "agentkit check",
            "agentkit run --demo" if with_key else "agentkit run",
            *(('agentkit run -p "when does the museum open?"' + " --demo" * with_key,) if here else ()),
        ),
        flags,
        out,
        after="--demo needs no key. With one: cp .env.example .env, fill it in, then agentkit run --env-file .env"
        if with_key
        else "",
    )
