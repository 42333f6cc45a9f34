"""The arbiter and the settings of a session that may have several connections, one after the other.

Rule: while there is no connection nothing goes out; what is wanted waits, in its order, for the next one.
"""

from collections.abc import Callable

from msgspec import UNSET
from msgspec.structs import replace

from agentkit.events import (
    AnyServerSession,
    AnySettings,
    ResponseCreate,
    ServerMcpTool,
    SessionUpdate,
    Settings,
    ToolDefinition,
    TranscriptionSettings,
    merge_settings,
    minimal_update,
)
from agentkit.protocol import patience
from agentkit.protocol.effects import Effect, Propose, Transmit, UpdateEnded
from agentkit.protocol.responses import Arbiter
from agentkit.protocol.settings import SettingsState
from agentkit.protocol.turns import TurnState
from agentkit.protocol.wanted import ActiveResponse, Wanted, cancelled, let_go


class LastingArbiter(Arbiter):
    """An arbiter whose responses may be lost with their connection, and asked for again on the next."""

    def __init__(self, next_id: Callable[[], str]) -> None:
        super().__init__(next_id)
        self.away = False
        """Whether there is no connection that anything could be asked on."""
        self._beside_waiting: list[Wanted] = []

    @property
    def quiet(self) -> bool:
        """Whether nothing is active, asked for, waiting or to be tried again."""
        return super().quiet and not self._beside_waiting

    @property
    def free(self) -> bool:
        """Whether a create may go out now."""
        return not self.away and super().free

    def _send_beside(self, wanted: Wanted) -> list[Effect]:
        if not self.away:
            return super()._send_beside(wanted)
        self._beside_waiting.append(wanted)
        return []

    def lose(self, *, user_speaks: bool) -> tuple[list[ActiveResponse], bool, list[Effect]]:
        """Take the loss of the connection.

        Args:
            user_speaks: Whether the user still speaks by our own knowledge: the key to talk is held.

        Returns:
            The responses that were being made, whether the server was about to make one by itself, and what follows.
        """
        self.away = True
        lost = [*self.active.values(), *self.beside.values()]
        server_was_about_to = self.auto_expected and self.unanswered and not self._joining
        self.user_speaking = user_speaks
        self.auto_expected = self._held_off = self._typed_late = False
        effects: list[Effect] = []
        asked, self.requested = self.requested, None
        if asked is not None:
            effects += cancelled(asked.turns) if asked.cancelled else self._again(asked.event, asked.turns)
        asked_beside, self._beside_wanted = self._beside_wanted, {}
        for wanted in asked_beside.values():
            effects += self._again(wanted.event, wanted.turns)
        return lost, server_was_about_to, effects + ([] if user_speaks else self.flush())

    def abandon(self, response: ActiveResponse) -> list[Effect]:
        """Forget a response of which nothing is finished, and ask for it again; not for ever in one turn."""
        self._over(response, "incomplete")
        turns, response.turns = response.turns, []
        return self._again(response.wanted.event if response.wanted is not None else None, turns)

    def _again(self, event: ResponseCreate | None, turns: list[TurnState]) -> list[Effect]:
        again = [turn for turn in turns if turn.retries < patience.RETRIES]
        given_up = [turn for turn in turns if turn.retries >= patience.RETRIES]
        for turn in again:
            turn.retries += 1
        for turn in given_up:
            turn.status = "incomplete"
        effects = let_go(given_up)
        if not again:
            return effects
        if event is None:
            return effects + self.propose(again)
        wanted = Wanted(replace(event, event_id=self._next_id()), again)
        if event.response is not None and event.response.conversation not in (UNSET, None, "auto"):
            self._beside_waiting.append(wanted)
            return effects
        for other in self._queue if wanted.plain else ():
            if other.plain:
                other.join(wanted)
                return effects
        self._queue.appendleft(wanted)
        return effects

    def resume(self) -> list[Effect]:
        """Ask on the new connection for what is wanted."""
        self.away = False
        waiting, self._beside_waiting = self._beside_waiting, []
        return [*(effect for wanted in waiting for effect in self._send_beside(wanted)), *self.release()]


