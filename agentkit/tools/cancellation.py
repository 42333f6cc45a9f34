"""Telling a cancellation of the surroundings from one that code of somebody else's made itself."""

import math
import sys

import anyio


def native_cancels() -> int:
    """Count the standing requests of ``asyncio.Task.cancel``; one raised by hand makes none."""
    asyncio = sys.modules.get("asyncio")  # imported where it runs; under trio it need not be
    if asyncio is None or anyio.get_cancelled_exc_class() is not asyncio.CancelledError:
        return 0
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def is_due(cancels: int = 0) -> bool:
    """Tell whether the surroundings of the running task are cancelled.

    Args:
        cancels: How many requests of ``asyncio.Task.cancel`` stood before, as ``native_cancels`` counts them.
    """
    return anyio.current_effective_deadline() == -math.inf or native_cancels() > cancels
