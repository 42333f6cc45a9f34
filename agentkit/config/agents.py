"""The agents under ``agents:``: what each takes over from ``agent:`` and ``tools:``, and whom it hands over to.

Rule: it reads nodes, not values, so these problems are found in the same pass as all others. What has a wrong type is
left to the walk.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from msgspec import structs

from agentkit.config.diagnostics import Problems
from agentkit.config.merge import inherited
from agentkit.config.nodes import Entry, KeyPath, ListNode, MapNode, Node, ScalarNode, find, is_null, is_unread
from agentkit.registry import nearest

UNNAMED: Final = "agent"
"""What the agent of ``agent:`` is called where the file gives it no name."""
_NAME: Final = ("agent", "name")


class _Holder(NamedTuple):
    """One agent, with whom it hands over to."""

    name: str
    path: KeyPath
    """Where its ``handoff`` stands, or would."""
    targets: tuple[tuple[str, KeyPath], ...]
    """Names that are texts, each with its place."""


def with_inherited_tools(root: MapNode) -> MapNode:
    """Return the file with its own ``tools`` in the place of each ``inherit`` in an agent's."""
    agents = root.get("agents")
    if not isinstance(agents, MapNode):
        return root
    changed = {}
    for name, entry in agents.entries.items():
        tools = entry.value.entries.get("tools") if isinstance(entry.value, MapNode) else None
        if isinstance(entry.value, MapNode) and tools is not None and isinstance(tools.value, ListNode):
            whole = Entry(tools.key, inherited(root.get("tools"), tools.value))
            value = structs.replace(entry.value, entries={**entry.value.entries, "tools": whole})
            changed[name] = Entry(entry.key, value)
    found = structs.replace(agents, entries={**agents.entries, **changed})
    return structs.replace(root, entries={**root.entries, "agents": Entry(root.entries["agents"].key, found)})


def own_tools(root: MapNode) -> Iterator[tuple[KeyPath, Node]]:
    """Find the items of the tools of each agent that are its own, with their paths."""
    agents, common = root.get("agents"), root.get("tools")
    taken_over = {id(item) for item in common.items} if isinstance(common, ListNode) else set()
    for name in agents.entries if isinstance(agents, MapNode) else ():
        tools = find(root, ("agents", name, "tools"))
        for index, item in enumerate(tools.items if isinstance(tools, ListNode) else ()):
            if id(item) not in taken_over:
                yield ("agents", name, "tools", index), item


def places_of(root: MapNode, name: str) -> Mapping[int, int]:
    """Return which items of an agent's tools are the file's own: index in its list by index in the file's."""
    common, tools = root.get("tools"), find(root, ("agents", name, "tools"))
    if not isinstance(common, ListNode) or not isinstance(tools, ListNode):
        return {}
    known = {id(item): index for index, item in enumerate(common.items)}
    return {index: known[id(item)] for index, item in enumerate(tools.items) if id(item) in known}


def main_name(root: MapNode) -> str:
    """Return what the agent of ``agent:`` is called."""
    return _text(find(root, _NAME)) or UNNAMED


def check_agents(root: MapNode, problems: Problems, *, partial: bool) -> None:
    """Note what is wrong with who hands over to whom.

    Args:
        partial: A file that this one builds on could not be read, so an agent may be there.
    """
    node = root.get("agents")
    agents = node if isinstance(node, MapNode) else MapNode(entries={}, place=root.place)
    named = find(root, _NAME)
    main = main_name(root)
    known = [name for name, entry in agents.entries.items() if not is_null(entry.value)]
    homes: list[KeyPath] = [(), ("agents",), ("agent",), *(("agents", name) for name in known)]
    says = [find(root, path) for home in homes for path in (home, (*home, "handoff"))]
    whole = not (partial or any(map(is_unread, [named, *says])))
    for name in known:
        key = agents.entries[name].key
        if not name:
            problems.add("AK105", "an agent needs a name", at=key.place, path=("agents", name))
        elif name == main:
            notes = (f"it is named at {named.place}" if named is not None else "it is called so as it has no name",)
            hint = "rename one of the two"
            message = f"`{name}` is what the agent of `agent:` is called"
            problems.add("AK404", message, at=key.place, path=("agents", name), hint=hint, notes=notes)
    holders = [_holder(root, main, ("agent",), ())]
    holders += [_holder(root, name, ("agents", name), (main,)) for name in known]
    found = [_check_targets(root, holder, [main, *known], problems, whole=whole) for holder in holders]
    if whole and all(found):
        _check_reached(agents, holders, problems)


def _holder(root: MapNode, name: str, home: KeyPath, default: tuple[str, ...]) -> _Holder:
    path = (*home, "handoff")
    node = find(root, path)
    if node is None or is_null(node):
        return _Holder(name, path, tuple((each, path) for each in default))
    items = node.items if isinstance(node, ListNode) else ()
    return _Holder(name, path, tuple((_text(item), (*path, i)) for i, item in enumerate(items) if _text(item)))


def _check_targets(root: MapNode, holder: _Holder, known: list[str], problems: Problems, *, whole: bool) -> bool:
    """Note what is wrong with whom an agent hands over to, and tell whether all of them are there."""
    seen: dict[str, KeyPath] = {}
    for name, path in holder.targets:
        node = find(root, path)
        if node is None or is_null(node):
            continue  # nobody has written it
        first = seen.setdefault(name, path)
        if first is not path:
            notes = (f"the other one is at {_place(root, first)}",)
            problems.add("AK401", f"`{name}` is named twice", at=node.place, path=path, hint="delete one", notes=notes)
        elif name == holder.name:
            problems.add("AK401", f"`{name}` hands over to itself", at=node.place, path=path, hint="delete it")
        elif name not in known and whole:
            others = [each for each in known if each != holder.name]
            near = nearest(name, others)
            hint = f"did you mean `{near[0]}`?" if near else f"write it under `agents:`, as `{name}: {{...}}`"
            here = [f"agents here: {', '.join(others)}"] if others else []
            problems.add("AK201", f"no agent is called `{name}`", at=node.place, path=path, hint=hint, notes=here)
    return all(name in known for name in seen)


def _check_reached(agents: MapNode, holders: list[_Holder], problems: Problems) -> None:
    """Note the agents that no way leads to from the one that begins."""
    targets = {holder.name: [name for name, _ in holder.targets] for holder in reversed(holders)}
    main = holders[0].name
    reached, new = {main}, [main]
    while new:
        further = {name for holder in new for name in targets.get(holder, ())} - reached
        reached |= further
        new = sorted(further)
    for name, entry in agents.entries.items():
        if name in reached or not name or is_null(entry.value):
            continue
        problems.add(
            "AK407",
            f"no hand-over leads to `{name}`",
            at=entry.key.place,
            path=("agents", name),
            hint=f"write `{name}` under `agent.handoff`, or under the `handoff` of another agent",
            severity="warning",
        )


def _place(root: MapNode, path: KeyPath) -> object:
    node = find(root, path)
    return node.place if node is not None else root.place


def _text(node: Node | None) -> str:
    return node.text if isinstance(node, ScalarNode) and node.kind == "str" and not node.lost else ""
