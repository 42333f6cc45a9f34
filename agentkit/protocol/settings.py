"""What was asked of the session, what the server confirmed, and the smallest update between the two.

Rule: ``session.updated`` is the truth. Nothing is sent before ``session.created``; the first update carries the tools;
the voice is withheld once audio was emitted; a refused update changes nothing that we believe.
"""

import re
from collections.abc import Callable

from msgspec import UNSET
from msgspec.structs import replace

from agentkit.errors import AgentkitError, ServerError
from agentkit.events import (
    AnyServerSession,
    AnySettings,
    AudioOutput,
    AudioSettings,
    Difference,
    FunctionTool,
    Notice,
    SessionUpdate,
    Settings,
    SettingsMismatch,
    TranscriptionSettings,
    TurnDetection,
    diff_settings,
    merge_settings,
    minimal_update,
)
from agentkit.protocol.effects import Effect, Emit, Propose, Transmit, UpdateEnded

NO_TURNS = ("none", "disabled", "off")
"""Types of turn detection that mean ``null``: documented in places, refused by servers."""


class SettingsState:
    """The session's settings on both sides."""

    def __init__(self) -> None:
        self.confirmed: AnyServerSession | None = None
        """What the server said last."""
        self.voice_fixed = False
        """Whether audio was emitted, so that the voice cannot change any more."""
        self._waiting: list[SessionUpdate] = []
        self._withdrawn: set[str] = set()
        """Ids of updates that are not to go out any more."""
        self._sent: dict[str, AnySettings] = {}

    @property
    def created(self) -> bool:
        """Whether ``session.created`` has come."""
        return self.confirmed is not None

    @property
    def turn_detection(self) -> TurnDetection | None:
        """How the server finds the end of the user's turn; None where the client commits."""
        session = self.confirmed
        if session is None or session.audio is UNSET or session.audio.input is UNSET:
            return None
        detection = session.audio.input.turn_detection
        return detection if isinstance(detection, TurnDetection) else None

    @property
    def finds_no_turns(self) -> bool:
        """Whether the server says that it does not find turns; one that says nothing of it may do so all the same."""
        session = self.confirmed
        if session is None or session.audio is UNSET or session.audio.input is UNSET:
            return False
        return session.audio.input.turn_detection is None

    def tool_names(self) -> set[str]:
        """Return the names of the functions that are declared in the session, by whomever."""
        tools = self.confirmed.tools if isinstance(self.confirmed, Settings) else None
        return {tool.name for tool in tools or () if isinstance(tool, FunctionTool) and tool.name}

    def ask(self, wanted: AnySettings, event_id: str) -> list[Effect]:
        """Ask for settings: only what differs from what the server confirmed."""
        wanted = _without_alias(wanted)
        if self.confirmed is None:
            update: AnySettings | None = wanted
        else:
            update = minimal_update(self.confirmed, wanted)
        if update is None:
            return [UpdateEnded(event_id, None)]
        return [Propose(SessionUpdate(event_id=event_id, session=update))]

    def outgoing(self, event: SessionUpdate) -> list[Effect]:
        """Take an update that passed the layers: hold it until the session exists, then send it."""
        if self.confirmed is None:
            self._waiting.append(event)
            return []
        event_id = event.event_id or ""
        if event_id in self._withdrawn:
            return []
        effects: list[Effect] = []
        session = self._without_fixed_voice(_without_alias(event.session))
        if session is not event.session:
            if self.voice_fixed and self._changes_voice(event.session):
                effects.append(Emit(_VOICE_FIXED))
            if session == type(session)():
                return [*effects, UpdateEnded(event_id, None)]
            event = replace(event, session=session)
        self._sent[event_id] = session
        return [*effects, Transmit(event)]

    def _without_fixed_voice(self, session: AnySettings) -> AnySettings:
        """Leave the voice out where it cannot change any more: even the same one again would be refused."""
        if not self.voice_fixed or not isinstance(session, Settings) or session.audio is UNSET:
            return session
        output = session.audio.output
        if output is UNSET or output.voice is UNSET:
            return session
        output = replace(output, voice=UNSET)
        audio = replace(session.audio, output=output if output != AudioOutput() else UNSET)
        return replace(session, audio=audio if audio != AudioSettings() else UNSET)

    def _changes_voice(self, session: AnySettings) -> bool:
        voice, known = _voice(session), _voice(self.confirmed)
        return voice is not UNSET and voice != known

    def withdraw(self, event_id: str) -> None:
        """Nobody wants this update any more: where it has not gone out, it does not; nor does it once more.

        Where it has gone out, the server's answer is still taken for one to it.
        """
        self._withdrawn.add(event_id)
        self._waiting = [event for event in self._waiting if event.event_id != event_id]

    def dropped(self, event_id: str, error: AgentkitError) -> list[Effect]:
        """An update was not written, by a layer's will or because it could not be."""
        self._sent.pop(event_id, None)
        self._waiting = [event for event in self._waiting if event.event_id != event_id]
        return [UpdateEnded(event_id, error)]

    def on_created(self, session: AnyServerSession) -> list[Effect]:
        """Take ``session.created``: what waited for it goes out."""
        self.confirmed = session
        return self._release()

    def _release(self) -> list[Effect]:
        waiting, self._waiting = self._waiting, []
        return [effect for event in waiting for effect in self.outgoing(event)]

    def on_updated(self, session: AnyServerSession) -> list[Effect]:
        """Take ``session.updated``, and compare it with the oldest update that it can answer.

        Where a later update fits and older ones do not, the older ones were never answered.
        """
        self.confirmed = session if self.confirmed is None else _known(self.confirmed, session)
        if not self._sent:
            return self._release()
        compared = [(event_id, _differences(asked, session)) for event_id, asked in self._sent.items()]
        fitting = next((index for index, (_, differences) in enumerate(compared) if not differences), 0)
        effects: list[Effect] = []
        for event_id, differences in compared[: fitting + 1]:
            del self._sent[event_id]
            if differences:
                effects.append(Emit(SettingsMismatch(differences=differences)))
            effects.append(UpdateEnded(event_id, None))
        return effects

    def meant(self, error: ServerError) -> str | None:
        """Return which update an error is about; without an id it is the oldest, where the field is a session's."""
        field = (error.param or "").startswith("session.") or error.code == "cannot_update_voice"
        return next(iter(self._sent), None) if error.event_id is None and field else error.event_id

    def on_refused(self, event_id: str | None, error: ServerError, next_id: Callable[[], str]) -> list[Effect] | None:
        """Take the refusal of the update with this id; return None where it was none of ours."""
        voice = error.code == "cannot_update_voice"
        if event_id is None or event_id not in self._sent:
            return None
        refused = self._sent.pop(event_id)
        _name_tool(error, refused)
        if voice:
            self.voice_fixed = True
            rest = self._without_fixed_voice(refused)
            if rest is not refused and rest != Settings():
                return [UpdateEnded(event_id, error), Propose(SessionUpdate(event_id=next_id(), session=rest))]
        return [UpdateEnded(event_id, error)]


