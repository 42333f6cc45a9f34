"""The way in: a file, or a text, becomes a checked ``Config`` whose every value knows where it is written."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import structs

from agentkit.config.agents import check_agents, with_inherited_tools
from agentkit.config.combinations import check_combinations
from agentkit.config.diagnostics import ConfigErrors, Diagnostic, Problems
from agentkit.config.draft import Draft
from agentkit.config.loader import read_file
from agentkit.config.nodes import MapNode, Source
from agentkit.config.prompts import Prompts, Texts
from agentkit.config.schema import Config
from agentkit.config.sources import Folder, Gatherer
from agentkit.config.variables import Environment
from agentkit.config.walk import Walker
from agentkit.presets import PresetResolver, find_builtin


class Loaded(Draft, frozen=True, kw_only=True, eq=False):
    """A configuration that was read and checked, except for the names and options of plugins."""

    config: Config
    """What the file says, as values."""
    instructions: str | None
    """The agent's instructions, from a file where they stand in one, with the variables put in."""
    greeting: str | None
    """The agent's greeting, with the variables put in."""
    agents: Mapping[str, Texts]
    """The same of each agent under ``agents:``."""
    warnings: tuple[Diagnostic, ...]
    """What is not wrong and not good either."""


def load_config(
    source: Path | str,
    *,
    name: str | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    presets: PresetResolver = find_builtin,
    directory: Path | None = None,
) -> Loaded:
    """Read and check a configuration.

    Args:
        source: The path of a file, or YAML text.
        name: How messages call it; the path as given, or ``<text>``.
        overrides: ``key.path=value`` each, on top of everything.
        environ: The variables for ``${NAME}``; the process's own where it is None.
        presets: Finds a preset by its name.
        directory: Where relative paths of a text start; the working directory where it is None.

    Raises:
        ConfigErrors: It cannot be used; carries every problem.
    """
    loaded, _, diagnostics = draft(
        source, name=name, overrides=overrides, environ=environ, presets=presets, directory=directory
    )
    if loaded is None:
        raise ConfigErrors(diagnostics)
    return loaded


def diagnose(
    source: Path | str,
    *,
    name: str | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    presets: PresetResolver = find_builtin,
    directory: Path | None = None,
) -> tuple[Loaded | None, tuple[Diagnostic, ...]]:
    """Read and check a configuration as ``load_config`` does, and return every problem with it.

    The configuration is None where one of the problems is an error.
    """
    loaded, _, diagnostics = draft(
        source, name=name, overrides=overrides, environ=environ, presets=presets, directory=directory
    )
    return loaded, diagnostics


def draft(
    source: Path | str,
    *,
    name: str | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    presets: PresetResolver = find_builtin,
    directory: Path | None = None,
    restrict: Callable[[Sequence[str]], None] | None = None,
) -> tuple[Loaded | None, Draft | None, tuple[Diagnostic, ...]]:
    """Read and check a configuration, and return what could be read of it besides.

    Args:
        restrict: Told which plugins the configuration allows, before any preset is looked up, and once more where a
            preset says it.

    Returns:
        The configuration, or None where one of the problems is an error; what was read, or None where it is no map at
        all; and every problem.
    """
    problems = Problems()
    environment = Environment(os.environ if environ is None else environ, problems)
    path = source if isinstance(source, Path) else None
    shown = name or (str(path) if path else "<text>")
    top: Source | None
    if isinstance(source, Path):
        top = read_file(source, name=shown, at=None, problems=problems)
        folder = Folder(path=source.parent, shown=os.path.dirname(shown))
    else:
        folder = Folder(path=directory or Path.cwd(), shown="")
        top = Source(shown, source, folder.path)
    loaded: Loaded | None = None
    read: Draft | None = None
    if top is not None:
        gatherer = Gatherer(folder, environment=environment, presets=presets, problems=problems, restrict=restrict)
        gathered = gatherer.gather(top, path, overrides)
        if gathered.root is not None:
            loaded, read = _check(gathered.root, folder, environment, problems, partial=gathered.partial)
    diagnostics = problems.finish()
    if loaded is None or problems.errors:
        return None, read, diagnostics
    return structs.replace(loaded, warnings=diagnostics), read, diagnostics


def _check(
    root: MapNode, folder: Folder, environment: Environment, problems: Problems, *, partial: bool
) -> tuple[Loaded | None, Draft]:
    filled = environment.fill(root)
    if not isinstance(filled, MapNode):
        raise AssertionError("a map stays a map when its variables are put in")
    filled = with_inherited_tools(filled)
    config = Walker(problems, root=filled, partial=partial).struct(filled, Config, ())
    check_combinations(filled, problems)
    check_agents(filled, problems, partial=partial)
    further = filled.get("agents")
    names = further.entries if isinstance(further, MapNode) else ()
    own = Prompts(filled, folder, problems, partial=partial).texts()
    others = {name: Prompts(filled, folder, problems, agent=name, partial=partial).texts() for name in names}
    read = Draft(root=filled, folder=folder, problems=problems)
    if not isinstance(config, Config):
        return None, read
    loaded = Loaded(
        config=config,
        root=filled,
        instructions=own.instructions,
        greeting=own.greeting,
        agents=others,
        warnings=(),
        folder=folder,
        problems=problems,
    )
    return loaded, read
