"""When anything was last said or done in a session, by the user or by the agent.

Rule: what lasts is looked at when somebody asks; what happens at a moment, and the end of what lasts, is noted. Silence
that is streamed is nothing: where the server finds the user's turns, only its word counts that there is speech.
"""

import math
from collections.abc import Callable
from typing import Final

from agentkit.events import (
    ClientEvent,
    ConversationItemAdded,
    ConversationItemCreate,
    ConversationItemDone,
    ConversationItemTruncate,
    InputAudioBufferAppend,
    InputAudioBufferCommit,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    InputAudioTranscriptionEvent,
    ResponseCancel,
    ResponseCreate,
    ResponseEvent,
    ResponseOutputAudioDelta,
    ServerEvent,
    SessionCreated,
)
from agentkit.protocol import Core
from agentkit.session.playback import Playback

_COMES: Final = (
    ResponseEvent,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    InputAudioTranscriptionEvent,
    InputAudioBufferCommitted,
    ConversationItemAdded,
    ConversationItemDone,
    SessionCreated,  # another connection: what was away is back
)
_GOES: Final = (
    ConversationItemCreate,
    ResponseCreate,
    ResponseCancel,
    InputAudioBufferCommit,
    ConversationItemTruncate,
)


class Activity:
    """What goes on in one session."""

    def __init__(
        self, core: Core, playback: Playback, now: Callable[[], float], runs_elsewhere: Callable[[], bool]
    ) -> None:
        """Begin, as if something was done just now.

        Args:
            core: The session's state.
            playback: Its playback clock.
            now: Tells the time in seconds.
            runs_elsewhere: Tells whether a tool of the server's runs, or a question of the server's waits.
        """
        self._core = core
        self._playback = playback
        self._now = now
        self._runs_elsewhere = runs_elsewhere
        self._noted = now()
        self._plays_until = -math.inf
        """When all of the agent's audio will have been played, if it is played as it comes."""

    def note(self) -> None:
        """Something was done just now."""
        self._noted = self._now()

    def came(self, event: ServerEvent) -> None:
        """Take an event from the server."""
        if isinstance(event, _COMES):
            now = self._noted = self._now()
            if isinstance(event, ResponseOutputAudioDelta):
                ms = self._core.output.format.ms(len(event.delta) * 3 // 4)
                self._plays_until = max(self._plays_until, now) + ms / 1000

    def went(self, event: ClientEvent) -> None:
        """Take an event that goes to the server."""
        if isinstance(event, _GOES) or (
            type(event) is InputAudioBufferAppend and self._core.settings.turn_detection is None
        ):
            self._noted = self._now()

    @property
    def last(self) -> float:
        """When something was last said or done, as far as that is over; audio that still plays may be in the future."""
        heard = self._plays_until if self._core.output.waiting else -math.inf
        return max(self._noted, self._playback.moved_at, heard)

    @property
    def lasts(self) -> bool:
        """Whether something is being said or done, besides audio that plays."""
        core = self._core
        responses = core.responses
        return bool(
            not core.quiet
            or responses.user_speaking
            or responses.auto_expected
            or core.taking.held
            or core.calls.running
            or core.recovery.away
            or self._runs_elsewhere()
        )

    @property
    def heard_out(self) -> bool:
        """Whether all of the agent's audio was heard, as far as that is known."""
        self._playback.advance()
        output = self._core.output
        return not output.waiting or (not output.clocked and self._now() >= self._plays_until)
