"""The arbiter's other half: stopping what is asked for or being made, and ending the turns that wait for it."""

from collections import deque
from collections.abc import Callable

from agentkit.events import ResponseCancel, ResponseCreate
from agentkit.protocol.effects import Effect, Propose, Transmit
from agentkit.protocol.turns import TurnState
from agentkit.protocol.wanted import ActiveResponse, Wanted, cancelled


class Stopping:
    """Stops responses; ``Arbiter`` asks for them, and has the state."""

    requested: Wanted | None
    active: dict[str, ActiveResponse]
    beside: dict[str, ActiveResponse]
    _next_id: Callable[[], str]
    _queue: deque[Wanted]
    _recent: dict[str, ActiveResponse]
    _retrying: dict[str, Wanted]
    _joining: list[Wanted]
    _expected: dict[str, list[TurnState]]

    def cancel(self, response_id: str | None = None) -> list[Effect]:
        """Stop the active response, or one by its id; nothing where none is active."""
        if response_id is not None:
            found = self.active.get(response_id) or self.beside.get(response_id)
            return self._stop(found) if found is not None else []
        if not self.active and self.requested is not None:
            self.requested.cancelled = True
        return [effect for response in self.active.values() for effect in self._stop(response)]

    def _stop(self, response: ActiveResponse) -> list[Effect]:
        if response.cancelling:
            return []
        response.cancelling = True
        return [Propose(ResponseCancel(event_id=self._next_id(), response_id=response.id))]

    def send_cancel(self, event: ResponseCancel) -> list[Effect]:
        """Take a cancel that passed the layers; where nothing is active the server would only answer with an error."""
        response = self._meant(event)
        if response is None:
            if event.response_id is None and self.requested is not None:
                self.requested.cancelled = True
            return []
        if response.cancel_sent:
            return []
        response.cancelling = response.cancel_sent = response.alive = True
        return [Transmit(event)]

    def cancel_dropped(self, event: ResponseCancel) -> None:
        """A layer dropped a cancel: the response goes on."""
        response = self._meant(event)
        if response is not None and not response.cancel_sent:
            response.cancelling = False

    def _meant(self, event: ResponseCancel) -> ActiveResponse | None:
        if event.response_id is None:
            return next(iter(self.active.values()), None)
        return self.active.get(event.response_id) or self.beside.get(event.response_id)

    def silence(self) -> list[Effect]:
        """End the turns that still need a response for tool outputs, or a retry: the user has taken over."""
        effects: list[Effect] = []
        for response in self.active.values():
            response.silent = True
        for response in self._recent.values():
            if response.outstanding:
                turns, response.turns = response.turns, []
                effects += cancelled(turns)
        for wanted in [*self._retrying.values(), *(wanted for wanted in self._queue if wanted.automatic)]:
            effects += cancelled(wanted.turns)
        self._retrying.clear()
        self._queue = deque(wanted for wanted in self._queue if not wanted.automatic)
        return effects

    def stop_asking(self) -> list[Effect]:
        """Ask for nothing more of what was wanted so far: the session ends.

        What the server has begun goes on; what it was asked for and has not begun is stopped as soon as it has. The
        turns of all the rest end.
        """
        effects = self.silence()
        if self.requested is not None:
            self.requested.cancelled = True
        waiting = [*self._queue, *self._joining]
        turns = [turn for wanted in waiting for turn in wanted.turns]
        turns += [turn for expected in self._expected.values() for turn in expected]
        self._queue.clear()
        self._joining.clear()
        self._expected.clear()
        return effects + cancelled(turns)

    def withdraw(self, event: ResponseCreate) -> list[Effect]:
        """Ask no more for what was proposed: its turns end."""
        return cancelled(self._expected.pop(event.event_id or "", []))
