"""Values that are right by themselves and wrong together, as far as a schema can say it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from agentkit.config.diagnostics import Diagnostic, Problems
from agentkit.config.draft import Draft
from agentkit.config.json_schema.scalars import VARIABLE, Schema, escape, ref
from agentkit.config.needs import check_needs
from agentkit.config.nodes import MapNode, Source, from_value
from agentkit.config.policies import parameters_of
from agentkit.config.recording import RECORDER
from agentkit.config.schema import TURN_KEYS, Config, Recording
from agentkit.config.sources import Folder
from agentkit.plugins import Plugins
from agentkit.tools import Tool

UNSAID: Final[Schema] = {"type": "null"}
_SAID: Final[Schema] = {"not": UNSAID}
_RECORDED: Final = ["events", "events_and_audio"]

G711: Final[Schema] = {
    "not": {"type": "string", "pattern": "^g711_(?:ulaw|alaw)@(?!0*8000$)[0-9]+$"},
}
"""G.711 has one rate."""

HOSTED: Final[Schema] = {
    "oneOf": [{"required": [key], "properties": {key: {"not": UNSAID}}} for key in ("url", "connector")]
}
"""A server is reached in one way."""


def turn_rules() -> list[Schema]:
    """Return which keys go with which mode, where the mode is said."""
    return [
        {"if": {"required": ["mode"], "properties": {"mode": {"const": mode}}}, "then": _without(keys)}
        for mode, keys in TURN_KEYS.items()
    ]


def turn_unsaid(default: str) -> list[Schema]:
    """Return which keys go with the mode that holds where none is said."""
    return [{"if": {"properties": {"mode": UNSAID}}, "then": _without(TURN_KEYS[default])}]


def limit_rules() -> list[Schema]:
    """Return what is not said together of limits."""
    closing = {"goodbye": _SAID, "on_limit": {"const": "close"}}
    return [{"not": {"type": "object", "required": list(closing), "properties": closing}}]


def limits_unsaid(default: str) -> list[Schema]:
    """Return what limits need where nobody else says it.

    Args:
        default: What holds where ``on_limit`` is not said.
    """
    costly = {"if": {"required": ["cost_usd"], "properties": {"cost_usd": _SAID}}, "then": _needs("rates")}
    parting = {"if": {"required": ["goodbye"], "properties": {"goodbye": _SAID}}, "then": _needs("on_limit")}
    return [costly, *([parting] if default == "close" else [])]


def recording_rules() -> list[Schema]:
    """Return what a configuration with a recording may not have besides."""
    recorder = {"type": "string", "pattern": f"^(?:.*:)?{escape(RECORDER)}$"}
    item = {"type": "object", "required": ["use"], "properties": {"use": recorder, "when": {"enum": [True, None]}}}
    recorded = {"type": "object", "required": ["mode"], "properties": {"mode": {"enum": _RECORDED}}}
    both = {"recording": recorded, "middleware": {"type": "array", "contains": item}}
    return [{"not": {"required": list(both), "properties": both}}]


def needs_of(plugins: Plugins) -> Iterator[tuple[type[Struct], str, Schema]]:
    """Find what needs a package that is not there: the class, its key, and what the key may still say."""
    for key in ("audio", "serve"):
        for problem in _needed(plugins, {key: {}}):
            yield Config, key, {"type": "null", "description": f"{problem.message}: {problem.hint}"}
    off = {"enum": ["none", None]}
    for problem in _needed(plugins, {"recording": {"mode": _RECORDED[0], "redact": False}}):
        yield Recording, "mode", {**off, "description": f"{problem.message}: {problem.hint}"}
        return
    for problem in _needed(plugins, {"recording": {"mode": _RECORDED[0]}}):
        unmasked = {"enum": [False]}
        words = f"{problem.message}: {problem.hint}"
        yield (
            Recording,
            "",
            {
                "anyOf": [
                    {"properties": {"mode": off}},
                    {"required": ["redact"], "properties": {"redact": unmasked}, "description": words},
                ]
            },
        )


def _needed(plugins: Plugins, said: dict[str, object]) -> list[Diagnostic]:
    root = from_value(said, Source("", located=False))
    assert isinstance(root, MapNode)
    draft = Draft(root=root, folder=Folder(path=Path(), shown=""), problems=Problems())
    return check_needs(draft, plugins)


def _needs(key: str) -> Schema:
    return {"required": [key], "properties": {key: _SAID}}


def _without(keys: Iterable[str]) -> Schema:
    others = frozenset().union(*TURN_KEYS.values()) - frozenset(keys)
    return {"properties": dict.fromkeys(sorted(others), UNSAID)}


def tool_rules(tool: "Tool[..., object] | None") -> list[Schema]:
    """Return what an item may not say of a tool's policy.

    Args:
        tool: The tool that it names; None for what holds of every tool.
    """
    policy = tool.policy if tool is not None else None
    dangerous = [_in("effects", ["dangerous"], unsaid=policy is not None and policy.effects == "dangerous")]
    risky = _in("effects", ["writes", "dangerous"], unsaid=policy is not None and policy.effects != "reads")
    once = _in("idempotent", [False], unsaid=policy is None or not policy.idempotent)
    again = _at_least_one("retries", unsaid=policy is not None and policy.retries > 0)
    rules: list[Schema] = [{"not": {"type": "object", "allOf": [risky, once, again]}}]
    approve = policy.approve if policy is not None else None
    modes = ["never"] if policy is None else ["never", "always_ask_once"]
    wrong = [
        _said("approve", {"enum": modes}),
        _said("approve", _said("mode", {"enum": modes})),
        _said("approve", _said("otherwise", {"const": "approve"})),
    ]
    if approve is not None and (approve.mode != "ask" or approve.otherwise == "approve"):
        wrong.append({"properties": {"approve": UNSAID}})
    rules.append({"not": {"type": "object", "allOf": [*dangerous, {"anyOf": wrong}]}})
    if tool is not None:
        names = sorted(parameters_of(tool))
        secret = {"anyOf": [{"enum": names}, ref(VARIABLE)]}
        rules.append({"properties": {"secret": {"items": secret}}})
    return rules


def _in(key: str, values: list[object], *, unsaid: bool) -> Schema:
    said = _said(key, {"enum": values})
    return {"anyOf": [said, {"properties": {key: UNSAID}}]} if unsaid else said


def _at_least_one(key: str, *, unsaid: bool) -> Schema:
    said = _said(key, {"type": "integer", "minimum": 1})
    return {"anyOf": [said, {"properties": {key: UNSAID}}]} if unsaid else said


def _said(key: str, value: Schema) -> Schema:
    return {"type": "object", "required": [key], "properties": {key: value}}
