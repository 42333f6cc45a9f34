"""Which texts a configuration is made of: its own, those it extends, its presets, the overrides.

Rule: every file that a configuration names stays under the folder of the file that the user gave.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from agentkit.config.diagnostics import Problems
from agentkit.config.loader import read_file, read_yaml
from agentkit.config.merge import merge, read_override
from agentkit.config.nodes import (
    KeyPath,
    ListNode,
    MapNode,
    Node,
    Place,
    ScalarNode,
    Source,
    from_value,
    is_null,
)
from agentkit.config.variables import Environment
from agentkit.errors import PluginError, UnknownNameError
from agentkit.presets import Preset, PresetResolver
from agentkit.registry import nearest

_INHERITING: Final = ("tools", "middleware", "guardrails")
MAX_EXTENDS: Final = 5
"""How deep files may extend one another."""


class Folder(Struct, frozen=True, kw_only=True):
    """The folder of the configuration that the user gave; what it names may not be elsewhere."""

    path: Path
    shown: str
    """How the user wrote it."""

    def find(self, node: ScalarNode, problems: Problems, path: KeyPath) -> tuple[str, Path] | None:
        """Return the name for messages and the path of a file that a value names; None where it may not."""
        source = node.place.source
        if source.directory is None:
            problems.add("AK204", f"{source.name} is no file, so it cannot name one", at=node.place, path=path)
            return None
        # A preset that is a file of its package may name what stands beside it there.
        boundary = source.boundary or self.path
        try:
            target = source.directory / node.text
            resolved = target.resolve()
            inside = resolved.is_relative_to(boundary.resolve())
        except (OSError, RuntimeError, ValueError) as error:
            problems.add("AK204", f"`{node.text}` cannot be a path: {error}", at=node.place, path=path)
            return None
        if not inside:
            problems.add(
                "AK205",
                f"`{node.text}` is outside the folder of this configuration",
                at=node.place,
                path=path,
                hint=f"move it below {boundary}",
            )
            return None
        if source.boundary is not None:
            return str(target), target
        return os.path.normpath(os.path.join(self.shown, os.path.relpath(target, self.path))), target


class Gathered(Struct, frozen=True, kw_only=True):
    """The layers of a configuration, merged."""

    root: MapNode | None
    """None where nothing could be read."""
    partial: bool
    """Whether a text is missing from it."""


class Gatherer:
    """Reads every text of one configuration."""

    def __init__(
        self,
        folder: Folder,
        *,
        environment: Environment,
        presets: PresetResolver,
        problems: Problems,
        restrict: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._presets = presets
        self._problems = problems
        self._restrict = restrict
        self._partial = False
        self._layers: list[MapNode] = []
        self._seen: set[Path] = set()

    def gather(self, source: Source, path: Path | None, overrides: Sequence[str]) -> Gathered:
        """Read and merge everything, the presets at the bottom and the overrides on top.

        Args:
            path: The file that the source came from, where it is one.
        """
        self._file(source, path, ())
        tops = [read_override(text, self._folder.path, self._problems) for text in overrides]
        layers = [*self._layers, *(self._without_extends(top) for top in tops if top is not None)]
        upper = merge(layers)
        if upper is None:
            return Gathered(root=None, partial=True)
        self._allow(upper)
        entry = upper.entries.get("preset")
        below: list[MapNode] = []
        if entry is not None:
            names = self._environment.fill(entry.value, ("preset",))
            below = [layer for node in self._names(names) for layer in self._preset(node)]
        root = merge([*below, *layers], self._problems)
        if not self._partial and not any(layer.torn for layer in layers):
            self._warn_of_nothing([*below, *layers])
        if root is not None and "plugins" not in upper.entries:
            self._allow(root)
        return Gathered(root=root, partial=self._partial)

    def _warn_of_nothing(self, layers: Sequence[MapNode]) -> None:
        """Warn of each `inherit` in a list below which nothing is."""
        common = any("tools" in layer.entries for layer in layers)
        known: set[KeyPath] = set()
        for layer in layers:
            here: list[tuple[KeyPath, Node]] = [
                ((key,), layer.entries[key].value) for key in _INHERITING if key in layer.entries
            ]
            agents = layer.get("agents")
            for name, entry in agents.entries.items() if isinstance(agents, MapNode) else ():
                own = entry.value.get("tools") if isinstance(entry.value, MapNode) else None
                if own is not None:
                    here.append((("agents", name, "tools"), own))
            for path, node in here:
                base = path in known or (path[0] == "agents" and common)
                known.add(path)
                for item in node.items if isinstance(node, ListNode) and not base else ():
                    if isinstance(item, ScalarNode) and item.plain and item.text == "inherit":
                        self._problems.add(
                            "AK401",
                            "there is nothing to inherit",
                            at=item.place,
                            path=path,
                            hint="delete it, or name what it builds on with `extends` or `preset`",
                            severity="warning",
                        )

    def _without_extends(self, top: MapNode) -> MapNode:
        """Return an override without `extends`, which only a file can say; it is refused."""
        if "extends" not in top.entries:
            return top
        at = top.entries["extends"].key.place
        hint = "write it into a file, and name that one"
        self._problems.add("AK401", "`extends` can only be said in a file", at=at, path=("extends",), hint=hint)
        return structs.replace(top, entries={key: entry for key, entry in top.entries.items() if key != "extends"})

    def _allow(self, root: MapNode) -> None:
        """Tell which plugins are allowed, where it is said."""
        entry = root.entries.get("plugins")
        if entry is not None and not is_null(entry.value) and self._restrict is not None:
            self._restrict([node.text for node in self._names(self._environment.fill(entry.value, ("plugins",)))])

    def _file(self, source: Source, path: Path | None, chain: tuple[tuple[str, Path], ...]) -> None:
        node = read_yaml(source, self._problems)
        if not isinstance(node, MapNode):
            if node is not None:
                self._not_a_map(node)
            self._partial = True
            return
        if path is not None:
            chain = (*chain, (source.name, path.resolve()))
        entry = node.entries.get("extends")
        if entry is not None:
            for target in self._names(self._environment.fill(entry.value, ("extends",))):
                self._extend(target, source, chain)
        if chain and len(chain) > 1:
            # A lower file's own `extends` is done with here, and says nothing about the file above it.
            node = MapNode(
                entries={key: entry for key, entry in node.entries.items() if key != "extends"},
                place=node.place,
                torn=node.torn,
            )
        self._layers.append(node)

    def _extend(self, node: ScalarNode, source: Source, chain: tuple[tuple[str, Path], ...]) -> None:
        found = self._folder.find(node, self._problems, ("extends",))
        if found is None:
            self._partial = True
            return
        name, path = found
        resolved = path.resolve()
        if any(resolved == other for _, other in chain):
            names = " -> ".join([*(each for each, _ in chain), name])
            self._problems.add("AK206", f"files extend each other in a loop: {names}", at=node.place, path=("extends",))
            self._partial = True
        elif resolved in self._seen:
            # Two files may build on a third; it lies below both, once.
            pass
        elif len(chain) > MAX_EXTENDS:
            names = " -> ".join([*(each for each, _ in chain), name])
            self._problems.add(
                "AK206",
                f"files extend each other more than {MAX_EXTENDS} deep",
                at=node.place,
                path=("extends",),
                notes=(names,),
            )
            self._partial = True
        else:
            self._seen.add(resolved)
            text = read_file(path, name=name, at=node.place, problems=self._problems)
            if text is None:
                self._partial = True
            else:
                self._file(text, path, chain or ((source.name, Path()),))

    def _preset(self, node: ScalarNode) -> list[MapNode]:
        layer = self._find_preset(node)
        if layer is None:
            self._partial = True
            return []
        return [layer]

    def _find_preset(self, node: ScalarNode) -> MapNode | None:
        try:
            preset = self._presets(node.text)
        except UnknownNameError as error:
            message, _, hint = str(error).partition("; ")
            near = nearest(error.name, error.known)
            said = hint or error.hint or (f"did you mean `{near[0]}`?" if near else None)
            notes = (f"presets: {', '.join(error.known)}",) if error.known else ()
            self._problems.add("AK201", message, at=node.place, path=("preset",), hint=said, notes=notes)
            return None
        except PluginError as error:
            self._problems.add("AK203", str(error), at=node.place, path=("preset",), hint=error.hint)
            return None
        layer = self._read_preset(preset, node.place)
        for key in ("extends", "preset"):
            if layer is not None and key in layer.entries:
                message = f"{preset.label} may not have `{key}`"
                self._problems.add("AK401", message, at=layer.entries[key].key.place, path=(key,))
        return layer

    def _read_preset(self, preset: Preset, at: Place) -> MapNode | None:
        node: Node | None
        if isinstance(preset.data, Path):
            source = read_file(preset.data, name=preset.label, at=at, problems=self._problems)
            node = None
            if source is not None:
                node = read_yaml(structs.replace(source, boundary=preset.data.parent, own=False), self._problems)
        elif isinstance(preset.data, str):
            node = read_yaml(Source(preset.label, preset.data, own=False), self._problems)
        else:
            try:
                node = from_value(preset.data, Source(preset.label, located=False))
            except (TypeError, ValueError) as error:
                self._problems.add("AK203", f"{preset.label} cannot be used: {error}", at=at, path=("preset",))
                return None
        if isinstance(node, MapNode):
            return node
        if node is not None:
            self._not_a_map(node)
        return None

    def _names(self, node: Node) -> list[ScalarNode]:
        """Return the names that a value gives, one or a list; the walk says what is wrong with others."""
        items = node.items if isinstance(node, ListNode) else (node,)
        names = [item for item in items if isinstance(item, ScalarNode) and item.kind == "str"]
        self._partial = self._partial or any(name.lost for name in names)
        return [name for name in names if name.text and not name.lost]

    def _not_a_map(self, node: Node) -> None:
        what = "a list" if isinstance(node, ListNode) else "a single text"
        self._problems.add(
            "AK102",
            f"a configuration is a block of keys, not {what}",
            at=node.place,
            hint="it begins with `agent:`",
        )
