"""Telling a cancellation of the surroundings from one that code of somebody else's made itself."""

import math
import sys

import anyio


def is_due() -> bool:
    """Tell whether the surroundings of the running task are cancelled: by a scope, or by ``asyncio.Task.cancel``."""
    if anyio.current_effective_deadline() == -math.inf:
        return True
    asyncio = sys.modules.get("asyncio")  # imported where it runs; under trio it need not be
    if asyncio is None or anyio.get_cancelled_exc_class() is not asyncio.CancelledError:
        return False
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def is_strays(error: BaseException) -> bool:
    """Tell whether an error is a cancellation that nobody asked for, as of an asyncio task that was awaited."""
    return isinstance(error, anyio.get_cancelled_exc_class()) and not is_due()