class LastingSettings(SettingsState):
    """Settings that are asked for again on every connection of the session."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        """Whether the connection that there is, if any, does not have the session's settings yet."""
        self._accepted: AnySettings | None = None
        """All that was asked for and not refused: a server need not repeat it."""
        self._wanted: AnySettings | None = None
        self.restoring = ""
        """Id of the update that asks a further connection for the settings."""

    @property
    def created(self) -> bool:
        """Whether the session is there, and has its settings."""
        return super().created and not self.away

    def ask(self, wanted: AnySettings, event_id: str) -> list[Effect]:
        """Ask for settings; between two connections it is not known what would differ."""
        if self.away:
            return [Propose(SessionUpdate(event_id=event_id, session=wanted))]
        return super().ask(wanted, event_id)

    def outgoing(self, event: SessionUpdate) -> list[Effect]:
        """Take an update that passed the layers: hold it until it can be sent."""
        if self.away:
            self._waiting.append(event)
            return []
        return super().outgoing(event)

    def lose(self, restoring: str) -> None:
        """Take the loss of the connection.

        Args:
            restoring: Id of the update that will ask the next connection for the settings.
        """
        self._sent.pop(self.restoring, None)
        if not self.away:
            self._wanted = self._all()
            sent = {event_id: asked for event_id, asked in self._sent.items() if event_id not in self._withdrawn}
            again = [SessionUpdate(event_id=event_id, session=asked) for event_id, asked in sent.items()]
            self._waiting = again + self._waiting
        self._sent.clear()
        self.away, self.voice_fixed, self.restoring = True, False, restoring

    def tools(self) -> tuple[ToolDefinition, ...]:
        """Return the tools that are declared, those of MCP servers as they were asked for: no server says secrets."""
        told = self.confirmed.tools if isinstance(self.confirmed, Settings) else None
        asked = self._accepted.tools if isinstance(self._accepted, Settings) else None
        hosted = {tool.server_label: tool for tool in asked or () if isinstance(tool, ServerMcpTool)}
        return tuple(
            hosted.get(tool.server_label, tool) if isinstance(tool, ServerMcpTool) else tool for tool in told or ()
        )

    def _all(self) -> AnySettings | None:
        """Return what is in force, as a client may ask for it; the model is the connection's."""
        told = self.confirmed
        if told is None:
            return self._accepted
        if isinstance(told, TranscriptionSettings):
            base: AnySettings = TranscriptionSettings()
        else:
            base = Settings()
        if self._accepted is not None and type(self._accepted) is type(base):
            base = self._accepted
        wanted = merge_settings(base, told)
        if not isinstance(wanted, Settings):
            return wanted
        return replace(wanted, model=UNSET, tools=self.tools() if wanted.tools else wanted.tools)

    def on_created(self, session: AnyServerSession) -> list[Effect]:
        """Take ``session.created``: on a further connection, what the session had is asked for again."""
        if not self.away:
            return super().on_created(session)
        wanted = self._wanted
        same_kind = isinstance(wanted, TranscriptionSettings) is isinstance(session, TranscriptionSettings)
        update = wanted
        if wanted is not None and same_kind:
            update = minimal_update(session, wanted)
        # What was in force is taken to be in force all along, so that nobody takes the server's defaults for a change.
        self.confirmed = merge_settings(session, update) if update is not None and same_kind else session
        if update is None:
            return [UpdateEnded(self.restoring, None)]
        self._sent[self.restoring] = update
        return [Transmit(SessionUpdate(event_id=self.restoring, session=update))]

    def on_updated(self, session: AnyServerSession) -> list[Effect]:
        """Take ``session.updated``, and remember what it has accepted."""
        before = dict(self._sent)
        effects = super().on_updated(session)
        for event_id, asked in before.items():
            if event_id not in self._sent:
                self._accept(asked)
        return effects

    def _accept(self, asked: AnySettings) -> None:
        known = self._accepted
        same_kind = isinstance(known, TranscriptionSettings) is isinstance(asked, TranscriptionSettings)
        self._accepted = asked if known is None or not same_kind else merge_settings(known, asked)

    def resume(self) -> list[Effect]:
        """Ask on the new connection for what was asked for meanwhile."""
        self.away, self._wanted = False, None
        return self._release()
