"""Handlers of tools: a definition in the protocol's form, and a function that takes the arguments as one object."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from agentkit.client.plain import PlainDict, plain
from agentkit.tools import Tool
from agentkit.tools.signature import is_coroutine_function


class AddedTool(PlainDict):
    """What ``add_tool`` returns: ``definition`` and ``handler``."""


def tool_of(definition: Mapping[str, Any], handler: Callable[..., object]) -> "Tool[..., object]":
    """Make a tool.

    A handler whose parameters have the names of the definition's properties gets the arguments by name; any other gets
    them as one object, by key and by attribute, as in JavaScript.

    Raises:
        TypeError: The definition or the handler cannot be used.
    """
    if not callable(handler):
        raise TypeError(f"the handler of {definition.get('name')!r} has to be callable, not {type(handler).__name__}")
    return Tool.from_definition(definition, handler if _by_name(definition, handler) else _as_one_object(handler))


def _by_name(definition: Mapping[str, Any], handler: Callable[..., object]) -> bool:
    """Tell whether a handler takes the arguments by name."""
    parameters = _parameters(handler)
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        return True
    schema = definition.get("parameters")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    needed = [each.name for each in parameters if each.default is inspect.Parameter.empty]
    names = needed or [each.name for each in parameters]
    return bool(names) and set(names) <= set(properties if isinstance(properties, Mapping) else ())


def _parameters(handler: Callable[..., object]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):  # some built-in functions have none
        return [inspect.Parameter("arguments", inspect.Parameter.POSITIONAL_ONLY)]


def _as_one_object(handler: Callable[..., object]) -> Callable[..., object]:
    takes_it = bool(_parameters(handler))

    if is_coroutine_function(handler):

        @wraps(handler)
        async def call_async(**arguments: object) -> object:
            result: Any = handler(plain(arguments)) if takes_it else handler()
            return await result

        return call_async

    @wraps(handler)
    def call(**arguments: object) -> object:
        return handler(plain(arguments)) if takes_it else handler()

    return call
