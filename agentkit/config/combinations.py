"""Values that are right by themselves and wrong together.

Rule: it reads nodes, not values, so these problems are found in the same pass as all others. What has a wrong
type or no known choice is left to the walk.
"""

from collections.abc import Iterable

from agentkit.config.agents import own_tools
from agentkit.config.diagnostics import Problems
from agentkit.config.nodes import KeyPath, ListNode, MapNode, Node, ScalarNode, find, is_null
from agentkit.config.policies import ASK, NEVER, REJECT, REPEATABLE, UNANSWERED, retries_of
from agentkit.config.recording import RECORDER, recording_mode
from agentkit.config.schema import TURN_KEYS
from agentkit.values import AudioFormat


def check_combinations(root: MapNode, problems: Problems) -> None:
    """Note every pair of values that cannot be in force together."""
    _check_turn(find(root, ("session", "turn")), problems)
    for key in ("input_format", "output_format"):
        _check_format(find(root, ("session", key)), ("session", key), problems)
    _check_limits(find(root, ("limits",)), problems)
    _check_recording(root, problems)
    tools = root.get("tools")
    common: Iterable[tuple[KeyPath, Node]] = (
        (("tools", index), item) for index, item in enumerate(tools.items if isinstance(tools, ListNode) else ())
    )
    for path, item in (*common, *own_tools(root)):
        if isinstance(item, MapNode):
            _check_policy(item, path, problems)


def _check_turn(block: Node | None, problems: Problems) -> None:
    if not isinstance(block, MapNode) or block.torn:
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


def _check_limits(block: Node | None, problems: Problems) -> None:
    if not isinstance(block, MapNode) or block.torn:
        return
    said = {key: entry for key, entry in block.entries.items() if not is_null(entry.value)}
    if "cost_usd" in said and "rates" not in said:
        problems.add(
            "AK401",
            "`cost_usd` needs the `rates` of the model",
            at=said["cost_usd"].key.place,
            path=("limits", "cost_usd"),
            hint="write `rates: {input: 4, output: 16}`, in dollars a million tokens",
        )
    chosen = _text(said["on_limit"].value) if "on_limit" in said else "close"
    if "goodbye" in said and chosen == "close":
        problems.add(
            "AK401",
            "`goodbye` is not said with `on_limit: close`",
            at=said["goodbye"].key.place,
            path=("limits", "goodbye"),
            hint="write `on_limit: say_goodbye`, or delete `goodbye`",
            notes=() if "on_limit" not in said else (f"`on_limit` is set at {said['on_limit'].value.place}",),
        )


def _check_recording(root: MapNode, problems: Problems) -> None:
    mode = recording_mode(root)
    if mode in (None, "none"):
        return
    layers = root.get("middleware")
    for index, item in enumerate(layers.items if isinstance(layers, ListNode) else ()):
        use = item.get("use") if isinstance(item, MapNode) else None
        off = isinstance(item, MapNode) and _text(item.get("when")) == "false"
        if use is not None and not off and _text(use).rpartition(":")[2] == RECORDER:
            problems.add(
                "AK401",
                f"the session is recorded twice: by `{RECORDER}`, and by `recording`",
                at=use.place,
                path=("middleware", index, "use"),
                hint="delete one of the two",
                notes=(f"`recording` is at {root.entries['recording'].key.place}",),
            )
    redact = find(root, ("recording", "redact"))
    if mode == "events_and_audio" and redact is not None and _text(redact) == "true":
        problems.add(
            "AK401",
            "`redact` masks texts, and nothing of what is said in the recorded audio",
            at=redact.place,
            path=("recording", "redact"),
            hint="`mode: events` records no audio",
            severity="warning",
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
