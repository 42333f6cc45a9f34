"""From a tool item's keys to its policy, and what of them does not fit the tool."""

from collections.abc import Iterator

from msgspec import Struct

from agentkit.config.schema import Approve, ToolItem
from agentkit.tools import Approval, Policy, PolicyOptions, Tool

KEYS = {"max_result": "max_result_bytes"}
"""The keys that a policy calls otherwise."""


class Unfit(Struct, frozen=True, kw_only=True):
    """One key of an item that does not fit the tool."""

    key: str
    """The key of the item."""
    inner: tuple[str | int, ...] = ()
    """What of its value, where not all."""
    message: str
    hint: str


def options_of(item: ToolItem) -> PolicyOptions:
    """Return what an item says of its tool's policy, and nothing else."""
    said = PolicyOptions()
    if item.timeout is not None:
        said["timeout"] = item.timeout
    if item.approve is not None:
        said["approve"] = _approval(item.approve)
    if item.effects is not None:
        said["effects"] = item.effects
    if item.idempotent is not None:
        said["idempotent"] = item.idempotent
    if item.retries is not None:
        said["retries"] = item.retries
    if item.concurrency is not None:
        said["concurrency"] = item.concurrency
    if item.on_interrupt is not None:
        said["on_interrupt"] = item.on_interrupt
    if item.reply is not None:
        said["reply"] = item.reply
    if item.background is not None:
        said["background"] = item.background
    if item.progress is not None:
        said["progress"] = item.progress
    if item.filler is not None:
        said["filler"] = item.filler
    if item.max_result is not None:
        said["max_result_bytes"] = item.max_result
    if item.secret is not None:
        said["secret"] = item.secret
    return said


def unfit(item: ToolItem, policy: Policy) -> Iterator[Unfit]:
    """Find what an item says that cannot hold for a tool with this policy of its own."""
    effects = item.effects or policy.effects
    idempotent = policy.idempotent if item.idempotent is None else item.idempotent
    retries = policy.retries if item.retries is None else item.retries
    if retries and effects != "reads" and not idempotent:
        if item.retries:
            yield Unfit(key="retries", message=retries_of(effects), hint=REPEATABLE)
        else:
            message = f"this tool is run again where it fails, so it may not {_do(effects)}"
            yield Unfit(key="effects" if item.effects else "idempotent", message=message, hint=REPEATABLE)
    if effects != "dangerous":
        return
    approval = policy.approve if item.approve is None else _approval(item.approve)
    if approval is None:
        return
    if approval.mode != "ask":
        key, inner = ("approve", _inner(item, "mode")) if item.approve is not None else ("effects", ())
        yield Unfit(key=key, inner=inner, message=NEVER, hint=ASK)
    if approval.otherwise == "approve":
        key, inner = ("approve", _inner(item, "otherwise")) if item.approve is not None else ("effects", ())
        yield Unfit(key=key, inner=inner, message=UNANSWERED, hint=REJECT)


REPEATABLE = "say `effects: reads` or `idempotent: true`, where that is so; or delete `retries`"
NEVER = "a dangerous tool is asked for before each call"
ASK = "say `approve: ask`, or `effects: writes`"
UNANSWERED = "a dangerous tool never runs because nobody answered"
REJECT = "say `otherwise: reject`"


def retries_of(effects: str) -> str:
    """Say why a tool with these effects is not run again."""
    return f"`retries` do not go with a tool that {'writes' if effects == 'writes' else 'is ' + effects}"


def unknown_secrets(item: ToolItem, tool: "Tool[..., object]") -> Iterator[Unfit]:
    """Find the secret arguments that a tool does not have."""
    known = parameters_of(tool)
    for index, name in enumerate(item.secret or ()):
        if name not in known:
            has = f"it has: {', '.join(sorted(known))}" if known else "it has no arguments"
            yield Unfit(key="secret", inner=(index,), message=f"`{tool.name}` has no argument `{name}`", hint=has)


def parameters_of(tool: "Tool[..., object]") -> frozenset[str]:
    """Return the names of a tool's arguments."""
    properties = tool.parameters.get("properties")
    return frozenset(properties) if isinstance(properties, dict) else frozenset()


def _approval(said: str | Approve) -> Approval:
    if isinstance(said, str):
        return Approval(mode=said)  # type: ignore[arg-type]  # the schema's choices are the policy's
    if said.timeout is None:
        return Approval(mode=said.mode, otherwise=said.otherwise, filler=said.filler)
    return Approval(mode=said.mode, timeout=said.timeout, otherwise=said.otherwise, filler=said.filler)


def _inner(item: ToolItem, key: str) -> tuple[str | int, ...]:
    return (key,) if isinstance(item.approve, Approve) else ()


def _do(effects: str) -> str:
    return "write without being idempotent" if effects == "writes" else f"be {effects} without being idempotent"
