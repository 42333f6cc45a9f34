"""``gate``: the agent answers nothing that the user has said before it was checked.

Rule: no request for a response passes while a turn of the user's waits for its check, and every wait ends: with the
transcript, with its failure, or with the time for it.
"""

from collections.abc import Awaitable, Callable
from typing import ClassVar, Final, NamedTuple, TypeVar

import anyio
from msgspec import UNSET
from msgspec.structs import replace

from agentkit import (
    AudioInput,
    AudioSettings,
    Middleware,
    Next,
    NextCall,
    Settings,
    Timeout,
    ToolCall,
    ToolResult,
    TurnDetection,
    on,
)
from agentkit.events import (
    AnyItem,
    AnySettings,
    ConversationItemAdded,
    ConversationItemCreate,
    ConversationItemDeleted,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionFailed,
    ConversationUpdated,
    ErrorEvent,
    Event,
    InputAudio,
    InputAudioBufferCommit,
    InputAudioBufferCommitted,
    InputText,
    Interrupted,
    ItemAppended,
    ItemCompleted,
    ItemEvent,
    MessageItem,
    Reconnected,
    ResponseCancel,
    ResponseCreate,
    ResponseCreated,
    ResponseEvent,
    SessionCreated,
    SessionUpdate,
    SessionUpdated,
    Transcription,
    TurnCompleted,
    UnknownEvent,
)
from agentkit_guard.early import Early
from agentkit_guard.judging import ChecksConfig, Judge, Verdict
from agentkit_guard.reacting import Remembered, Speaker, is_beside, is_saying, refusal
from agentkit_guard.topic import MESSAGE

E = TypeVar("E", bound=Event)
COMMIT: Final = "commit "
"""How the names of commits begin whose items are not known yet."""


class GateConfig(ChecksConfig, frozen=True, kw_only=True):
    """The options of the ``gate`` guard: what may not pass, as for ``hold``, and how it is waited for."""

    timeout: Timeout = 8.0
    """How long a transcript may take; after that the turn is not answered."""
    transcription: str | None = None
    """The model that transcribes, where the session names none; left out, the server's own."""
    message: str | None = MESSAGE
    """What is said instead of an answer."""
    unheard: str | None = None
    """What is said where there is no transcript; left out, nothing."""
    placeholder: str = "[removed]"
    """What goes to the server in the place of a typed message that may not pass."""


class _Held(NamedTuple):
    """A request for a response that waits."""

    create: ResponseCreate
    pass_on: Callable[[ResponseCreate], Awaitable[None]]
    typed: bool
    """Whether it is for the answer to what the user has typed."""


