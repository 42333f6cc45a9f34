"""Handlers of tools: a definition in the protocol's form, and a function that takes the arguments as one object."""

import difflib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from agentkit.client.plain import PlainDict, plain
from agentkit.tools import Tool, ToolContext
from agentkit.tools.declared import Declared
from agentkit.tools.signature import is_coroutine_function

Filling: TypeAlias = Callable[[dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]
"""Makes a handler's arguments of those of a call."""


class AddedTool(PlainDict):
    """What ``add_tool`` returns: ``definition`` and ``handler``."""


KEYS: Final = ("type", "name", "description", "parameters", "examples", "strict")
"""What a definition may have."""


def checked_name(definition: Mapping[str, Any]) -> str:
    """Check a definition's outer shape, and return its name.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(definition, Mapping):
        raise TypeError(f"a definition is an object with name, description and parameters, not {definition!r}")
    for key in definition:
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(KEYS)}"
            raise TypeError(f"a definition has no {key!r}; {hint}")
    if not definition.get("name"):
        raise TypeError("the definition has no name")
    return str(definition["name"])


def tool_of(definition: Mapping[str, Any], handler: Callable[..., object]) -> "Tool[..., object]":
    """Make a tool.

    A handler whose parameters have the names of the definition's properties gets the arguments by name; any other gets
    them as one object, by key and by attribute, as in JavaScript. One that has a ``ToolContext`` gets that besides.

    Raises:
        TypeError: The definition or the handler cannot be used.
    """
    if not callable(handler):
        raise TypeError(f"the handler of {definition.get('name')!r} has to be callable, not {type(handler).__name__}")
    parameters = _parameters(handler)
    contexts = tuple(each.name for each in parameters if _is_context(each.annotation))
    own = [each for each in parameters if each.name not in contexts]
    filling = _names(own, contexts) if _by_name(definition, own) else _one_object(own, contexts)
    examples = definition.get("examples", ())
    made: Tool[..., object] = Tool.from_definition(definition, _filled(handler, filling), examples=examples)
    if not contexts or not isinstance(made.signature, Declared):
        return made
    return replace(made, signature=replace(made.signature, context_names=contexts))


def _parameters(handler: Callable[..., object]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(handler, eval_str=True).parameters.values())
    except NameError:  # an annotation that only a type checker sees
        return list(inspect.signature(handler).parameters.values())
    except (TypeError, ValueError):  # some built-in functions have none
        return [inspect.Parameter("arguments", inspect.Parameter.POSITIONAL_ONLY)]


def _is_context(annotation: object) -> bool:
    return ToolContext in (annotation, *typing.get_args(annotation))


def _takes_any_name(parameters: Sequence[inspect.Parameter]) -> bool:
    return any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)


def _by_name(definition: Mapping[str, Any], parameters: Sequence[inspect.Parameter]) -> bool:
    """Tell whether a handler takes the arguments by name."""
    schema = definition.get("parameters")
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    named = [each for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD]
    needed = [each for each in named if each.default is inspect.Parameter.empty]
    asked = needed or named
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return (bool(asked) or _takes_any_name(parameters)) and all(
        each.kind in kinds and each.name in (properties if isinstance(properties, Mapping) else ()) for each in asked
    )


def _names(parameters: Sequence[inspect.Parameter], contexts: Sequence[str]) -> Filling:
    """Give what the handler takes, and leave out what it does not."""
    taken = {each.name for each in parameters} | set(contexts)
    every = _takes_any_name(parameters)
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    needed = [each.name for each in parameters if each.kind in kinds and each.default is inspect.Parameter.empty]

    def fill(arguments: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = {name: each for name, each in arguments.items() if every or name in taken}
        return (), dict.fromkeys(needed) | given  # what the model leaves out is None, as it is undefined in JavaScript

    return fill


def _one_object(parameters: Sequence[inspect.Parameter], contexts: Sequence[str]) -> Filling:
    def fill(arguments: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = {name: arguments.pop(name) for name in contexts}
        return ((plain(arguments),) if parameters else ()), given

    return fill


def _filled(handler: Callable[..., object], fill: Filling) -> Callable[..., object]:
    """Return a function that takes a call's arguments by name, and calls the handler."""
    if is_coroutine_function(handler):

        @wraps(handler)
        async def call_async(**arguments: object) -> object:
            positional, named = fill(arguments)
            result: Any = handler(*positional, **named)
            return await result

        return call_async

    @wraps(handler)
    def call(**arguments: object) -> object:
        positional, named = fill(arguments)
        return handler(*positional, **named)

    return call