_VOICE_FIXED = Notice(
    code="voice_fixed",
    message="the voice cannot change after the agent has spoken; the rest of the update was sent",
    hint="start a new session to change the voice",
)


_TOOL = re.compile(r"(?:session\.)?tools\[(\d+)\]")


def _name_tool(error: ServerError, refused: AnySettings) -> None:
    """Say which tool a refused field belongs to."""
    found = _TOOL.match(error.param or "")
    tools = refused.tools if isinstance(refused, Settings) and isinstance(refused.tools, tuple) else ()
    if found is not None and int(found[1]) < len(tools):
        error.hint = error.hint or f"the tool is {getattr(tools[int(found[1])], 'name', None)!r}"


def _voice(session: AnySettings | AnyServerSession | None) -> object:
    if session is None or session.audio is UNSET or session.audio.output is UNSET:
        return UNSET
    return session.audio.output.voice


def _without_alias(session: AnySettings) -> AnySettings:
    """Say ``null`` for no turn detection, where a word was used for it."""
    audio = session.audio
    if audio is UNSET or audio.input is UNSET:
        return session
    detection = audio.input.turn_detection
    if not isinstance(detection, TurnDetection) or detection.type not in NO_TURNS:
        return session
    return replace(session, audio=replace(audio, input=replace(audio.input, turn_detection=None)))


def asked_detection(asked: AnySettings) -> str | None:
    """Return the type of turn detection that settings ask for; None where they ask for none, or say nothing of it."""
    audio = _without_alias(asked).audio
    if audio is UNSET or audio.input is UNSET:
        return None
    detection = audio.input.turn_detection
    return detection.type if isinstance(detection, TurnDetection) else None


def _known(before: AnyServerSession, now: AnyServerSession) -> AnyServerSession:
    """Return the session as told now, with what was known before on all that it leaves out."""
    if isinstance(before, TranscriptionSettings) is not isinstance(now, TranscriptionSettings):
        return now
    merged = merge_settings(before, now)
    return replace(merged, id=now.id or before.id, expires_at=now.expires_at or before.expires_at)


def _differences(asked: AnySettings, confirmed: AnyServerSession) -> tuple[Difference, ...]:
    transcription = isinstance(asked, TranscriptionSettings), isinstance(confirmed, TranscriptionSettings)
    if transcription[0] is not transcription[1]:
        kinds = tuple("transcription" if is_one else "realtime" for is_one in transcription)
        return (("type", kinds[0], kinds[1]),)
    return diff_settings(asked, confirmed)
