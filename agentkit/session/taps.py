"""The wire taps: layers that watch the frames as they really go.

Rule: a tap only watches. One that raises is reported, and taken out after too many failures in a row.
"""

import logging
from collections.abc import Iterable

from agentkit.events import Event
from agentkit.middleware import Middleware
from agentkit.middleware.base import Direction
from agentkit.middleware.chain import FAILURES, Report

logger = logging.getLogger("agentkit.session")


class Taps:
    """The layers of one session that have ``on_wire``."""

    def __init__(self, layers: Iterable[Middleware], report: Report) -> None:
        self._layers = [layer for layer in layers if layer.overrides("on_wire")]
        self._report = report
        self._failures: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._layers)

    def show(self, direction: Direction, raw: bytes, event: Event) -> None:
        """Show a frame that was read or written."""
        for layer in tuple(self._layers):
            try:
                layer.on_wire(direction, raw, event)
            except Exception as exc:  # noqa: BLE001  # isolation boundary: a tap only watches
                self._failed(layer, event, exc)
            else:
                if self._failures:
                    self._failures.pop(id(layer), None)

    def _failed(self, layer: Middleware, event: Event, error: Exception) -> None:
        failures = self._failures[id(layer)] = self._failures.get(id(layer), 0) + 1
        logger.error("middleware %s failed in on_wire", layer.label, exc_info=error)
        if failures == 1:
            self._report("failed", layer, event, error)
        elif failures >= FAILURES:
            self._layers.remove(layer)
            self._report("switched off", layer, event, error)
