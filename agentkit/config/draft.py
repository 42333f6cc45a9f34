"""A configuration as a tree of nodes with their places, which is there even where its values are wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from agentkit.config.diagnostics import Diagnostic, Problems, Severity
from agentkit.config.nodes import Block, KeyPath, ListNode, MapNode, Node, Place
from agentkit.config.sources import Folder
from agentkit.config.walk import Walker
from agentkit.errors import DuplicateNameError, PluginError, UnknownNameError
from agentkit.registry import nearest

T = TypeVar("T", bound=Struct)

_PLUGIN_CODES: Final[tuple[tuple[type[PluginError], str], ...]] = (
    (UnknownNameError, "AK201"),
    (DuplicateNameError, "AK202"),
    (PluginError, "AK203"),
)


class Draft(Struct, frozen=True, kw_only=True, eq=False):
    """A file that was read and merged; its values may be wrong."""

    root: MapNode
    """The merged file itself; every node has its place."""
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
        self,
        error: PluginError,
        *path: str | int,
        hint: str | None = None,
        severity: Severity = "error",
        notes: Sequence[str] = (),
        on_key: bool = False,
    ) -> Diagnostic:
        """Make the diagnostic of a name that the registry refused, at the value that says the name.

        Args:
            hint: What to do, where more is known of that than the registry knows.
            on_key: Whether the key is the name.
        """
        code = next(code for kind, code in _PLUGIN_CODES if isinstance(error, kind))
        message, hint = str(error), hint or error.hint
        if isinstance(error, UnknownNameError):
            # The registry says both in one sentence; here the second half goes under the caret.
            message, _, said = message.partition("; ")
            near = nearest(error.name, error.known)
            hint = hint or said or (f"did you mean `{near[0]}`?" if near else None)
        return self.problem(code, message, *path, hint=hint, severity=severity, notes=notes, on_key=on_key)

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
