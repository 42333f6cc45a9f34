"""Values that are right by themselves and wrong together.

Rule: it reads nodes, not values, so these problems are found in the same pass as all others. What has a wrong
type or no known choice is left to the walk.
"""

from agentkit.config.diagnostics import Problems
from agentkit.config.nodes import KeyPath, MapNode, Node, ScalarNode, find, is_null
from agentkit.config.schema import TURN_KEYS
from agentkit.values import AudioFormat


def check_combinations(root: MapNode, problems: Problems) -> None:
    """Note every pair of values that cannot be in force together."""
    _check_turn(find(root, ("session", "turn")), problems)
    for key in ("input_format", "output_format"):
        _check_format(find(root, ("session", key)), ("session", key), problems)


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
