"""The way in: a file, or a text, becomes a checked ``Config`` whose every value knows where it is written."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct, structs

from agentkit.config.combinations import check_combinations
from agentkit.config.diagnostics import ConfigErrors, Diagnostic, Problems, Severity
from agentkit.config.loader import read_file
from agentkit.config.nodes import Block, KeyPath, ListNode, MapNode, Node, Place, Source
from agentkit.config.prompts import Prompts
from agentkit.config.schema import Config
from agentkit.config.sources import Folder, Gatherer
from agentkit.config.variables import Environment
from agentkit.config.walk import Walker
from agentkit.errors import DuplicateNameError, PluginError, UnknownNameError
from agentkit.presets import PresetResolver, find_builtin
from agentkit.registry import nearest

T = TypeVar("T", bound=Struct)

_PLUGIN_CODES: Final[tuple[tuple[type[PluginError], str], ...]] = (
    (UnknownNameError, "AK201"),
    (DuplicateNameError, "AK202"),
    (PluginError, "AK203"),
)


class Loaded(Struct, frozen=True, kw_only=True, eq=False):
    """A configuration that was read and checked, except for the names and options of plugins."""

    config: Config
    """What the file says, as values."""
    root: MapNode
    """The merged file itself; every node has its place."""
    instructions: str | None
    """The agent's instructions, from a file where they stand in one, with the variables put in."""
    greeting: str | None
    """The agent's greeting, with the variables put in."""
    warnings: tuple[Diagnostic, ...]
    """What is not wrong and not good either."""
    folder: Folder
    """The folder of the file that the user gave; files that it names stay below it."""
    problems: Problems
    """Knows the secrets that the file holds, so that later excerpts hide them too."""

    def place(self, *path: str | int) -> Place:
        """Return where a value is written, or the nearest value around it."""
        return self._entry(path)[1]

    def key_place(self, *path: str | int) -> Place:
        """Return where the key of a value is written, or the nearest value around it."""
        return self._entry(path)[0]

    def folders_of(self, *path: str | int) -> tuple[Path, Path] | None:
        """Return the folder that relative paths of a value start from, and the one they may not leave.

        None where the value stands in a preset that is no file.
        """
        source = self.place(*path).source
        if source.directory is None:
            return None
        return source.directory, source.boundary or self.folder.path

    def convert(self, block: Block, config: type[T]) -> tuple[T | None, tuple[Diagnostic, ...]]:
        """Read the options of a plugin as its config class.

        Returns:
            The options, or None where there are errors, and every problem found.
        """
        problems = Problems()
        value = Walker(problems).struct(block.node, config, block.path, at=self.key_place(*block.path))
        found = self._finish(problems)
        return (value if isinstance(value, config) else None), found

    def refuse_options(self, block: Block, name: str) -> tuple[Diagnostic, ...]:
        """Return the problem of options for a plugin that takes none; nothing where none are given."""
        if not block.given or not block.node.entries:
            return ()
        return (self.problem("AK403", f"`{name}` takes no options", *block.path, hint="delete `with:`", on_key=True),)

    def problem(
        self,
        code: str,
        message: str,
        *path: str | int,
        hint: str | None = None,
        notes: Sequence[str] = (),
        severity: Severity = "error",
        on_key: bool = False,
    ) -> Diagnostic:
        """Make the diagnostic of a problem that was found later.

        Args:
            on_key: Whether the key is what is wrong, and not its value.
        """
        problems = Problems()
        at = self.key_place(*path) if on_key else self.place(*path)
        problems.add(code, message, at=at, path=path, hint=hint, notes=notes, severity=severity)
        return self._finish(problems)[0]

    def plugin_problem(
        self, error: PluginError, *path: str | int, severity: Severity = "error", notes: Sequence[str] = ()
    ) -> Diagnostic:
        """Make the diagnostic of a name that the registry refused, at the value that says the name."""
        code = next(code for kind, code in _PLUGIN_CODES if isinstance(error, kind))
        message, hint = str(error), error.hint
        if isinstance(error, UnknownNameError):
            # The registry says both in one sentence; here the second half goes under the caret.
            message, _, said = message.partition("; ")
            near = nearest(error.name, error.known)
            hint = hint or said or (f"did you mean `{near[0]}`?" if near else None)
        return self.problem(code, message, *path, hint=hint, severity=severity, notes=notes)

    def _finish(self, problems: Problems) -> tuple[Diagnostic, ...]:
        self.problems.share_secrets(problems)
        return problems.finish()

    def _entry(self, path: KeyPath) -> tuple[Place, Place]:
        node: Node = self.root
        found = (node.place, node.place)
        for part in path:
            if isinstance(node, MapNode) and isinstance(part, str) and part in node.entries:
                entry = node.entries[part]
                node = entry.value
                found = (entry.key.place, node.place)
            elif isinstance(node, ListNode) and isinstance(part, int) and 0 <= part < len(node.items):
                node = node.items[part]
                found = (node.place, node.place)
            else:
                break
        return found


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
    loaded, diagnostics = diagnose(
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
    loaded = None
    if top is not None:
        gatherer = Gatherer(folder, environment=environment, presets=presets, problems=problems)
        gathered = gatherer.gather(top, path, overrides)
        if gathered.root is not None:
            loaded = _check(gathered.root, folder, environment, problems, partial=gathered.partial)
    diagnostics = problems.finish()
    if loaded is None or problems.errors:
        return None, diagnostics
    return structs.replace(loaded, warnings=diagnostics), diagnostics


def _check(
    root: MapNode, folder: Folder, environment: Environment, problems: Problems, *, partial: bool
) -> Loaded | None:
    filled = environment.fill(root)
    if not isinstance(filled, MapNode):
        raise AssertionError("a map stays a map when its variables are put in")
    config = Walker(problems, root=filled, partial=partial).struct(filled, Config, ())
    check_combinations(filled, problems)
    prompts = Prompts(filled, folder, problems, partial=partial)
    instructions, greeting = prompts.instructions(), prompts.greeting()
    if not isinstance(config, Config):
        return None
    return Loaded(
        config=config,
        root=filled,
        instructions=instructions,
        greeting=greeting,
        warnings=(),
        folder=folder,
        problems=problems,
    )