class Gate(Middleware):
    """Let the agent answer only what has passed."""

    critical: ClassVar[bool] = True

    def __init__(self, config: GateConfig) -> None:
        """Make the layer.

        Raises:
            ValueError: A message holds itself what may not pass.
        """
        self._config = config
        self._judge = Judge(config)
        for message in (config.message, config.unheard):
            if message and self._judge.at_once(message) is not None:
                raise ValueError(f"the message {message!r} itself holds what may not pass")
        self._speaker = Speaker(self, config.message)
        self._waiting: dict[str, bool] = {}
        """Items of the user that are not decided, and whether their transcript is there and being checked."""
        self._decided = Remembered()
        self._held: list[_Held] = []
        self._typed = False
        """Whether the next request is for the answer to what the user has typed, which has passed."""
        self._early = Early()
        self._answers = True
        """Whether the server would answer by itself what it hears, had it not been told to wait."""
        self._asked_detection = False
        """Whether the application has said how turns are found."""
        self._own: TurnDetection | None = None
        """How the guard itself has asked for them to be found."""
        self._refused: str | None = None
        """What the next response says instead of an answer."""
        self._warned = False
        self._count = 0

    # Nothing is answered by the server itself

    def _gated(self, settings: AnySettings) -> AnySettings:
        """Return settings in which the server transcribes, and makes no response by itself."""
        if not isinstance(settings, Settings) or not isinstance(settings.audio, AudioSettings):
            return settings
        given = settings.audio.input
        if not isinstance(given, AudioInput):
            return settings
        changes: dict[str, object] = {}
        self._asked_detection = self._asked_detection or given.turn_detection is not UNSET
        if isinstance(given.turn_detection, TurnDetection):
            if given.turn_detection != self._own:
                self._answers = given.turn_detection.create_response is not False
            changes["turn_detection"] = replace(given.turn_detection, create_response=False)
        if given.transcription is None or (given.transcription is UNSET and changes):
            changes["transcription"] = self._transcription()
        if not changes:
            return settings
        return replace(settings, audio=replace(settings.audio, input=replace(given, **changes)))

    def _transcription(self) -> Transcription:
        current = self._input().transcription
        if isinstance(current, Transcription):
            return current
        return Transcription(model=self._config.transcription or UNSET)

    def _input(self) -> AudioInput:
        settings = self.session.settings
        audio = settings.audio if settings is not None else UNSET
        given = audio.input if isinstance(audio, AudioSettings) else UNSET
        return given if isinstance(given, AudioInput) else AudioInput()

    @on(SessionUpdate)
    async def settings_out(self, event: SessionUpdate, call_next: Next[SessionUpdate]) -> None:
        """Settings on their way to the server."""
        await call_next(replace(event, session=self._gated(event.session)))

    @on(SessionCreated, SessionUpdated)
    async def settings_in(
        self, event: SessionCreated | SessionUpdated, call_next: Next[SessionCreated | SessionUpdated]
    ) -> None:
        """Settings as the server confirms them: where it still answers by itself, it is told again, once."""
        settings = event.session
        audio = settings.audio if isinstance(settings, Settings) else UNSET
        given = audio.input if isinstance(audio, AudioSettings) else UNSET
        detection = given.turn_detection if isinstance(given, AudioInput) else UNSET
        open_gate = isinstance(detection, TurnDetection) and detection.create_response is not False
        silent = isinstance(settings, Settings) and not (
            isinstance(given, AudioInput) and isinstance(given.transcription, Transcription)
        )
        if isinstance(event, SessionCreated) and (open_gate or silent):
            self.session.start_soon(self._close, detection if isinstance(detection, TurnDetection) else None)
        elif open_gate and not self._warned:
            self._warned = True
            self.session.notice("gate", "the server still answers by itself; each such answer is cancelled")
        await call_next(event)

    async def _close(self, detection: TurnDetection | None) -> None:
        """Ask for the settings that the guard needs, where the application has not asked for any."""
        asked = AudioInput(transcription=self._transcription())
        if detection is not None and not self._asked_detection:
            self._own = replace(detection, create_response=False)
            asked = replace(asked, turn_detection=self._own)
        await self.session.update(Settings(audio=AudioSettings(input=asked)))

    @on(ResponseEvent, ItemEvent)
    async def said(self, event: E, call_next: Next[E]) -> None:
        """What the agent says; a response that begins while something waits has seen it: nothing of it is let out."""
        if isinstance(event, ResponseCreated) and self._early.begins(event.response, is_early=bool(self._waiting)):
            self.session.start_soon(self.session.send, ResponseCancel(response_id=event.response.id))
        if isinstance(event, ConversationItemAdded):
            self._added(event.item)
        shown = self._early.shown(event)
        if shown is not None:
            await call_next(shown)

    @on(ConversationUpdated, ItemAppended, ItemCompleted, TurnCompleted, Interrupted, Reconnected, UnknownEvent)
    async def told(self, event: E, call_next: Next[E]) -> None:
        """What the engine tells of what the agent says."""
        shown = self._early.shown(event)
        if shown is not None:
            await call_next(shown)

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        """Refuse what a response calls that had seen what nobody has checked."""
        if call.response_id in self._early.responses:
            return ToolResult.refused("what the user said was not checked yet")
        return await call_next(call)

    # What the user says

    def _wait_for(self, item_id: str) -> None:
        if item_id not in self._waiting and item_id not in self._decided:
            self._waiting[item_id] = False
            self.session.start_soon(self._expire, item_id)

    @on(InputAudioBufferCommit)
    async def commit_out(self, event: InputAudioBufferCommit, call_next: Next[InputAudioBufferCommit]) -> None:
        """The application ends a turn of the user's: its item is waited for before anything is asked."""
        self._count += 1
        self._typed = False
        self._wait_for(f"{COMMIT}{self._count}")
        await call_next(event)

    def _commit_over(self) -> bool:
        """Note that a commit is answered; return whether one was waited for."""
        commit = next((name for name in self._waiting if name.startswith(COMMIT)), None)
        return commit is not None and self._decide(commit)

    @on(ErrorEvent)
    async def refused_commit(self, event: ErrorEvent, call_next: Next[ErrorEvent]) -> None:
        """An error: where it is that there was nothing to commit, no item comes."""
        if (event.error.code or "").startswith("input_audio_buffer_commit") and self._commit_over():
            self.session.start_soon(self._go_on)
        await call_next(event)

    @on(InputAudioBufferCommitted)
    async def committed(self, event: InputAudioBufferCommitted, call_next: Next[InputAudioBufferCommitted]) -> None:
        """The user's audio became an item, which waits for its transcript."""
        self._wait_for(event.item_id)
        self._commit_over()
        await call_next(event)

    def _added(self, item: AnyItem) -> None:
        """Note an item that entered the conversation; one that was spoken waits as well."""
        if isinstance(item, MessageItem) and item.role == "user" and item.id and _is_spoken(item):
            self._wait_for(item.id)

    @on(ConversationItemDeleted)
    async def deleted(self, event: ConversationItemDeleted, call_next: Next[ConversationItemDeleted]) -> None:
        """An item is gone, so nothing has to be checked."""
        if event.item_id in self._waiting:
            self._decide(event.item_id)
            self.session.start_soon(self._go_on)
        await call_next(event)

    @on(ConversationItemInputAudioTranscriptionCompleted)
    async def transcribed(
        self,
        event: ConversationItemInputAudioTranscriptionCompleted,
        call_next: Next[ConversationItemInputAudioTranscriptionCompleted],
    ) -> None:
        """What the user said."""
        if event.item_id not in self._decided:
            self._waiting[event.item_id] = True
            self.session.start_soon(self._check, event.item_id, event.transcript)
        await call_next(event)

    @on(ConversationItemInputAudioTranscriptionFailed)
    async def not_transcribed(
        self,
        event: ConversationItemInputAudioTranscriptionFailed,
        call_next: Next[ConversationItemInputAudioTranscriptionFailed],
    ) -> None:
        """Nobody knows what the user said."""
        reason = event.error.message or event.error.code or "no reason was given"
        self.session.start_soon(self._unheard, event.item_id, f"it could not be transcribed ({reason})")
        await call_next(event)

    def _decide(self, item_id: str) -> bool:
        """Note that an item is decided; return whether it was not before."""
        self._waiting.pop(item_id, None)
        return self._decided.note(item_id)

    async def _expire(self, item_id: str) -> None:
        await anyio.sleep(self._config.timeout)
        if not self._waiting.get(item_id):
            await self._unheard(item_id, f"there was no transcript within {self._config.timeout:g} s")

    async def _unheard(self, item_id: str, why: str) -> None:
        if item_id in self._waiting and self._decide(item_id):
            self.session.notice("gate", f"what the user said is not answered: {why}")
            await self._refuse(item_id, self._config.unheard)

    async def _check(self, item_id: str, transcript: str) -> None:
        verdict = await self._judge.verdict(transcript, "input")
        if not self._decide(item_id):
            return
        if verdict is not None:
            self._tell(verdict)
            await self._refuse(item_id, verdict.message or self._config.message)
        else:
            await self._go_on(answer=self._answers and self._input().turn_detection is not None)

    def _tell(self, verdict: Verdict) -> None:
        self.session.notice("gate", f"what the user said is not answered: {verdict.reason}")

    async def _refuse(self, item_id: str, message: str | None) -> None:
        """Take what was said out of the conversation, and say something instead."""
        held: list[_Held] = []
        if not self._waiting:
            held, self._held = self._held, []
        if not item_id.startswith(COMMIT):
            await self.session.delete_item(item_id)
        answers = False
        for each in held:
            if each.typed:
                await each.pass_on(each.create)
            elif message:
                answers = True
                await each.pass_on(refusal(each.create, message))
        if message and not answers:
            await self._speaker.say(message)

    async def _go_on(self, *, answer: bool = False) -> None:
        """Let the requests that waited pass, or ask for the answer, once nothing waits for its check."""
        if self._waiting:
            return
        held, self._held = self._held, []
        if not held and answer:
            await self.session.create_response()
        for each in held:
            await each.pass_on(each.create)

    # What the application sends

    @on(ResponseCreate)
    async def create_out(self, event: ResponseCreate, call_next: Next[ResponseCreate]) -> None:
        """A request for a response, which waits while something is not checked."""
        if not is_beside(event):
            refused, self._refused = self._refused, None
            if refused is not None and not is_saying(event, refused):
                event = refusal(event, refused)
        elif event.response is not None and isinstance(event.response.input, tuple):
            await call_next(event)  # it sees nothing of the conversation
            return
        typed, self._typed = self._typed, False
        if self._waiting:
            self._held.append(_Held(event, call_next, typed))
        else:
            await call_next(event)

    @on(ConversationItemCreate)
    async def item_out(self, event: ConversationItemCreate, call_next: Next[ConversationItemCreate]) -> None:
        """A message that the user has typed; one that may not pass goes out as a placeholder."""
        item = event.item
        if not isinstance(item, MessageItem) or item.role != "user":
            await call_next(event)
            return
        self._refused = None
        self._typed = not _is_spoken(item)
        if _is_spoken(item):
            self._count += 1
            item = replace(item, id=item.id or f"gate_{self._count}")
            self._wait_for(item.id or "")
        typed = " ".join(part.text for part in item.content if isinstance(part, InputText))
        verdict = await self._judge.verdict(typed, "input")
        if verdict is not None:
            self._tell(verdict)
            self._refused = verdict.message or self._config.message
            item = replace(item, content=(InputText(text=self._config.placeholder),))
        await call_next(replace(event, item=item))


def _is_spoken(item: MessageItem) -> bool:
    return any(isinstance(part, InputAudio) for part in item.content)
