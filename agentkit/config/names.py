"""The names and options of plugins in a configuration whose values are wrong elsewhere: every problem in one pass."""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from agentkit.config.diagnostics import Diagnostic
from agentkit.config.draft import Draft
from agentkit.config.nodes import Block, KeyPath, ListNode, MapNode, ScalarNode
from agentkit.errors import PluginError
from agentkit.plugins import Plugins
from agentkit.registry import Factory, Kind


def check_names(draft: Draft, plugins: Plugins) -> list[Diagnostic]:
    """Look up every name that can be read, and check the options that go with it."""
    return [problem for kind, path in _named(draft.root) for problem in _problems(draft, plugins, kind, path)]


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return diagnostics in the order of the text, file by file as they came."""
    found = list(diagnostics)
    files = {name: number for number, name in enumerate(dict.fromkeys(each.file for each in found))}
    return tuple(sorted(found, key=lambda each: (files[each.file], each.line or 0, each.column or 0)))


def _named(root: MapNode) -> Iterator[tuple[Kind, KeyPath]]:
    """Find the blocks with a ``use:``, except those that are switched off."""
    if isinstance(root.get("provider"), MapNode):
        yield "providers", ("provider",)
    kinds: tuple[Kind, ...] = ("tools", "middleware")
    for kind in kinds:
        items = root.get(kind)
        for index, item in enumerate(items.items if isinstance(items, ListNode) else ()):
            if isinstance(item, MapNode) and not _says(item, "when", "false"):
                yield kind, (kind, index)


def _problems(draft: Draft, plugins: Plugins, kind: Kind, path: KeyPath) -> list[Diagnostic]:
    block = _at(draft.root, path)
    use = block.get("use")
    if not isinstance(use, ScalarNode) or use.lost or not use.text:
        return []
    try:
        entry = plugins.get(kind, use.text)
    except PluginError as exc:
        found = [draft.plugin_problem(exc, *path, "use")]
    else:
        given = block.get("with")
        if given is not None and not isinstance(given, MapNode):
            return []  # said already
        options = Block(given or MapNode(entries={}, place=block.place), (*path, "with"), given is not None)
        if isinstance(entry, Factory) and entry.config is not None:
            found = list(draft.convert(options, entry.config)[1])
        else:
            found = list(draft.refuse_options(options, use.text))
    if _says(block, "optional", "true"):
        found = [replace(each, severity="warning") for each in found]
    return found


def _at(root: MapNode, path: KeyPath) -> MapNode:
    node: object = root
    for part in path:
        if isinstance(node, MapNode) and isinstance(part, str):
            node = node.get(part)
        elif isinstance(node, ListNode) and isinstance(part, int):
            node = node.items[part]
    assert isinstance(node, MapNode)  # as the paths were found
    return node


def _says(block: MapNode, key: str, text: str) -> bool:
    value = block.get(key)
    return isinstance(value, ScalarNode) and value.text == text
