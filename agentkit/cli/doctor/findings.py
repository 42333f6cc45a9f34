"""What ``agentkit doctor`` found: one check each, done or to be waited for."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from msgspec import Struct

Status: TypeAlias = Literal["ok", "warn", "FAIL", "skip"]
"""``FAIL`` is what stops a run; ``skip`` was not looked at, and says why."""


class Check(Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    """What was looked at: ``python``, ``config``, ``provider``, ``toolset NAME``."""
    status: Status
    message: str
    hint: str | None = None
    """The next step, where there is one."""
    ms: float | None = None
    """How long it took, where something was waited for."""


class Waiting(Struct, frozen=True, kw_only=True):
    """A check that has to wait for something else."""

    name: str
    run: Callable[[], Awaitable[Check]]
