"""Tool and `tool`: a function that a model may call, with what the model is told of it and how a call is run.

Arguments are checked by agentkit.tools.shapes, results converted by agentkit.tools.output, bodies run by
agentkit.tools.running.
"""

import copy
import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack, overload

import msgspec
from msgspec import UNSET, Struct, UnsetType

from agentkit.errors import ToolArgumentsError
from agentkit.tools.arguments import arguments_error, read_arguments
from agentkit.tools.context import ToolCall, ToolContext
from agentkit.tools.declared import Declared
from agentkit.tools.docs import Docs, read_docs
from agentkit.tools.output import MAX_OUTPUT_BYTES
from agentkit.tools.policy import Policy, PolicyOptions
from agentkit.tools.results import ToolResult
from agentkit.tools.schema import Schema
from agentkit.tools.secrets import masked, secret_values
from agentkit.tools.signature import (
    Parameters,
    describe,
    is_async_generator,
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
    streams: bool = False
    """Whether the body is an async generator, whose values are partial results."""
    policy: Policy = Policy()
    """What may be done with it."""
    examples: tuple[str, ...] = ()
    """Phrases with which a user may ask for it."""
    given_description: str | None = None
    """A description that stands in for the docstring's."""
    where: str | None = None
    """Where a configuration names it, as ``agent.yaml:31:5``."""

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise TypeError(
                f"{self.name!r} cannot be a tool's name, which is 1 to 64 of a-z, A-Z, 0-9, _ and -;"
                " give another with name="
            )
        if not self.policy.secret:
            return
        unknown = sorted(self.policy.secret - set(_properties(self.parameters)))
        if unknown:
            raise TypeError(f"tool {self.name}: it has no parameter {', '.join(unknown)} that could be secret")

    @classmethod
    def from_definition(
        cls,
        definition: Mapping[str, object],
        function: Callable[..., R],
        *,
        context: str | None = None,
        examples: Iterable[str] = (),
        **policy: Unpack[PolicyOptions],
    ) -> "Tool[..., R]":
        """Make a tool of a definition in the protocol's form.

        The function gets the arguments by name, as JSON has them. They are checked against the definition where
        it says one thing only (types, choices, required and unknown names); the rest is the function's to check.

        Args:
            definition: Its ``name``, ``description`` and ``parameters``.
            function: What to call.
            context: The parameter of the function that receives the ``ToolContext``, where one does.
            examples: Phrases with which a user may ask for it.
            policy: The fields of ``Policy``.

        Raises:
            TypeError: The definition has no fit name, its parameters are not a JSON Schema of an object, or the policy
                does not fit.
        """
        parameters = definition.get("parameters")
        schema = {"type": "object", "properties": {}} if parameters is None else parameters
        name = definition.get("name")
        if not isinstance(schema, dict) or schema.get("type", "object") != "object":
            raise TypeError(f"tool {name}: parameters must be the JSON Schema of an object")
        return Tool(
            name=str(name or ""),
            function=function,
            signature=Declared(given=copy.deepcopy(schema), context_names=() if context is None else (context,)),
            is_async=is_coroutine_function(function) or is_async_generator(function),
            streams=is_async_generator(function),
            policy=Policy().changed(policy),
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

    def named_at(self, where: str) -> "Tool[P, R]":
        """Give the same tool, which knows where a configuration names it."""
        return msgspec.structs.replace(self, where=where)

    def with_(
        self,
        *,
        description: str | UnsetType = UNSET,
        examples: Iterable[str] | UnsetType = UNSET,
        **policy: Unpack[PolicyOptions],
    ) -> "Tool[P, R]":
        """Give the same tool with another description, examples or policy; what is left out stays.

        Raises:
            TypeError: A value that a tool cannot have.
        """
        return msgspec.structs.replace(
            self,
            given_description=self.given_description if description is UNSET else description,
            examples=self.examples if examples is UNSET else _phrases(examples),
            policy=_policy(self.name, self.policy, policy),
        )

    def masked(self, raw_arguments: str) -> str:
        """Return the arguments of a call as they may be shown: ``***`` stands for those that are secret."""
        secret = self.policy.secret
        return masked(raw_arguments, secret, frozenset(_properties(self.parameters))) if secret else raw_arguments

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

        A plain function that does not end in time goes on in its thread; a coroutine is cancelled, and waited for.
        Nobody is asked for approval here.

        Args:
            call: The call, as the model made it.
            context: What a parameter annotated `ToolContext` receives; None gives one with the call alone.
            default_timeout: Seconds for a tool that has no timeout of its own.
            max_bytes: How much UTF-8 of the output is sent, where the tool's policy says nothing.
            limiter: How many worker threads may run at once; None is anyio's own limit.

        Raises:
            BaseException: Cancellation of the surroundings, and a Ctrl-C from the terminal; nothing else.
        """
        try:
            arguments = self.bind(call.raw_arguments)
        except ToolArgumentsError as error:
            return ToolResult.invalid(error)
        return await self.run_bound(
            arguments,
            ToolContext(call=call) if context is None else context,
            default_timeout=default_timeout,
            max_bytes=max_bytes,
            limiter=limiter,
            secrets=secret_values(call.raw_arguments, self.policy.secret),
        )

    async def run_bound(
        self,
        arguments: Mapping[str, object],
        context: ToolContext,
        *,
        default_timeout: float = DEFAULT_TIMEOUT,
        max_bytes: int = MAX_OUTPUT_BYTES,
        limiter: "CapacityLimiter | None" = None,
        secrets: tuple[str, ...] = (),
    ) -> ToolResult:
        """Answer a call as ``run`` does, with arguments that ``bind`` has given; again where the policy says so.

        Args:
            secrets: Texts that are not written to the log.
        """
        from agentkit.tools.running import Body, Limits, run_body, worth_another_try

        policy = self.policy
        limits = Limits(
            seconds=default_timeout if policy.timeout is None else policy.timeout,
            max_bytes=max_bytes if policy.max_result_bytes is None else policy.max_result_bytes,
            limiter=limiter,
        )
        attempt = 1
        while True:
            given = {**arguments, **dict.fromkeys(self.signature.context_names, context)}
            body = Body(
                name=self.name,
                function=self.function,
                arguments=given,
                is_async=self.is_async,
                partial=context.tell_partial if self.streams else None,
                secrets=secrets,
                where=self.where,
            )
            result = await run_body(body, limits)
            if attempt > policy.retries or not await worth_another_try(body, result, attempt):
                return result
            attempt += 1
            context = msgspec.structs.replace(context, attempt=attempt)


@overload
def tool(
    function: Callable[P, R],
    *,
    name: str | None = None,
    description: str | None = None,
    examples: Iterable[str] = (),
    **policy: Unpack[PolicyOptions],
) -> Tool[P, R]: ...
@overload
def tool(
    function: None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    examples: Iterable[str] = (),
    **policy: Unpack[PolicyOptions],
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Callable[P, R] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    examples: Iterable[str] = (),
    **policy: Unpack[PolicyOptions],
) -> Tool[P, R] | Callable[[Callable[P, R]], Tool[P, R]]:
    """Make a tool of a function, bound method, partial or object with `__call__`.

    It decorates as `@tool` and as `@tool(...)`. The model is told the docstring, and of each parameter its
    annotation, its default and what the docstring says of it. A parameter annotated `ToolContext` receives
    the context instead. What a partial already fills in is not shown.

    An async generator tells its progress by what it yields: each value is a ``ToolProgress``, the last is the result.

    Args:
        function: What to call.
        name: The tool's name; the function's own by default.
        description: What the model is told instead of the docstring's text.
        examples: Phrases with which a user may ask for it.
        policy: What may be done with it, the fields of ``Policy``: ``timeout``, ``retries``, ``idempotent``,
            ``effects``, ``approve`` (a mode, or an ``Approval``), ``concurrency``, ``on_interrupt``, ``reply``,
            ``background``, ``progress``, ``filler``, ``max_result_bytes`` and ``secret``.

    Raises:
        TypeError: The function cannot be a tool: a parameter that JSON cannot fill, an annotation that cannot
            be resolved, a generator, a name or a policy that does not fit.
    """
    frame = sys._getframe(1)

    def make(target: Callable[P, R]) -> Tool[P, R]:
        return _make(
            target, name=name, description=description, examples=examples, policy=policy, frame=sys._getframe(1)
        )

    if function is None:
        return make
    return _make(function, name=name, description=description, examples=examples, policy=policy, frame=frame)


def _make(
    function: Callable[P, R],
    *,
    name: str | None,
    description: str | None,
    examples: Iterable[str],
    policy: PolicyOptions,
    frame: FrameType,
) -> Tool[P, R]:
    if isinstance(function, Tool):
        raise TypeError(f"{function.name} is a tool already; use its renamed() or with_()")
    if not callable(function):
        raise TypeError(f"{type(function).__name__} cannot be a tool: it cannot be called")
    # Types local to where the tool is made are found only there, and mean something to that module only.
    home = written_function(function)
    near = frame.f_locals if getattr(home, "__globals__", None) is frame.f_globals else {}
    signature = read_signature(function, near)
    called = name or describe(function).rpartition(".")[2]
    return Tool(
        name=called,
        function=function,
        signature=signature,
        is_async=is_coroutine_function(function) or is_async_generator(function),
        streams=is_async_generator(function),
        policy=_policy(called, Policy(), policy),
        examples=_phrases(examples),
        given_description=description,
    )


def _policy(name: str, policy: Policy, options: PolicyOptions) -> Policy:
    try:
        return policy.changed(options) if options else policy
    except TypeError as error:
        raise TypeError(f"tool {name}: {error}") from error


def _properties(schema: Schema) -> Iterable[str]:
    properties: Any = schema.get("properties")
    return properties if isinstance(properties, dict) else ()


def _phrases(examples: Iterable[str]) -> tuple[str, ...]:
    if isinstance(examples, str):
        raise TypeError("examples must be several phrases, not one str")
    return tuple(examples)


def _doc(function: Callable[..., object]) -> str | None:
    """Find the docstring; an object that is called may have it on its class."""
    own = written_function(function).__doc__
    plain = inspect.isroutine(function) or isinstance(function, functools.partial)  # whose classes' say nothing of it
    return own if own or plain else type(function).__doc__
