"""The names and options of plugins in a configuration whose values are wrong elsewhere: every problem in one pass."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from agentkit.config.agents import own_tools
from agentkit.config.diagnostics import Diagnostic
from agentkit.config.draft import Draft
from agentkit.config.guardrails import cited, with_beside
from agentkit.config.nodes import Block, KeyPath, ListNode, MapNode, Node, ScalarNode
from agentkit.config.packages import install_hint
from agentkit.errors import PluginError, UnknownNameError
from agentkit.plugins import Plugins
from agentkit.registry import Factory, Kind


def check_names(draft: Draft, plugins: Plugins) -> list[Diagnostic]:
    """Look up every name that can be read, and check the options that go with it."""
    return [problem for named in _named(draft.root) for problem in _problems(draft, plugins, named)]


def softened(problem: Diagnostic) -> Diagnostic:
    """Return the problem of an optional tool: a warning where it is not there, and not where it is written wrongly."""
    missing = problem.code in ("AK201", "AK203") and "switched off" not in problem.message
    return replace(problem, severity="warning") if missing else problem


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return diagnostics in the order of the text, file by file as they came."""
    found = list(diagnostics)
    files = {name: number for number, name in enumerate(dict.fromkeys(each.file for each in found))}
    return tuple(sorted(found, key=lambda each: (files[each.file], each.line or 0, each.column or 0)))


class _Use(NamedTuple):
    """One name in a configuration."""

    kind: Kind
    path: KeyPath
    """Where its block stands."""
    key: str = "use"
    """The key that says the name, or is it."""
    options: str = "with"


def _named(root: MapNode) -> Iterator[_Use]:
    """Find the blocks that name something of a plugin's, except those that are switched off."""
    if isinstance(root.get("provider"), MapNode):
        yield _Use("providers", ("provider",))
    lists: Mapping[str, Kind] = {"tools": "tools", "middleware": "middleware", "guardrails": "middleware"}
    for key, kind in lists.items():
        items = root.get(key)
        for index, item in enumerate(items.items if isinstance(items, ListNode) else ()):
            if (found := _of_item(kind, (key, index), item)) is not None:
                yield found
    for path, item in own_tools(root):
        if (found := _of_item("tools", path, item)) is not None:
            yield found


def _of_item(kind: Kind, path: KeyPath, item: Node) -> _Use | None:
    if not isinstance(item, MapNode) or _says(item, "when", "false"):
        return None
    return _Use(kind, path, "mcp", "mcp") if kind == "tools" and "mcp" in item.entries else _Use(kind, path)


def _problems(draft: Draft, plugins: Plugins, named: _Use) -> list[Diagnostic]:
    path = named.path
    block = _at(draft.root, path)
    use = block.get(named.key)
    if named.key == "mcp":
        name = named.key
    elif not isinstance(use, ScalarNode) or use.lost or not use.text:
        return []
    else:
        name = use.text
    try:
        entry = plugins.get(named.kind, name)
    except PluginError as exc:
        hint = install_hint(exc, named.kind, plugins) if isinstance(exc, UnknownNameError) else None
        found = [draft.plugin_problem(exc, *path, named.key, hint=hint, on_key=named.key == "mcp")]
    else:
        given = block.get(named.options)
        if (given is not None and not isinstance(given, MapNode)) or (given is None and block.torn):
            return []  # said already
        options = Block(given or MapNode(entries={}, place=block.place), (*path, named.options), given is not None)
        config = entry.config if isinstance(entry, Factory) else None
        found = []
        if path[0] == "guardrails":
            options, found = with_beside(draft, path, options, config)
        if config is not None:
            found += cited(draft.convert(options, config)[1], path)
        else:
            found += draft.refuse_options(options, name)
    if _says(block, "optional", "true"):
        found = [softened(each) for each in found]
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
