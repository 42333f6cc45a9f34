"""From a function's signature to the shape of its arguments.

Rule: what cannot work is a TypeError here, when the tool is made, naming the function, the parameter and the
reason.
"""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping

from msgspec import UNSET, Struct

from agentkit.tools.annotations import Scope, UnsupportedError
from agentkit.tools.context import ToolContext
from agentkit.tools.records import Field, Record
from agentkit.tools.schema import Definitions, Schema
from agentkit.tools.shapes import Check

Function = Callable[..., object]
_BUDGET = 10_000
_BUDGET_PER_CHARACTER = 50


class Parameters(typing.Protocol):
    """What a call's arguments must be."""

    @property
    def context_names(self) -> tuple[str, ...]:
        """The parameters that receive the ToolContext."""

    def schema(self, described: Mapping[str, str]) -> Schema:
        """Give the JSON Schema; `described` is what the docstring says of each parameter."""

    def check(self, values: dict[str, object], *, size: int) -> tuple[dict[str, object], list[tuple[str, str]]]:
        """Convert the arguments; give them, and the problems. `size` is the length of their text."""


class Signature(Struct, frozen=True, kw_only=True):
    """The parameters of a Python function."""

    record: Record
    context_names: tuple[str, ...]

    def schema(self, described: Mapping[str, str]) -> Schema:
        """Give the JSON Schema."""
        defs = Definitions()
        return defs.close(self.record.object_schema(defs, described))

    def check(self, values: dict[str, object], *, size: int) -> tuple[dict[str, object], list[tuple[str, str]]]:
        """Convert the arguments; give them, and the problems."""
        check = Check(lax=True, budget=[_BUDGET + _BUDGET_PER_CHARACTER * size])
        found = self.record.check(values, "", check)
        return (found if isinstance(found, dict) else {}), check.problems


def read_signature(function: Function, local: Mapping[str, object] | None) -> Signature:
    """Read the parameters of a function.

    Args:
        function: A function, bound method, partial, or object with `__call__`.
        local: The local names where the tool is made, or None where that is another module.

    Raises:
        TypeError: A parameter cannot be filled from JSON.
    """
    called = describe(function)
    home = written_function(function)
    _refuse_kind(function, home, called)
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError, NameError) as error:
        raise TypeError(f"{called} cannot be a tool: it has no signature that can be read ({error})") from error
    names: dict[str, object] = getattr(home, "__globals__", {})
    scope = Scope(names=names, local=local or {}, module=str(names.get("__name__")))
    fixed = function.keywords if isinstance(function, functools.partial) else {}
    fields: list[Field] = []
    context_names: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.name in fixed:
            continue  # a partial's own argument is not the model's business; it may be a secret
        try:
            field = _field(parameter, scope)
        except UnsupportedError as error:
            raise TypeError(f"{called} cannot be a tool: parameter {parameter.name!r}: {error}") from error
        if field is None:
            context_names.append(parameter.name)
        else:
            fields.append(field)
    record = Record(called, dict)
    record.fields = fields
    return Signature(record=record, context_names=tuple(context_names))


def describe(function: Function) -> str:
    """Name a function for a message."""
    home = written_function(function)
    name = getattr(home, "__qualname__", None) or type(function).__name__
    return str(name).rpartition("<locals>.")[2].removesuffix(".__call__")


def written_function(function: Function) -> Function:
    """Find the function somebody wrote: inside of partials, bound methods, `__call__` and wrappers."""
    while isinstance(function, functools.partial):
        function = function.func
    if not isinstance(function, types.FunctionType | types.MethodType | types.BuiltinFunctionType | type):
        function = getattr(function, "__wrapped__", None) or type(function).__call__
    plain: Function = function.__func__ if isinstance(function, types.MethodType) else function
    written: Function = inspect.unwrap(plain)
    return written


def is_coroutine_function(function: Function) -> bool:
    """Whether a call gives an awaitable, as far as that can be told without calling."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def is_async_generator(function: Function) -> bool:
    """Whether a call gives an async generator."""
    return inspect.isasyncgenfunction(function) or inspect.isasyncgenfunction(type(function).__call__)


def _refuse_kind(function: Function, home: Function, called: str) -> None:
    if isinstance(function, type):
        raise TypeError(f"{called} cannot be a tool: it is a class; give a function")
    for candidate in (function, type(function).__call__):
        if inspect.isgeneratorfunction(candidate):
            raise TypeError(
                f"{called} cannot be a tool: it is a generator; return the whole result, or make it `async def`"
            )
    outer = getattr(home, "__qualname__", "").rpartition(".")[0]
    first = next(iter(getattr(getattr(home, "__code__", None), "co_varnames", ())), None)
    if function is home and outer and not outer.endswith("<locals>") and first in ("self", "cls"):
        raise TypeError(f"{called} cannot be a tool: it is a method; use tool(instance.{home.__name__}) instead")


def _field(parameter: inspect.Parameter, scope: Scope) -> Field | None:
    """Make the field of a parameter; None stands for the context."""
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
        raise UnsupportedError(f"{stars}{parameter.name} cannot be described to a model; name each parameter")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise UnsupportedError("it is positional-only, and a model gives arguments by name")
    missing = parameter.default is parameter.empty
    default = UNSET if missing else parameter.default
    if parameter.annotation is parameter.empty:
        return _unannotated(parameter.name, default, scope, missing=missing)
    annotation = scope.resolve(parameter.annotation)
    if _is_context(annotation):
        return None
    return scope.field(parameter.name, annotation, default=default, required=missing)


def _unannotated(name: str, default: object, scope: Scope, *, missing: bool) -> Field:
    if not missing and default is not None:
        try:
            return scope.field(name, type(default), default=default, required=False)
        except UnsupportedError:
            pass
    return scope.field(name, object, default=default, required=missing)


def _is_context(annotation: object) -> bool:
    if typing.get_origin(annotation) is typing.Annotated:
        return _is_context(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = set(typing.get_args(annotation)) - {type(None)}
        return members == {ToolContext}
    return annotation is ToolContext
