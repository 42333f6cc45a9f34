"""Tool and `tool`: a function that a model may call, with what the model is told of it and how a call is run.

Arguments are checked by agentkit.tools.shapes, results converted by agentkit.tools.output, bodies run by
agentkit.tools.running.
"""

import copy
import functools
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Generic, Literal, ParamSpec, TypeAlias, TypeVar, get_args, overload

import msgspec
from msgspec import UNSET, Struct, UnsetType

from agentkit.errors import ToolArgumentsError
from agentkit.tools.arguments import arguments_error, read_arguments
from agentkit.tools.context import ToolCall, ToolContext
from agentkit.tools.declared import Declared
from agentkit.tools.docs import Docs, read_docs
from agentkit.tools.output import MAX_OUTPUT_BYTES
from agentkit.tools.results import ToolResult
from agentkit.tools.schema import Schema
from agentkit.tools.signature import (
    Parameters,
    describe,
    is_coroutine_function,
    read_signature,
    written_function,
)

if TYPE_CHECKING:
    from anyio import CapacityLimiter

P = ParamSpec("P")
R = TypeVar("R", covariant=True)

DEFAULT_TIMEOUT = 30.0
"""Seconds that a body may take where neither the tool nor the session says otherwise."""

OnInterrupt: TypeAlias = Literal["finish", "cancel"]
"""``finish``: the call goes on, and its output is kept; ``cancel``: it is given up, and the model is told so."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Tool(Struct, Generic[P, R], frozen=True, kw_only=True, eq=False, dict=True):
    """A function that a model may call. Calling the tool calls the function.

    Make one with `tool`, or with `Tool.from_definition` where the JSON Schema comes from elsewhere.
    """

    name: str
    function: Callable[P, R]
    signature: Parameters
    """What its arguments must be."""
    is_async: bool
    """Whether the body runs in the calling task; otherwise it runs in a worker thread."""
    timeout: float | None = None
    """Seconds that the body may take; None leaves it to the session, `math.inf` means no limit."""
    examples: tuple[str, ...] = ()
    """Phrases with which a user may ask for it."""
    on_interrupt: OnInterrupt = "finish"
    """What becomes of a call that runs when the user cuts the agent off."""
    given_description: str | None = None
    """A description that stands in for the docstring's."""

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise TypeError(
                f"{self.name!r} cannot be a tool's name, which is 1 to 64 of a-z, A-Z, 0-9, _ and -;"
                " give another with name="
            )
        if self.on_interrupt not in get_args(OnInterrupt):
            known = ", ".join(get_args(OnInterrupt))
            raise TypeError(f"tool {self.name}: on_interrupt is {self.on_interrupt!r}, and must be one of {known}")
        if self.timeout is not None and not self.timeout > 0:
            raise TypeError(f"tool {self.name}: timeout is {self.timeout}, and must be above 0 seconds, or None")

    @classmethod
    def from_definition(
        cls,
        definition: Mapping[str, object],
        function: Callable[..., R],
        *,
        timeout: float | None = None,
        examples: Iterable[str] = (),
    ) -> "Tool[..., R]":
        """Make a tool of a definition in the protocol's form.

        The function gets the arguments by name, as JSON has them. They are checked against the definition where
        it says one thing only (types, choices, required and unknown names); the rest is the function's to check.

        Raises:
            TypeError: The definition has no fit name, or its parameters are not a JSON Schema of an object.
        """
        parameters = definition.get("parameters")
        schema = {"type": "object", "properties": {}} if parameters is None else parameters
        name = definition.get("name")
        if not isinstance(schema, dict) or schema.get("type", "object") != "object":
            raise TypeError(f"tool {name}: parameters must be the JSON Schema of an object")
        return Tool(
            name=str(name or ""),
            function=function,
            signature=Declared(given=copy.deepcopy(schema)),
            is_async=is_coroutine_function(function),
            timeout=timeout,
            examples=tuple(examples),
            given_description=str(definition.get("description") or ""),
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, as if it were no tool."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"

    @functools.cached_property
    def _docs(self) -> Docs:
        return read_docs(_doc(self.function))

    @functools.cached_property
    def description(self) -> str:
        """What the model is told of the tool: the docstring without its sections, unless given otherwise."""
        return self._docs.summary if self.given_description is None else self.given_description

    @functools.cached_property
    def parameters(self) -> Schema:
        """The JSON Schema of the arguments. Made once: not to be changed."""
        return self.signature.schema(self._docs.parameters)

    def definition(self) -> dict[str, object]:
        """Give what a session declares to the server: type, name, description and parameters."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": copy.deepcopy(self.parameters),
        }

    def renamed(self, name: str) -> "Tool[P, R]":
        """Give the same tool under another name.

        Raises:
            TypeError: The name is none that a tool can have.
        """
        return msgspec.structs.replace(self, name=name)

    def with_(
        self,
        *,
        description: str | UnsetType = UNSET,
        timeout: float | UnsetType | None = UNSET,
        examples: Iterable[str] | UnsetType = UNSET,
        on_interrupt: OnInterrupt | UnsetType = UNSET,
    ) -> "Tool[P, R]":
        """Give the same tool with another description or policy; what is left out stays.

        Raises:
            TypeError: A value that a tool cannot have.
        """
        return msgspec.structs.replace(
            self,
            given_description=self.given_description if description is UNSET else description,
            timeout=self.timeout if timeout is UNSET else timeout,
            examples=self.examples if examples is UNSET else _phrases(examples),
            on_interrupt=self.on_interrupt if on_interrupt is UNSET else on_interrupt,
        )

    def bind(self, raw_arguments: str) -> dict[str, object]:
        """Check and convert the arguments of a call; what is left out is left to the function's defaults.

        Raises:
            ToolArgumentsError: They do not fit; every problem is in it, with the path of its field.
        """
        arguments, problems = self.signature.check(read_arguments(raw_arguments), size=len(raw_arguments))
        if problems:
            raise arguments_error(problems)
        return arguments

    async def run(
        self,
        call: ToolCall,
        context: ToolContext | None = None,
        *,
        default_timeout: float = DEFAULT_TIMEOUT,
        max_bytes: int = MAX_OUTPUT_BYTES,
        limiter: "CapacityLimiter | None" = None,
    ) -> ToolResult:
        """Answer a call: bad arguments, a failure, a timeout and an odd value each become a result.

        A plain function that does not end in time goes on in its thread; a coroutine is cancelled, and waited
        for.

        Args:
            call: The call, as the model made it.
            context: What a parameter annotated `ToolContext` receives; None gives one with the call alone.
            default_timeout: Seconds for a tool that has no timeout of its own.
            max_bytes: How much UTF-8 of the output is sent.
            limiter: How many worker threads may run at once; None is anyio's own limit.

        Raises:
            BaseException: Cancellation of the surroundings, and a Ctrl-C from the terminal; nothing else.
        """
        from agentkit.tools.running import Body, Limits, run_body

        try:
            arguments = self.bind(call.raw_arguments)
        except ToolArgumentsError as error:
            return ToolResult.invalid(error)
        if self.signature.context_names:
            given = ToolContext(call=call) if context is None else context
            arguments |= dict.fromkeys(self.signature.context_names, given)
        seconds = default_timeout if self.timeout is None else self.timeout
        return await run_body(
            Body(name=self.name, function=self.function, arguments=arguments, is_async=self.is_async),
            Limits(seconds=seconds, max_bytes=max_bytes, limiter=limiter),
        )


@overload
def tool(
    function: Callable[P, R],
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    examples: Iterable[str] = (),
    on_interrupt: OnInterrupt = "finish",
) -> Tool[P, R]: ...
@overload
def tool(
    function: None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    examples: Iterable[str] = (),
    on_interrupt: OnInterrupt = "finish",
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Callable[P, R] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    examples: Iterable[str] = (),
    on_interrupt: OnInterrupt = "finish",
) -> Tool[P, R] | Callable[[Callable[P, R]], Tool[P, R]]:
    """Make a tool of a function, bound method, partial or object with `__call__`.

    It decorates as `@tool` and as `@tool(...)`. The model is told the docstring, and of each parameter its
    annotation, its default and what the docstring says of it. A parameter annotated `ToolContext` receives
    the context instead. What a partial already fills in is not shown.

    Args:
        function: What to call.
        name: The tool's name; the function's own by default.
        description: What the model is told instead of the docstring's text.
        timeout: Seconds that the body may take; None leaves it to the session, `math.inf` means no limit.
        examples: Phrases with which a user may ask for it.
        on_interrupt: What becomes of a call that runs when the user cuts the agent off: it finishes, or is cancelled
            (a plain function goes on in its thread, and its result is dropped).

    Raises:
        TypeError: The function cannot be a tool: a parameter that JSON cannot fill, an annotation that cannot
            be resolved, a generator, or a name that does not fit.
    """
    if function is None:
        return lambda target: _make(
            target,
            name=name,
            description=description,
            timeout=timeout,
            examples=examples,
            on_interrupt=on_interrupt,
            frame=sys._getframe(1),
        )
    return _make(
        function,
        name=name,
        description=description,
        timeout=timeout,
        examples=examples,
        on_interrupt=on_interrupt,
        frame=sys._getframe(1),
    )


def _make(
    function: Callable[P, R],
    *,
    name: str | None,
    description: str | None,
    timeout: float | None,
    examples: Iterable[str],
    on_interrupt: OnInterrupt,
    frame: FrameType,
) -> Tool[P, R]:
    if isinstance(function, Tool):
        raise TypeError(f"{function.name} is a tool already; use its renamed() or with_()")
    if not callable(function):
        raise TypeError(f"{type(function).__name__} cannot be a tool: it cannot be called")
    # Types local to where the tool is made are found only there, and mean something to that module only.
    home = written_function(function)
    near = frame.f_locals if getattr(home, "__globals__", None) is frame.f_globals else {}
    return Tool(
        name=name or describe(function).rpartition(".")[2],
        function=function,
        signature=read_signature(function, near),
        is_async=is_coroutine_function(function),
        timeout=timeout,
        examples=_phrases(examples),
        on_interrupt=on_interrupt,
        given_description=description,
    )


def _phrases(examples: Iterable[str]) -> tuple[str, ...]:
    if isinstance(examples, str):
        raise TypeError("examples must be several phrases, not one str")
    return tuple(examples)


def _doc(function: Callable[..., object]) -> str | None:
    """Find the docstring; an object that is called may have it on its class."""
    return written_function(function).__doc__ or type(function).__doc__
