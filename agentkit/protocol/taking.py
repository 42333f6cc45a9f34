"""Whose turn it is: push to talk, or the server's turn detection, and the edges between the two.

Rule: the client commits only in push to talk, and never while the key is held. Switching in the middle of an utterance
loses nothing: towards the server's turn detection, what was said so far becomes an item; away from it, that stays in
the buffer until the next commit.
"""

from typing import TYPE_CHECKING

from agentkit.errors import LocalProtocolError
from agentkit.events import AnySettings, InputAudioBufferClear, InputAudioBufferCommit, Notice, ResponseCreate
from agentkit.protocol import patience
from agentkit.protocol.audio import MIN_COMMIT_MS
from agentkit.protocol.effects import Effect, Emit, Propose, StartTimer
from agentkit.protocol.settings import asked_detection

if TYPE_CHECKING:
    from agentkit.protocol.core import Core


class TurnTaking:
    """Who ends the user's turns, and how."""

    def __init__(self, core: "Core") -> None:
        self._core = core
        self.held = False
        """Whether the user holds the key to talk."""
        self._handed_over = False
        """Whether what was said while the key is held was committed, because the server was to take over."""
        self._speeches = 0
        self._heard = 0
        """Where the input's clock was when the user was last known to speak."""

    def before_update(self, settings: AnySettings) -> list[Effect]:
        """Return what has to go out before settings are asked for.

        Where the server takes over finding the turns while the key is held, nobody promises that it would find speech
        in what it has already.
        """
        if not self.held or asked_detection(settings) is None or self._core.input.pending_ms < MIN_COMMIT_MS:
            return []
        self._handed_over = True
        return [Propose(InputAudioBufferCommit())]

    def commit(self, reply_id: str | None = None) -> list[Effect]:
        """Make an item of the audio in the input buffer, where it is the client's work; it ends the user's turn.

        Args:
            reply_id: Id of the ``response.create`` that asks for an answer to it; None asks for none.
        """
        if self._core.settings.turn_detection is not None:
            return []
        self.held = False
        handed_over, self._handed_over = self._handed_over, False
        is_turn = handed_over or self._core.input.pending_ms >= MIN_COMMIT_MS
        effects = self.commit_pending() or ([] if handed_over else [Emit(_too_short(0))])
        if is_turn and reply_id is not None:
            self._core.responses.user_speaking = False
            return [*effects, Propose(ResponseCreate(event_id=reply_id))]
        return effects + self._core.responses.speech_stopped()

    def press(self) -> list[Effect]:
        """The user presses the key to talk: the agent is cut off, and nothing is asked of it before the turn is over.

        Raises:
            LocalProtocolError: The server finds the user's turns by itself.
        """
        if self._core.settings.turn_detection is not None:
            raise LocalProtocolError(f"there is no key to press in the mode {self.mode}: the server finds the turns")
        if self.held:
            return []
        self.held = True
        self._core.responses.speech_started()
        return self._core.interrupt(by_speech=True)

    def release(self, reply_id: str | None = None) -> list[Effect]:
        """The user lets go of the key: what was said is a turn; nothing where the key is not held."""
        return self.commit(reply_id) if self.held else []

    @property
    def mode(self) -> str:
        """Who finds the user's turns: ``push_to_talk``, or the type of the server's turn detection."""
        detection = self._core.settings.turn_detection
        return "push_to_talk" if detection is None else detection.type

    def listen(self, *, detected: bool) -> list[Effect]:
        """Take what the settings in force say of turn detection now.

        Args:
            detected: Whether the server found the turns before.
        """
        responses = self._core.responses
        detects = self._core.settings.turn_detection is not None
        effects: list[Effect] = []
        if detected and not detects and self._core.input.pending and not responses.user_speaking:
            effects.append(Propose(InputAudioBufferClear()))  # silence that no turn was made of
        elif self.held and detects:
            self.held = self._handed_over = False
            responses.server_creates = self._core.auto_creates()
            effects += responses.speech_stopped()
        if self.held:
            return effects  # the turn goes on
        return effects + responses.listening(creates=self._core.auto_creates(), detects=detects)

    # The server finds the turns

    def heard_speech(self) -> list[Effect]:
        """The server hears the user begin; should it never hear the end, the agent is not mute for ever."""
        self._speeches += 1
        self._core.responses.speech_started()
        return [self._watch()]

    def _watch(self) -> Effect:
        self._heard = self._core.input.total
        # audio that takes another way, as in a WebRTC call, tells nothing of when the user stops
        seconds = patience.SPEECH_SECONDS if self._heard else patience.QUIET_SECONDS
        return StartTimer(f"speech {self._speeches}", seconds)

    def timer(self, key: str) -> list[Effect]:
        """Take the time for which a speech may go on without audio."""
        if key != str(self._speeches) or not self._core.responses.user_speaking or self.held:
            return []
        if self._heard != self._core.input.total:
            return [self._watch()]
        return [Emit(_UNENDED), *self._core.responses.speech_stopped()]

    def commit_pending(self) -> list[Effect]:
        """Commit what the user has said, where that is the client's work and the turn is over."""
        if self._core.settings.turn_detection is not None or self.held or not self._core.input.pending:
            return []
        if self._core.input.pending_ms < MIN_COMMIT_MS:
            return [Propose(InputAudioBufferClear()), Emit(_too_short(self._core.input.pending_ms))]
        return [Propose(InputAudioBufferCommit())]


_UNENDED = Notice(
    code="speech_unended",
    message="the server did not hear the end of the user's speech and no audio comes any more, so the turn is over",
)


def _too_short(ms: int) -> Notice:
    return Notice(
        level="info",
        code="input_too_short",
        message=f"{ms} ms of audio is too short to be a turn and was dropped" if ms else "there is no audio to commit",
        hint=f"at least {MIN_COMMIT_MS} ms are needed",
    )
