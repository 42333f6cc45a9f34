"""From a tool item's keys to its policy, and what of them does not fit the tool."""

from collections.abc import Iterator
from typing import cast

from msgspec import Struct

from agentkit.config.schema import Approve, ToolItem
from agentkit.tools import Approval, Policy, PolicyOptions, Tool

KEYS = {"max_result": "max_result_bytes"}
"""The keys that a policy calls otherwise."""
_SAID = tuple(key for key in ToolItem.__struct_fields__ if KEYS.get(key, key) in Policy.__struct_fields__)


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
    said = {KEYS.get(key, key): value for key in _SAID if (value := getattr(item, key)) is not None}
    if item.approve is not None:
        said["approve"] = _approval(item.approve)
    return cast("PolicyOptions", said)


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
