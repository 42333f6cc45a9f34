"""Values that are right by themselves and wrong together.

Rule: it reads nodes, not values, so these problems are found in the same pass as all others. What has a wrong
type or no known choice is left to the walk.
"""

from agentkit.config.diagnostics import Problems
from agentkit.config.nodes import KeyPath, ListNode, MapNode, Node, ScalarNode, find, is_null
from agentkit.config.policies import ASK, NEVER, REJECT, REPEATABLE, UNANSWERED, retries_of
from agentkit.config.schema import TURN_KEYS
from agentkit.values import AudioFormat


def check_combinations(root: MapNode, problems: Problems) -> None:
    """Note every pair of values that cannot be in force together."""
    _check_turn(find(root, ("session", "turn")), problems)
    for key in ("input_format", "output_format"):
        _check_format(find(root, ("session", key)), ("session", key), problems)
    tools = root.get("tools")
    for index, item in enumerate(tools.items if isinstance(tools, ListNode) else ()):
        if isinstance(item, MapNode):
            _check_policy(item, ("tools", index), problems)


def _check_turn(block: Node | None, problems: Problems) -> None:
    if not isinstance(block, MapNode):
        return
    mode = block.get("mode")
    if mode is None or is_null(mode):
        chosen, said = "server_vad", "`mode` is server_vad where nothing is said"
    elif isinstance(mode, ScalarNode) and mode.text in TURN_KEYS:
        chosen, said = mode.text, f"`mode` is set at {mode.place}"
    else:
        return
    for key, entry in block.entries.items():
        modes = [name for name, keys in TURN_KEYS.items() if key in keys]
        if modes and chosen not in modes and not is_null(entry.value):
            problems.add(
                "AK401",
                f"`{key}` has no meaning with `mode: {chosen}`",
                at=entry.key.place,
                path=("session", "turn", key),
                hint=f"it goes with {' and '.join(modes)}; delete one of the two",
                notes=(said,),
            )


def _check_format(node: Node | None, path: KeyPath, problems: Problems) -> None:
    if not isinstance(node, ScalarNode):
        return
    try:
        audio = AudioFormat.parse(node.text)
    except ValueError:
        return
    if audio.encoding != "pcm16" and audio.rate != 8000:
        message = f"{audio.encoding} has no rate of {audio.rate}"
        problems.add("AK402", message, at=node.place, path=path, hint=f"write {audio.encoding}@8000")


def _check_policy(item: MapNode, path: KeyPath, problems: Problems) -> None:
    """Note what contradicts the effects that the item itself says; those of the tool's own code are looked up later."""
    effects = _text(item.get("effects"))
    retries = item.get("retries")
    again = isinstance(retries, ScalarNode) and retries.kind == "int" and retries.text.strip("0") != ""
    if effects in ("writes", "dangerous") and again and _text(item.get("idempotent")) in ("", "false"):
        entry = item.entries["retries"]
        problems.add("AK405", retries_of(effects), at=entry.key.place, path=(*path, "retries"), hint=REPEATABLE)
    if effects != "dangerous":
        return
    approve = item.get("approve")
    block = approve if isinstance(approve, MapNode) else None
    mode, inner = (approve, ("approve",)) if block is None else (block.get("mode"), ("approve", "mode"))
    if mode is not None and _text(mode) == "never":
        problems.add("AK405", NEVER, at=mode.place, path=(*path, *inner), hint=ASK)
    otherwise = None if block is None else block.get("otherwise")
    if otherwise is not None and _text(otherwise) == "approve":
        problems.add("AK405", UNANSWERED, at=otherwise.place, path=(*path, "approve", "otherwise"), hint=REJECT)


def _text(node: Node | None) -> str:
    return node.text if isinstance(node, ScalarNode) and not node.lost and not is_null(node) else ""
