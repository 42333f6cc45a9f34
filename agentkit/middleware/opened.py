"""What a layer holds open around its session: its faults there are its own.

Rule: a layer that cannot start keeps the session from opening; one that fails later hides nothing of the session's.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio

from agentkit.errors import AgentkitError, MiddlewareError
from agentkit.middleware.base import Middleware
from agentkit.middleware.faults import as_fault, is_stray
from agentkit.tools.cancellation import is_due

logger = logging.getLogger("agentkit.middleware")
RUNNING = "running"
"""Stands for the event's type in the error of a layer that fails in ``running``."""


@asynccontextmanager
async def opened(layer: Middleware) -> AsyncIterator[None]:
    """Hold a layer's ``running`` open.

    What it raises on its way out is logged; an error of the session's goes on as it is, also where the layer would
    hide it.

    Raises:
        ConfigError: As the layer says, or whatever other error of agentkit it raises.
        MiddlewareError: The layer could not start, or has ended the session by a fault of its own.
    """
    try:
        running = layer.running()
        await running.__aenter__()
    except AgentkitError:
        raise
    except Exception as exc:  # isolation boundary: whose fault it is has to be said
        raise _fault(layer, "could not start", exc) from exc
    try:
        yield
    except BaseException as exc:
        fault, hidden = await _left(running, exc)
        # A cancellation that nobody stands behind any more was of the layer's making, as by a task of its that failed.
        if (fault or hidden) and isinstance(exc, anyio.get_cancelled_exc_class()) and not is_due():
            raise _fault(layer, "ended the session", fault or exc) from fault or exc
        if fault is not None and not _holds(fault, exc):
            _log(layer, fault)
        raise
    fault, _ = await _left(running, None)
    if fault is not None:
        _log(layer, fault)


async def _left(
    running: AbstractAsyncContextManager[None], error: BaseException | None
) -> tuple[Exception | None, bool]:
    """Leave a layer's ``running``; return what it raises of its own, and whether it hides what ended the session."""
    try:
        hidden = await running.__aexit__(type(error) if error is not None else None, error, None)
    except BaseException as exc:  # isolation boundary: the session's own end is not the layer's to spoil
        if not (isinstance(exc, Exception) or is_stray(exc)):
            raise
        return (None if exc is error else as_fault(exc)), False
    return None, bool(hidden)


def _holds(fault: Exception, error: BaseException) -> bool:
    """Tell whether a fault is nothing but the error of the session, as a task group wraps it."""
    if not isinstance(fault, ExceptionGroup):
        return fault is error
    return all(_holds(inner, error) for inner in fault.exceptions)


def _fault(layer: Middleware, what: str, cause: BaseException) -> MiddlewareError:
    """Return the error that names the layer."""
    while isinstance(cause, BaseExceptionGroup) and len(cause.exceptions) == 1:
        cause = cause.exceptions[0]
    message = f"middleware {layer.label} {what}: {type(cause).__name__}: {cause}"
    return MiddlewareError(message, layer=layer.name, event_type=RUNNING)


def _log(layer: Middleware, fault: Exception) -> None:
    logger.error("middleware %s failed as it was closed", layer.label, exc_info=fault)
