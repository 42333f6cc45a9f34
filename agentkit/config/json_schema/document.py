"""The whole schema of a configuration."""

from agentkit.config.json_schema.needed import ALONE, Needed
from agentkit.config.json_schema.offered import NOT_OFF, Offered
from agentkit.config.json_schema.rules import (
    G711,
    HOSTED,
    limit_rules,
    limits_unsaid,
    needs_of,
    recording_rules,
    tool_rules,
    turn_rules,
    turn_unsaid,
)
from agentkit.config.json_schema.scalars import Schema, ref
from agentkit.config.json_schema.shapes import Shapes
from agentkit.config.schema import Config, HostedTool, Limits, PythonTool, Session, Turn
from agentkit.config.shape import fields_of
from agentkit.plugins import Plugins


def json_schema(plugins: Plugins, *, closed: bool = True) -> dict[str, object]:
    """Return the JSON Schema (draft-07) of configurations, with the names and options of plugins.

    Args:
        plugins: What there is; each is imported, and one that fails is left out.
        closed: Refuse the names of what is not there; otherwise they stand for plugins that are elsewhere.
    """
    shapes, needed = Shapes(), Needed()
    offered = Offered(plugins, shapes, needed, closed=closed)
    preset = offered.names("presets")
    several = {"type": "array", "items": {"anyOf": [*preset["anyOf"], {"const": "inherit"}]}}
    shapes.set_field(Config, "preset", {"anyOf": [*preset["anyOf"], several, {"type": "null"}]})
    plugin = {"anyOf": [*offered.plugins()["anyOf"], {"const": "inherit"}]}
    shapes.set_field(Config, "plugins", {"anyOf": [{"type": "array", "items": plugin}, {"type": "null"}]})
    _combine(shapes, needed, plugins if closed else None)
    offered.add_all()
    whole = shapes.block(Config, part=True)
    definitions: Schema = {**shapes.definitions, "alone": needed.of(Config)}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "agentkit configuration",
        **whole,
        "type": "object",
        "allOf": [*whole.get("allOf", ()), {"if": ALONE, "then": ref("alone")}],
        "definitions": dict(sorted(definitions.items())),
    }


def _combine(shapes: Shapes, needed: Needed, plugins: Plugins | None) -> None:
    """Add what does not go together, whatever is installed."""
    shapes.add_rules(Turn, turn_rules())
    needed.add_rules(Turn, turn_unsaid(str(fields_of(Turn)["mode"].default)))
    formats: Schema = dict.fromkeys(("input_format", "output_format"), G711)
    shapes.add_rules(Session, [{"properties": formats}])
    shapes.add_rules(PythonTool, tool_rules(None))
    shapes.add_rules(Limits, limit_rules())
    needed.add_rules(Limits, limits_unsaid(str(fields_of(Limits)["on_limit"].default)))
    shapes.add_rules(Config, recording_rules())
    for cls, key, schema in needs_of(plugins) if plugins is not None else ():
        if key:
            shapes.set_field(cls, key, schema)
        else:
            shapes.add_rules(cls, [schema])
    on = {"if": {"properties": NOT_OFF}, "then": {"properties": {"hosted_mcp": HOSTED}}}
    shapes.add_rules(HostedTool, [on])
