"""The arbiter: the one owner of ``response.create``.

Rule: at most one response of ours is wanted or active in the conversation. A create waits while another is active,
while the user speaks, and while the server's own turn detection is about to make a response; it is never sent twice.
"""

from collections import deque
from collections.abc import Callable

from agentkit.errors import AgentkitError, RemoteProtocolError, ServerError
from agentkit.events import ErrorOccurred, Notice, Response, ResponseCreate, ResponseSettings
from agentkit.protocol import patience
from agentkit.protocol.effects import Effect, Emit, Propose, StartTimer, Transmit, TurnBegan
from agentkit.protocol.failures import failure_of
from agentkit.protocol.stopping import Stopping
from agentkit.protocol.turns import TurnState
from agentkit.protocol.wanted import CORRELATION, ActiveResponse, Wanted, hold, is_beside, let_go

RECENT = 64
"""Finished responses remembered, so that late events and duplicates find theirs."""


class Arbiter(Stopping):
    """Which responses are wanted, asked for and active."""

    def __init__(self, next_id: Callable[[], str]) -> None:
        self._next_id = next_id
        self.requested: Wanted | None = None
        self.active: dict[str, ActiveResponse] = {}
        """Responses in the conversation that are not done; more than one only where the server says so."""
        self.beside: dict[str, ActiveResponse] = {}
        self.user_speaking = False
        self.auto_expected = False
        """Whether the server's turn detection is about to make a response."""
        self.server_creates = False
        """Whether the server's turn detection makes responses."""
        self.changes = 0
        """Changes under way that the next response has to see, such as other tools: no create until they are made."""
        self.unanswered = False
        """Whether items were added that no response has seen."""
        self._added_since = False
        """Whether items were added since a create was sent last."""
        self._queue: deque[Wanted] = deque()
        self._joining: list[Wanted] = []
        self._expected: dict[str, list[TurnState]] = {}
        self._beside_wanted: dict[str, Wanted] = {}
        self._recent: dict[str, ActiveResponse] = {}
        self._retrying: dict[str, Wanted] = {}
        self._sent_last: Wanted | None = None
        self._held_off = False
        self._typed_late = False
        self._auto_count = 0

    # Wanting

    @property
    def quiet(self) -> bool:
        """Whether no response is active, asked for, waiting or to be tried again, in the conversation or beside it."""
        return not (
            self.requested
            or self.active
            or self.beside
            or self._queue
            or self._joining
            or self._expected
            or self._beside_wanted
            or self._retrying
        )

    @property
    def state(self) -> str:
        """``idle``, ``requested``, ``active`` or ``cancelling``."""
        if any(not response.cancelling for response in self.active.values()):
            return "active"
        if self.active:
            return "cancelling"
        return "requested" if self.requested is not None else "idle"

    @property
    def free(self) -> bool:
        """Whether a create may go out now."""
        return not (
            self.requested or self.active or self.user_speaking or self.auto_expected or self.changes or self._held_off
        )

    def want(self, event: ResponseCreate) -> list[Effect]:
        """Take a create that passed the layers: send it, keep it, or let another response serve it."""
        effects: list[Effect] = []
        turns = self._expected.pop(event.event_id or "", None)
        automatic = turns is not None
        if turns is None:
            turns = [TurnState(event.event_id or "")]
            effects.append(TurnBegan(turns[0]))
        wanted = Wanted(event, turns, automatic=automatic)
        if is_beside(event.response):
            return effects + self._send_beside(wanted)
        if wanted.plain and self.server_creates:
            if self.user_speaking or (self.auto_expected and not self._typed_late):
                self._joining.append(wanted)
                return effects
            if (response := self._all_seeing()) is not None:
                response.serve(turns)
                return effects
        if wanted.plain and (asked := self.requested) and asked.serves_others and not self._added_since:
            hold(asked.turns, turns)  # it was asked for already, after the outputs of tools
            return effects
        self._enqueue(wanted)
        return effects + self.release()

    def added(self) -> None:
        """An item enters the conversation that no response has seen."""
        self.unanswered = self._added_since = True

    def typed(self) -> None:
        """A message of the user's goes out; the response that the server is about to make may not see it any more."""
        self.added()
        self._typed_late = self.auto_expected

    def _all_seeing(self) -> ActiveResponse | None:
        """Return the response that the server is making by itself, where it has seen all that there is to answer."""
        if self.unanswered:
            return None
        own = (response for response in self.active.values() if response.wanted is None and not response.stopping)
        return next(own, None)

    def _enqueue(self, wanted: Wanted) -> None:
        if wanted.plain:
            for other in self._queue:
                if other.plain:
                    other.join(wanted)
                    return
        self._queue.append(wanted)

    def _send_beside(self, wanted: Wanted) -> list[Effect]:
        self._beside_wanted[wanted.token] = wanted
        return [Transmit(wanted.correlated()), StartTimer(f"requested {wanted.token}", patience.CREATED_SECONDS)]

    def release(self) -> list[Effect]:
        """Send the next create, where nothing stands in its way."""
        if not self._queue or not self.free:
            return []
        wanted = self.requested = self._sent_last = self._queue.popleft()
        self._added_since = False
        assert wanted.event is not None
        return [Transmit(wanted.event), StartTimer(f"requested {wanted.token}", patience.CREATED_SECONDS)]

    def propose(self, turns: list[TurnState], settings: ResponseSettings | None = None) -> list[Effect]:
        """Ask for a response that turns of ours still need; where one is wanted already, it serves them."""
        if settings is None:
            wanted = Wanted(None, turns, automatic=True)
            for other in self._queue:
                if other.plain:
                    other.join(wanted)
                    return []
            if self.server_creates and (self.user_speaking or self.auto_expected):
                self._joining.append(wanted)
                return []
        event_id = self._next_id()
        self._expected[event_id] = turns
        return [Propose(ResponseCreate(event_id=event_id, response=settings))]

    # What the server says

    def find(self, response_id: str | None) -> ActiveResponse | None:
        """Return a response by its id, finished ones too, or the only active one where no id is given."""
        if response_id is None:
            return next(iter(self.active.values())) if len(self.active) == 1 else None
        return self.active.get(response_id) or self.beside.get(response_id) or self._recent.get(response_id)

    def created(self, response: Response) -> tuple[ActiveResponse | None, list[Effect]]:
        """Take ``response.created``; return None for a duplicate."""
        known = self.find(response.id) if response.id is not None else next(iter(self.active.values()), None)
        if known is not None:
            return None, []
        response_id = response.id if response.id is not None else self._next_id()
        effects: list[Effect] = [StartTimer(f"quiet {response_id}", patience.QUIET_SECONDS)]
        correlation = (response.metadata or {}).get(CORRELATION, "")
        beside = self._beside_wanted.pop(correlation, None)
        if beside is not None:
            begun = self.beside[response_id] = ActiveResponse(response_id, beside.turns, beside, beside=True)
            return begun, effects
        wanted, self.requested = self.requested, None
        turns = wanted.turns if wanted is not None else self._joined()
        if wanted is None or wanted.plain:
            for name in [name for name, waiting in self._retrying.items() if waiting.plain]:
                hold(turns, self._retrying.pop(name).turns)
        if not turns:
            turns.append(TurnState(f"auto:{response_id}"))
            effects.append(TurnBegan(turns[0]))
        begun = self.active[response_id] = ActiveResponse(response_id, turns, wanted)
        self.unanswered = self._typed_late
        self.auto_expected = self._typed_late = self._held_off = False
        if wanted is not None and wanted.cancelled:
            effects += self._stop(begun)
        return begun, effects

    def _joined(self) -> list[TurnState]:
        joining, self._joining = self._joining, []
        turns: list[TurnState] = []
        for wanted in joining:
            hold(turns, wanted.turns)
        return turns

    def ended(self, response: Response) -> tuple[ActiveResponse | None, list[Effect]]:
        """Take ``response.done``; return None for a duplicate. What its calls need comes later, by ``settle``."""
        known = self.find(response.id)
        effects: list[Effect] = []
        if known is None:
            known, effects = self.created(response)
        if known is None or known.done:
            return None, []
        self._over(known, response.status or "completed")
        return known, effects

    def _over(self, response: ActiveResponse, status: str) -> None:
        self.active.pop(response.id, None)
        self.beside.pop(response.id, None)
        self._held_off = False
        response.done = True
        response.status = status
        self._recent[response.id] = response
        if len(self._recent) > RECENT:
            oldest = next((known for known in self._recent.values() if not known.turns), None)
            if oldest is not None:  # one whose turns wait for outputs is found until they are in
                del self._recent[oldest.id]

    def settle(self, response: ActiveResponse) -> list[Effect]:
        """Go on after a response is done and all outputs of its calls are written: once per response."""
        stopped = response.status == "cancelled"
        if not response.done or not response.turns:
            return []
        if response.outstanding and not stopped:
            if response.silent or response.beside or not response.speaks:
                return []
            response.calls, response.speaks = 0, False  # what is in is spoken now, the rest when it is in
            for turn in response.turns:
                turn.shares += 1
            return self.propose(list(response.turns))
        turns, response.turns = response.turns, []
        if response.calls and not (response.silent or response.beside or stopped):
            return self.propose(turns)
        return let_go(turns)

    def volunteer(self, call_id: str) -> list[Effect]:
        """Ask for a response to an output that no turn waits for."""
        turn = TurnState(f"call:{call_id}")
        return [TurnBegan(turn), *self.propose([turn])]

    def fail(self, response: ActiveResponse, told: Response, texts: list[str]) -> list[Effect]:
        """Go on after a response failed: again after a while, or tell the turn why not, with what was said so far."""
        failure = failure_of(told)
        turns = response.turns
        may_retry = failure.retryable and turns and not (response.beside or response.silent)
        if may_retry and all(turn.retries < patience.RETRIES for turn in turns):
            for turn in turns:
                turn.retries += 1
            again = Notice(code="response_retried", message=f"{failure}; the response is asked for again", level="info")
            if response.calls or response.outstanding:  # their outputs bring the next response anyway
                return [Emit(again), *self.settle(response)]
            response.turns = []
            name = f"retry {response.id}"
            event = response.wanted.event if response.wanted is not None else None
            self._retrying[name] = Wanted(event, turns, automatic=True)
            return [Emit(again), StartTimer(name, patience.BACKOFF_SECONDS * 2 ** (turns[0].retries - 1))]
        response.turns = []
        for turn in turns:
            turn.texts += texts
        command = response.wanted.event if response.wanted is not None else None
        return [Emit(ErrorOccurred(error=failure, command=command)), *let_go(turns, failure)]

    def refused(self, event_id: str | None, error: ServerError, *, busy: bool) -> list[Effect] | None:
        """Take the refusal of one of our creates.

        Args:
            event_id: The create's id; None where the server does not say.
            error: Why.
            busy: Whether the reason is another active response: then the create waits for its end.

        Returns:
            What follows; None where it was no create of ours.
        """
        if event_id is None and busy and self._sent_last is not None:
            event_id = self._sent_last.token  # only the last can have met another
        if event_id is None:
            return None
        beside = self._beside_wanted.pop(event_id, None)
        if beside is not None:
            return self._give_up(beside, error)
        effects: list[Effect] = []
        wanted = None
        if self.requested is not None and self.requested.token == event_id:
            wanted, self.requested = self.requested, None
        else:  # the response that we took for its answer was the server's own
            for response in self.active.values():
                if response.wanted is not None and response.wanted.token == event_id:
                    wanted, response.wanted = response.wanted, None
                    response.turns = [TurnState(f"auto:{response.id}")]
                    effects.append(TurnBegan(response.turns[0]))
        if wanted is None:
            return None
        wanted.cancelled = False
        if not busy:
            return effects + self._give_up(wanted, error) + self.release()
        if not self.active:  # refused for a response of which we know nothing
            wanted.refusals += 1
            if wanted.refusals > patience.BUSY_RETRIES:
                return effects + self._give_up(wanted, error) + self.release()
            self._held_off = True
            effects.append(StartTimer(f"busy {wanted.token}", patience.BACKOFF_SECONDS * 2**wanted.refusals))
        self._queue.appendleft(wanted)
        return effects

    def _give_up(self, wanted: Wanted, error: ServerError) -> list[Effect]:
        return [*let_go(wanted.turns, error), Emit(ErrorOccurred(error=error, command=wanted.event))]

    # The user's speech

    def listening(self, *, creates: bool, detects: bool) -> list[Effect]:
        """Take what the settings in force say of turn detection.

        Args:
            creates: Whether the server makes responses by itself.
            detects: Whether it finds the user's turns at all.
        """
        self.server_creates = creates
        if creates and (self.user_speaking or self.auto_expected):  # what waits for the turn is answered with it
            self._joining += [wanted for wanted in self._queue if wanted.plain]
            self._queue = deque(wanted for wanted in self._queue if not wanted.plain)
        if creates:
            return []
        self.user_speaking, self.auto_expected = self.user_speaking and detects, False
        return self.flush()

    @property
    def answering_speech(self) -> bool:
        """Whether the server is making a response by itself."""
        return any(response.wanted is None for response in self.active.values())

    def speech_started(self) -> None:
        """The user speaks: no create until the turn is over."""
        self.user_speaking = True

    def speech_stopped(self) -> list[Effect]:
        """The user's turn is over: the server's own response is awaited, or what waited goes out."""
        self.user_speaking = False
        return self.expect_auto() if self.server_creates else self.flush()

    def expect_auto(self) -> list[Effect]:
        """The server is about to make a response by itself."""
        self.auto_expected = True
        self._auto_count += 1
        return [StartTimer(f"auto {self._auto_count}", patience.AUTO_SECONDS)]

    def flush(self) -> list[Effect]:
        """Ask for what the server was thought to make by itself."""
        joining, self._joining = self._joining, []
        effects: list[Effect] = []
        for wanted in joining:
            if wanted.event is not None:
                self._enqueue(wanted)
        for wanted in joining:
            if wanted.event is None:
                effects += self.propose(wanted.turns)  # where one is queued by now, that one serves
        return effects + self.release()

    # What was not written

    def dropped(self, event: ResponseCreate, error: AgentkitError) -> list[Effect]:
        """A create was not written, by a layer's will or because it could not be: who waits for it is told."""
        if event.event_id is None:
            return []
        wanted = self._unanswered(event.event_id)
        turns = wanted.turns if wanted is not None else self._expected.pop(event.event_id, None)
        return let_go(turns or [TurnState(event.event_id)], error) + self.release()

    def _unanswered(self, token: str) -> Wanted | None:
        """Take a create that is on its way from where its answer is awaited."""
        if self.requested is not None and self.requested.token == token:
            wanted, self.requested = self.requested, None
            return wanted
        return self._beside_wanted.pop(token, None)

    # Time

    def timer(self, name: str) -> list[Effect]:
        """Take a timer that ran out."""
        kind, _, key = name.partition(" ")
        if kind == "requested" and (wanted := self._unanswered(key)) is not None:
            error = RemoteProtocolError(
                f"the server did not answer response.create within {patience.CREATED_SECONDS:g} s"
            )
            return let_go(wanted.turns, error) + self.release()
        if kind == "retry" and (wanted := self._retrying.pop(name, None)) is not None:
            return self.propose(wanted.turns, wanted.event.response if wanted.event is not None else None)
        if kind == "auto" and key == str(self._auto_count):
            self.auto_expected = False
            return [] if self.user_speaking else self.flush()
        if kind == "busy":
            self._held_off = False
            return self.release()
        if kind == "quiet" and (response := self.active.get(key) or self.beside.get(key)) is not None:
            return self._watch(response)
        return []

    def _watch(self, response: ActiveResponse) -> list[Effect]:
        """Stop a response that says nothing any more; give it up where the server does not stop it either."""
        name = f"quiet {response.id}"
        if response.alive:
            response.alive = False
            return [StartTimer(name, patience.STOP_SECONDS if response.cancelling else patience.QUIET_SECONDS)]
        message = f"the server has said nothing of response {response.id} for {patience.QUIET_SECONDS:g} s"
        if not response.cancelling:
            quiet = Notice(code="response_quiet", message=f"{message}, so it is stopped")
            return [Emit(quiet), *self._stop(response), StartTimer(name, patience.STOP_SECONDS)]
        self._over(response, "failed")
        turns, response.turns = response.turns, []
        error = RemoteProtocolError(f"{message} and does not stop it; the session may be dead")
        stuck = Notice(level="error", code="response_stuck", message=str(error), hint="open a new session")
        return [Emit(stuck), *let_go(turns, error), *self.release()]
