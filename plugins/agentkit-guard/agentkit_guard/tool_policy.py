"""``tool-policy``: which tools may be called, and with what arguments.

Rule: arguments are read once, strictly, and written again in one way, so what was checked is what runs.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import ClassVar, Final, Literal

import msgspec
from msgspec.structs import replace

from agentkit import Middleware, NextCall, ToolCall, ToolResult
from agentkit_guard.arguments import canonical, parse

_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+|\*)\]")


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What one argument has to be."""

    argument: str
    """Its name, or a path: ``account.id``, ``items[*].price``."""
    tool: str = "*"
    """The tools that it is for: a name, or a pattern such as ``delete_*``."""
    equals: str | int | float | bool | None = None
    """The one value that it may have."""
    one_of: tuple[str | int | float | bool, ...] | None = None
    """The values that it may have."""
    matches: str | None = None
    """A regular expression that all of the text has to match."""
    min: int | float | None = None
    """The least number that it may be."""
    max: int | float | None = None
    """The greatest number that it may be."""
    missing: Literal["refuse", "allow"] = "refuse"
    """What becomes of a call that leaves it out, so that the tool's own default would hold."""

    def __post_init__(self) -> None:
        if all(value is None for value in (self.equals, self.one_of, self.matches, self.min, self.max)):
            raise ValueError(f"the rule for {self.argument!r} says nothing: equals, one_of, matches, min or max")
        if self.matches is not None:
            try:
                re.compile(self.matches)
            except re.error as error:
                raise ValueError(f"matches is {self.matches!r}, which is no regular expression: {error}") from error
        steps(self.argument)


class ToolPolicyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the ``tool-policy`` guard."""

    allow: tuple[str, ...] | None = None
    """The tools that may be called, by name or by a pattern such as ``get_*``; left out, all that are not denied."""
    deny: tuple[str, ...] = ()
    """The tools that may not, by name or pattern, whatever ``allow`` says."""
    rules: tuple[Rule, ...] = ()
    """What arguments have to be; all rules that are for a tool hold."""

    def __post_init__(self) -> None:
        if self.allow is None and not self.deny and not self.rules:
            raise ValueError("say which tools: allow, deny or rules")


def steps(path: str) -> tuple[str | int | None, ...]:
    """Read a path: names, positions, and None for every position.

    Raises:
        ValueError: It is no path.
    """
    bare = path.removeprefix("$").removeprefix(".")
    found: list[str | int | None] = []
    at = 0
    while at < len(bare):
        step = _STEP.match(bare, at)
        if step is None:
            break
        name, place = step.groups()
        found.append(name if name is not None else None if place == "*" else int(place))
        at = step.end()
    if not found or at < len(bare):
        raise ValueError(f"{path!r} is no path to an argument, such as account.id or items[*].price")
    return tuple(found)


class MissingError(Exception):
    """There is nothing where a path leads."""


class AstrayError(Exception):
    """A path leads through something that holds no such thing."""


def follow(value: object, path: tuple[str | int | None, ...]) -> Iterator[object]:
    """Yield what is at a path.

    Raises:
        MissingError: There is nothing.
        AstrayError: What is on the way there is of another kind, as a text that may hold JSON.
    """
    if not path:
        yield value
        return
    step, rest = path[0], path[1:]
    if value is None:
        raise MissingError
    if isinstance(step, str):
        if not isinstance(value, dict):
            raise AstrayError
        if value.get(step) is None:
            raise MissingError
        yield from follow(value[step], rest)
    else:
        if not isinstance(value, list):
            raise AstrayError
        if isinstance(step, int) and step >= len(value):
            raise MissingError
        for each in value if step is None else [value[step]]:
            yield from follow(each, rest)


def broken(rule: Rule, arguments: dict[str, object]) -> str | None:
    """Return why arguments break a rule; None where they keep it."""
    try:
        for value in follow(arguments, steps(rule.argument)):
            if (why := _wrong(rule, value)) is not None:
                return f"{rule.argument} {why}"
    except MissingError:
        return None if rule.missing == "allow" else f"{rule.argument} is missing"
    except AstrayError:
        return f"{rule.argument} cannot be found in what was given"
    return None


def _wrong(rule: Rule, value: object) -> str | None:
    if rule.equals is not None and not _same(value, rule.equals):
        return "has a value that is not allowed"
    if rule.one_of is not None and not any(_same(value, choice) for choice in rule.one_of):
        return "has a value that is not allowed"
    if rule.matches is not None and not (isinstance(value, str) and re.fullmatch(rule.matches, value)):
        return "is not of the form that is allowed"
    if rule.min is not None or rule.max is not None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return "must be a number"
        if rule.min is not None and not value >= rule.min:
            return f"must be at least {rule.min:g}"
        if rule.max is not None and not value <= rule.max:
            return f"must be at most {rule.max:g}"
    return None


def _same(value: object, wanted: object) -> bool:
    return value == wanted and isinstance(value, bool) is isinstance(wanted, bool)


class ToolPolicy(Middleware):
    """Refuse calls that the policy does not allow."""

    critical: ClassVar[bool] = True

    def __init__(self, config: ToolPolicyConfig) -> None:
        """Make the layer."""
        self._config = config

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        """Let a call through with the arguments that were checked, or refuse it."""
        config = self._config
        allowed = config.allow is None or any(fnmatchcase(call.name, each) for each in config.allow)
        if not allowed or any(fnmatchcase(call.name, each) for each in config.deny):
            return self._refused(call, f"{call.name} may not be called here")
        try:
            arguments = parse(call.raw_arguments)
        except ValueError as error:
            return self._refused(call, f"the arguments cannot be checked: {error}")
        for rule in config.rules:
            if fnmatchcase(call.name, rule.tool) and (why := broken(rule, arguments)) is not None:
                return self._refused(call, why)
        return await call_next(replace(call, raw_arguments=canonical(arguments)))

    def _refused(self, call: ToolCall, why: str) -> ToolResult:
        self.session.notice("guard", f"{self.name}: a call of {call.name} was refused: {why}")
        return ToolResult.refused(why)
