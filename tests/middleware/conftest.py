"""A chain with its ends, and what came out of them."""

from collections.abc import Callable, Sequence

import pytest

from agentkit.events import Event
from agentkit.middleware import Chain, Middleware
from agentkit.tools import ToolCall, ToolResult


class Ends:
    """What passed the layers of a chain, and what was reported of them."""

    def __init__(self) -> None:
        self.inbound: list[Event] = []
        self.outbound: list[Event] = []
        self.reports: list[tuple[str, str, str | None]] = []
        self.bodies: list[ToolCall] = []
        self.broken: Exception | None = None
        """Raised beyond the layers."""

    def chain(
        self,
        layers: Sequence[Middleware],
        guards: Sequence[Middleware] = (),
        now: Callable[[], float] | None = None,
    ) -> Chain:
        return Chain(layers, guards, inbound=self.arrived, outbound=self.left, report=self.report, now=now)

    async def arrived(self, event: Event) -> None:
        self._break()
        self.inbound.append(event)

    async def left(self, event: Event) -> None:
        self._break()
        self.outbound.append(event)

    async def body(self, call: ToolCall) -> ToolResult:
        self._break()
        self.bodies.append(call)
        return ToolResult.of(call.name)

    def report(self, what: str, layer: Middleware, subject: Event | ToolCall, error: Exception | None) -> None:
        self.reports.append((what, layer.name, type(error).__name__ if error is not None else None))

    def _break(self) -> None:
        if self.broken is not None:
            raise self.broken


@pytest.fixture
def ends() -> Ends:
    return Ends()
