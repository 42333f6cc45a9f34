"""Tells an event that the server sent twice.

Rule: an event is a duplicate where its id, its class and what it says came before. An id alone is not enough: some
servers leave it out, some give every event the same.
"""

from typing import TypeAlias

from agentkit.events import ServerEvent

WINDOW = 64
"""Event ids remembered at least; twice as many at most."""
TAIL = 24
"""Characters of a delta that stand for all of it: deltas are many, and may be large."""

Told: TypeAlias = ServerEvent | tuple[type[ServerEvent], str, str]


class Window:
    """The last events by their ids."""

    __slots__ = ("_before", "_last")

    def __init__(self) -> None:
        self._last: dict[str, Told] = {}
        self._before: dict[str, Told] = {}

    def has(self, event_id: str, told: Told) -> bool:
        """Tell whether this was said before under this id, and remember it."""
        last = self._last
        if event_id in last:
            doubled = last[event_id] == told
        else:
            doubled = event_id in self._before and self._before[event_id] == told
            if len(last) >= WINDOW:
                self._before, self._last = last, {}
                last = self._last
        last[event_id] = told
        return doubled
