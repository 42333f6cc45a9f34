"""Running the body of a tool.

Rule: only cancellation of the surroundings and a real Ctrl-C leave here; everything else becomes a
ToolResult.

What the model is told of a failure is decided in `failure_text` alone: the message of a ToolError, which its
author wrote for the model, and of any other exception only the class. Its message may hold addresses, keys or
paths, so it goes to the log.
"""

import asyncio
import dis
import logging
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial

import anyio
import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import checkpoint_if_cancelled
from msgspec import Struct

from agentkit.errors import ToolError
from agentkit.masking import Masker
from agentkit.tools.cancellation import is_due, native_cancels
from agentkit.tools.output import OutputError
from agentkit.tools.results import ToolResult
from agentkit.tools.secrets import hidden

logger = logging.getLogger("agentkit.tools")

RETRY_SECONDS = 0.25
"""Before a body runs again; twice as much before each further time."""
MAX_RETRY_SECONDS = 5.0

_RAISE = dis.opmap["RAISE_VARARGS"]
_INTERRUPT_HANDLERS = ("asyncio.runners", "trio._core._ki")


class Limits(Struct, frozen=True, kw_only=True):
    """How long a body may take and how much it may say."""

    seconds: float
    max_bytes: int
    limiter: CapacityLimiter | None = None
    """How many worker threads at once; None is anyio's own limit."""


class Body(Struct, frozen=True, kw_only=True):
    """A function with its arguments."""

    name: str
    function: Callable[..., object]
    arguments: Mapping[str, object]
    is_async: bool
    partial: Callable[[object], None] | None = None
    """Takes each value of an async generator; None for other functions."""
    secrets: tuple[str, ...] = ()
    """Texts that are not written to the log."""
    where: str | None = None
    """Where a configuration names the tool."""

    @property
    def label(self) -> str:
        """The tool's name for the log, and where a configuration names it."""
        return self.name if self.where is None else f"{self.name} ({self.where})"


async def run_body(body: Body, limits: Limits) -> ToolResult:
    """Run a body and give its result.

    Raises:
        BaseException: The backend's cancellation, or a KeyboardInterrupt that came from the terminal.
    """
    cancels = native_cancels()
    scope = anyio.CancelScope(deadline=anyio.current_time() + limits.seconds)
    result: ToolResult | None = None
    try:
        with scope:
            if body.is_async:
                result = await _in_task(body, limits)
            else:
                result = await _in_worker(body, limits)
    except BaseException as error:
        # Isolation boundary of tool bodies: a crashed tool must still answer the model.
        if isinstance(error, KeyboardInterrupt | GeneratorExit):
            # GeneratorExit from outside means that the loop is closing this coroutine, which may not await
            # any more.
            if not _raised_by_body(error):
                raise
        else:
            await _yield_to_cancellation(error, cancels)
        if not scope.cancel_called:
            return _failure(body, error, limits)
        _log(body, "failed while it was stopped for taking too long", error)
    if result is None:
        kind = "it was cancelled" if body.is_async else "its thread is abandoned, and runs on"
        logger.warning("tool %s timed out after %g s; %s", body.label, limits.seconds, kind)
        return ToolResult.timed_out(body.name, limits.seconds)
    if isinstance(result.error, OutputError):
        logger.error("tool %s: %s", body.label, hidden(str(result.error), body.secrets))
    return result


def longest(seconds: float, retries: int) -> float:
    """Return the seconds after which the last try of a body has ended, where each may take ``seconds``."""
    return seconds * (retries + 1) + sum(map(_wait, range(1, retries + 1)))


async def worth_another_try(body: Body, result: ToolResult, attempt: int) -> bool:
    """Tell whether a body should run again, after waiting a while where it should.

    A ToolError is its author's answer to the model, so it stands, unless it says ``retry``.
    """
    error = result.error
    failed = result.status == "timeout" or (
        result.status == "error" and (error.retry if isinstance(error, ToolError) else True)
    )
    if failed:
        said = hidden(result.output, body.secrets)
        logger.info("tool %s is run again after try %d: %s", body.name, attempt, said)
        await anyio.sleep(_wait(attempt))
    return failed


