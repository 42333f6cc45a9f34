"""The playback clock: how much of the agent's audio was heard.

Rule: never beyond what was received. Whoever plays the audio moves the clock; where nobody does, it can run by itself.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Any

from agentkit.errors import AgentkitError
from agentkit.events import Event, FlushPlayback, ResponseOutputAudioDelta
from agentkit.protocol import Core
from agentkit.session.fanout import FanOut


class Playback:
    """The position up to which the agent was heard; it decides where an interruption cuts.

    A player tells it by ``played``. Without one, ``follow_real_time`` lets it run as if the audio were played from the
    moment it came, without a pause.
    """

    def __init__(self, core: Core, fanout: FanOut, now: Callable[[], float]) -> None:
        self._core = core
        self._fanout = fanout
        self._now = now
        self._ends = 0.0
        """When all that has come will have been played."""
        self._due: deque[tuple[str, int, int]] = deque()
        """What has come, oldest first: items, and the milliseconds of each from where to where."""
        self.real_time = False
        """Whether the clock runs by itself."""
        self.moved_at = -math.inf
        """When a player told last that more was heard."""

    @property
    def item_id(self) -> str | None:
        """The item at which the clock is; it may be at its end."""
        return self._core.output.playing

    def heard_ms(self, item_id: str) -> int:
        """Return how many milliseconds of an item were heard."""
        self.advance()
        return self._core.output.heard_ms(item_id)

    def played(self, item_id: str, ms: int) -> None:
        """Move the clock: so many milliseconds of the item's audio were heard, counted from its beginning."""
        output = self._core.output
        before = output.heard_ms(item_id)
        output.played(item_id, ms)
        if output.heard_ms(item_id) > before:
            self.moved_at = self._now()

    def follow_real_time(self, on: bool = True) -> None:
        """Let the clock run by itself, from the audio that comes next; or stop that."""
        if on is self.real_time:
            return
        self.real_time = on
        self._due.clear()
        if on:
            self._fanout.add(self)
        else:
            self._fanout.remove(self)

    def advance(self) -> None:
        """Bring a clock that runs by itself up to now."""
        if not self._due:
            return
        unheard = self._unheard()
        for (item_id, begin, end), ms in zip(self._due, unheard, strict=True):
            if end - ms > begin:
                self._core.output.played(item_id, end - ms)
        for ms in unheard:
            if ms or len(self._due) == 1:
                break
            self._due.popleft()

    def _unheard(self) -> list[int]:
        """Return the milliseconds of each due entry that are still to be played."""
        left = max(0, round((self._ends - self._now()) * 1000))
        unheard: list[int] = []
        for _, begin, end in reversed(self._due):
            unheard.append(min(end - begin, left))
            left -= unheard[-1]
        return unheard[::-1]

    # What comes, from the fan-out

    def wants(self, event_class: type[Event]) -> bool:
        """Take the agent's audio, and when to forget it."""
        return issubclass(event_class, ResponseOutputAudioDelta | FlushPlayback)

    def push(self, event: Any) -> None:
        """Take an event."""
        if isinstance(event, FlushPlayback):
            self._flush(event.item_id if event.at_ms is None else None)
            return
        self.advance()
        item_id, output = event.item_id, self._core.output
        received = output.received_ms(item_id)
        before = max((end for other, _, end in self._due if other == item_id), default=output.heard_ms(item_id))
        if received <= before:
            return  # of a response beside the conversation, or told of already
        begin = self._due.pop()[1] if self._due and self._due[-1][0] == item_id else before
        self._due.append((item_id, begin, received))
        self._ends = max(self._ends, self._now()) + (received - before) / 1000

    def _flush(self, item_id: str | None) -> None:
        """Forget what is not played yet: of one item that is gone, or of all."""
        if item_id is None:
            self._due.clear()
            self._ends = 0.0
            return
        entries = list(zip(self._due, self._unheard(), strict=True))
        self._due = deque(entry for entry, _ in entries if entry[0] != item_id)
        self._ends -= sum(ms for entry, ms in entries if entry[0] == item_id) / 1000

    def end(self, error: AgentkitError | None) -> None:
        """Take the end of the session; the clock stays where it is."""
        self.advance()