def _wait(attempt: int) -> float:
    wait: float = RETRY_SECONDS * 2 ** (attempt - 1)
    return min(wait, MAX_RETRY_SECONDS)


def failure_text(name: str, error: BaseException) -> str:
    """Word a failure for the model; the module's docstring says what may be told."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, ToolError):
        try:
            return str(error) or f"{name} failed"
        except Exception:  # noqa: BLE001 - tool bodies: `__str__` is the tool author's code
            return f"{name} failed"
    return f"{name} failed: {type(error).__name__}"


def _failure(body: Body, error: BaseException, limits: Limits) -> ToolResult:
    if isinstance(error, ToolError):
        logger.info("tool %s answered with %s", body.label, type(error).__name__)
    else:
        _log(body, "failed", error)
    return ToolResult.failed(failure_text(body.name, error), error=error, max_bytes=limits.max_bytes)


def _log(body: Body, what: str, error: BaseException) -> None:
    """Write a failure to the log with its traceback; as a text where that holds a secret, which is left out then."""
    if not logger.isEnabledFor(logging.ERROR):
        return
    trace = "".join(traceback.format_exception(error))
    shown = Masker().text(hidden(trace, body.secrets))
    if shown == trace:
        logger.error("tool %s %s", body.label, what, exc_info=error)
    else:
        logger.error("tool %s %s\n%s", body.label, what, shown)


class _Outcome(Struct, frozen=True):
    """How a body in a worker thread ended, as a value.

    Some exceptions cannot pass a coroutine or would end the thread, and trio refuses a coroutine as a thread's result.
    """

    end: ToolResult | Awaitable[object] | BaseException


async def _in_worker(body: Body, limits: Limits) -> ToolResult:
    outcome = await anyio.to_thread.run_sync(
        partial(_in_thread, body, limits), abandon_on_cancel=True, limiter=limits.limiter
    )
    if isinstance(outcome.end, BaseException):
        return _failure(body, outcome.end, limits)
    if isinstance(outcome.end, ToolResult):
        return outcome.end
    # A plain function may give an awaitable: a wrapper around a coroutine function does.
    return ToolResult.of(await outcome.end, max_bytes=limits.max_bytes)


def _in_thread(body: Body, limits: Limits) -> _Outcome:
    """Call a plain function, and convert its value here too: a large one would hold up the event loop."""
    try:
        value = body.function(**body.arguments)
        return _Outcome(value if isinstance(value, Awaitable) else ToolResult.of(value, max_bytes=limits.max_bytes))
    except BaseException as error:  # noqa: BLE001 - tool bodies: a crashed tool must still answer the model
        return _Outcome(error)


async def _in_task(body: Body, limits: Limits) -> ToolResult:
    value = body.function(**body.arguments)
    if body.partial is not None and isinstance(value, AsyncGenerator):
        last: object = None
        async with aclosing(value) as values:
            async for last in values:
                body.partial(last)
        return ToolResult.of(last, max_bytes=limits.max_bytes)
    return ToolResult.of(await value if isinstance(value, Awaitable) else value, max_bytes=limits.max_bytes)


async def _yield_to_cancellation(error: BaseException, cancels: int) -> None:
    """Raise the backend's cancellation if the surroundings were cancelled, whatever the body made of that."""
    if isinstance(error, anyio.get_cancelled_exc_class()):
        if is_due(cancels):
            raise error
        return
    await checkpoint_if_cancelled()
    if native_cancels() > cancels:
        raise asyncio.CancelledError from error


def _raised_by_body(error: BaseException) -> bool:
    """Whether a ``raise`` statement made it; a signal or the closing of a coroutine strikes elsewhere."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    frame = trace.tb_frame
    in_handler = frame.f_globals.get("__name__") in _INTERRUPT_HANDLERS
    return frame.f_code.co_code[trace.tb_lasti] == _RAISE and not in_handler
