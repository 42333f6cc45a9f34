"""Speaking with an agent by audio files and pipes: the user's audio in, the agent's voice out.

Rule: a file goes no faster than the agent answers: in each pause the server is asked how far it has heard, and the next
utterance waits for the answer to the last one. A pipe goes on whatever the agent does, as a line does.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import anyio
import anyio.abc
import anyio.to_thread
import numpy as np
from msgspec import UNSET

from agentkit.audio import Samples, decode, encode, ms_of, samples_of
from agentkit.cli.audio_files import Source, Target
from agentkit.cli.feed import NO_SPEECH, Feed
from agentkit.errors import AgentkitError, ConfigError
from agentkit.events import (
    Event,
    FlushPlayback,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    ResponseCreated,
    ResponseOutputAudioDelta,
    SessionUpdate,
    SessionUpdated,
    Settings,
    TurnCompleted,
    TurnDetection,
)
from agentkit.protocol.audio import MIN_COMMIT_MS, Format

if TYPE_CHECKING:
    from agentkit.session import Session, Subscription, Turn

Take: TypeAlias = "Callable[[Coroutine[object, object, Turn]], Awaitable[bool]]"
"""Takes one turn, and tells whether the session goes on."""

_PUSH_TO_TALK: Final = "push_to_talk"
_SILENCE_MS: Final = 500
"""What ends a turn where the server does not say."""
_MORE_MS: Final = 300
_SEMANTIC_MS: Final = 2000
"""The silence behind a file where the server decides by what was said; a turn that it leaves open is ended for it."""
_QUIET: Final = 0.1
"""A piece is a pause where it is so much quieter than what was said before."""
_ANSWER_SECONDS: Final = 30.0
"""How long a server may take over what is answered at once: an update, or the beginning of a response."""
_HEARS: Final = (
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    ResponseCreated,
    SessionUpdated,
    TurnCompleted,
)


class Voice:
    """What is said to the agent by audio, and where its own voice goes."""

    def __init__(self, source: Source | None, target: Target | None, *, whole: bool = False) -> None:
        """Make it.

        Args:
            source: What is said.
            target: Where the agent's voice goes.
            whole: Say all of it as one turn, whatever the session's settings say.
        """
        self._whole = whole
        self._source = source
        self._target = target
        self._session: Session
        self._ear: _Ear | None = None
        self._player: _Player | None = None

    @property
    def speaks(self) -> bool:
        """Whether it says something."""
        return self._source is not None

    def check(self, session: "Session") -> None:
        """Find out whether the server does what is asked of it.

        Raises:
            ConfigError: It does not speak, and its voice is wanted.
            OutputClosed: Nobody reads the agent's voice.
            Problem: The agent's voice cannot be written.
        """
        modalities = getattr(session.settings, "output_modalities", UNSET)
        if self._target is not None:
            if isinstance(modalities, tuple) and "audio" not in modalities:
                raise ConfigError(
                    f"the server does not speak, so {self._target.name} would get nothing", hint=NO_SPEECH
                )
            self._target.open(Format.of(session.output_format).rate)

    def attach(self, session: "Session", feed: Feed, tasks: anyio.abc.TaskGroup) -> None:
        """Take the session."""
        self._session = session
        if self._target is not None:
            live = self._source is not None and self._source.live
            player = self._player = _Player(session, feed, self._target, live=live)
            tasks.start_soon(player.collect)
            tasks.start_soon(player.play)
        if self._source is not None:
            self._ear = _Ear(session.subscribe(*_HEARS))
            tasks.start_soon(self._ear.run)

    async def heard(self) -> None:
        """Wait until all that the agent said was written; raises as ``Target.write`` does."""
        if self._player is not None:
            await self._player.finish()

    def close(self) -> None:
        """Write what is left, and close what is written; raises as ``Target.write`` does."""
        if self._player is not None:
            self._player.close()

    async def say(self, take: Take) -> AgentkitError | None:
        """Say the audio, and wait until it was answered.

        Args:
            take: Takes a turn that is asked for; the others are found by the server.

        Returns:
            What is wrong with the audio.
        """
        session, source, ear = self._session, self._source, self._ear
        assert source is not None
        assert ear is not None
        if self._whole and session.mode != _PUSH_TO_TALK:
            await session.set_mode(_PUSH_TO_TALK)
        if session.mode == _PUSH_TO_TALK:
            return await self._say_whole(source, take)
        loudest = 0.0
        unsettled = False
        async for piece, samples in source.chunks(session.input_format):
            await session.append_audio(piece)
            if session.ended is not None:
                return None
            loudness = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
            loudest = max(loudest, loudness)
            if loudness > loudest * _QUIET:
                unsettled = True
            elif unsettled and not source.live:
                unsettled = await self._pause(ear)
        await self._append_silence()
        if await self._pause(ear) and session.ended is None:
            await session.set_mode(_PUSH_TO_TALK)
            await take(session.respond())
        await ear.answered()
        if session.ended is None and not ear.turns and not ear.spoke:
            error = AgentkitError(f"no speech was found in {source.name}")
            error.hint = "--ptt takes all of it as one turn; session.turn.threshold says how loud speech is"
            return error
        return None

    async def _say_whole(self, source: Source, take: Take) -> AgentkitError | None:
        """Say all of it as one turn."""
        session, size = self._session, 0
        async for piece, _ in source.chunks(session.input_format):
            await session.append_audio(piece)
            size += len(piece)
        if session.ended is not None:
            return None
        if ms_of(size, session.input_format) < MIN_COMMIT_MS:
            return AgentkitError(f"{source.name} has less than {MIN_COMMIT_MS} ms of audio, which is no turn")
        await take(session.respond())
        return None

    async def _append_silence(self) -> None:
        """Say nothing for as long as ends a turn."""
        detection = self._detection()
        ms = _SEMANTIC_MS if detection is not None and detection.type == "semantic_vad" else _SILENCE_MS
        if detection is not None and isinstance(detection.silence_duration_ms, int):
            ms = detection.silence_duration_ms
        format = self._session.input_format
        silence = np.zeros(samples_of(ms + _MORE_MS, format), dtype=np.int16)
        await self._session.append_audio(encode(silence, format))

    def _detection(self) -> TurnDetection | None:
        audio = getattr(self._session.settings, "audio", UNSET)
        found = getattr(getattr(audio, "input", UNSET), "turn_detection", UNSET)
        return found if isinstance(found, TurnDetection) else None

    async def _pause(self, ear: "_Ear") -> bool:
        """Wait until the server has heard all so far, and was answered; tell whether it hears the user still speak."""
        session = self._session
        before = ear.updates
        try:
            # Servers take what they are sent in order, and answer this.
            await session.send(SessionUpdate(session=Settings()))
        except AgentkitError:
            return False  # the session's own end tells what happened
        with anyio.move_on_after(_ANSWER_SECONDS):
            await ear.until(lambda: ear.updates > before or ear.over)
        if ear.speaking:
            return True
        await ear.answered()
        live = self._source is not None and self._source.live
        if self._player is not None and not live:  # what is written after the user has gone on was never heard
            await self._player.written(ear.turns)
        return False


class _Ear:
    """Knows how far the server is with what it heard."""

    def __init__(self, events: "Subscription[Any]") -> None:
        self._events = events
        self._changed = anyio.Event()
        self._due = False
        """Whether a turn is committed, and no response begun."""
        self._answering = False
        self.speaking = False
        self.spoke = False
        self.updates = 0
        self.turns = 0
        self.over = False

    async def run(self) -> None:
        """Listen, for as long as the session lasts."""
        try:
            with self._events as events:
                async for event in events:
                    self._take(event)
        except AgentkitError:
            pass  # how the session ended is told by `SessionEnded`
        self.over = True
        self._changed.set()

    def _take(self, event: Event) -> None:
        match event:
            case InputAudioBufferSpeechStarted():
                self.speaking = self.spoke = True
            case InputAudioBufferSpeechStopped():
                self.speaking, self._due = False, True
            case InputAudioBufferCommitted():
                self._due = True
            case ResponseCreated():
                self._due, self._answering = False, True
            case SessionUpdated():
                self.updates += 1
            case TurnCompleted():
                self._answering = False
                self.turns += 1
        self._changed.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        while not holds():
            self._changed = anyio.Event()
            await self._changed.wait()

    async def answered(self) -> None:
        """Wait until everything that was said is answered; not for ever for the beginning of an answer."""
        with anyio.move_on_after(_ANSWER_SECONDS):
            await self.until(lambda: self.over or not self._due)
        await self.until(lambda: self.over or not self._answering)


class _Player:
    """Writes the agent's voice as it is heard: in order, and without what an interruption has cut off."""

    def __init__(self, session: "Session", feed: Feed, target: Target, *, live: bool) -> None:
        self._session = session
        self._feed = feed
        self._target = target
        self._follows = live and not target.streams
        """Whether what is heard goes by the clock: into a file a line is written as it would have been heard."""
        if self._follows:
            session.playback.follow_real_time()
        self._events: Subscription[Any] = session.subscribe(ResponseOutputAudioDelta, FlushPlayback, TurnCompleted)
        self._due: deque[list[Any]] = deque()
        """Pairs of an item's id and its samples that are not written yet."""
        self._written: dict[str, int] = {}
        """Samples that were written, by item."""
        self._rest: dict[str, bytes] = {}
        self._turns = 0
        """Turns whose audio is here."""
        self._changed = anyio.Event()
        self._nothing_due = anyio.Event()
        self._all_here = False
        self._writing = False
        self._finished = anyio.Event()

    async def collect(self) -> None:
        """Take the agent's voice as it comes."""
        try:
            async for event in self._events:
                match event:
                    case FlushPlayback():
                        self._flush(event)
                    case TurnCompleted():
                        self._turns += 1
                    case _ if event.audio:
                        self._push(event.item_id, event.audio)
                self._changed.set()
        except AgentkitError:
            pass  # how the session ended is told by `SessionEnded`
        self._all_here = True
        self._changed.set()

    def _push(self, item_id: str, audio: bytes) -> None:
        format = self._session.output_format
        size = Format.of(format).sample_bytes
        data = self._rest.pop(item_id, b"") + audio
        whole = len(data) // size * size
        self._rest[item_id] = data[whole:]
        samples = decode(data[:whole], format)
        if self._due and self._due[-1][0] == item_id:
            self._due[-1][1] = np.concatenate([self._due[-1][1], samples])
        else:
            self._due.append([item_id, samples])
        if not self._follows and not self._target.streams:
            self._session.playback.played(item_id, self._session.history.audio_ms(item_id))

    def _flush(self, event: FlushPlayback) -> None:
        """Drop what will not be heard."""
        for entry in self._due:
            item_id, samples = entry
            if event.item_id in (None, item_id):
                ms = event.at_ms if event.at_ms is not None and event.item_id else self._heard_ms(item_id)
                left = samples_of(ms, self._session.output_format) - self._written.get(item_id, 0)
                entry[1] = samples[: max(0, left)]

    def _heard_ms(self, item_id: str) -> int:
        return self._session.playback.heard_ms(item_id)

    async def play(self) -> None:
        """Write what was heard."""
        while True:
            self._feed.states.playing(self._target.streams and bool(self._due))
            piece = self._next()
            if piece is not None:
                await self._write(*piece)
            elif self._all_here:
                break
            else:
                self._changed = anyio.Event()
                self._nothing_due.set()
                await self._changed.wait()
        self._nothing_due.set()
        self._finished.set()

    def _next(self) -> tuple[str, Samples] | None:
        """Take the next samples that may be written."""
        while self._due:
            item_id, samples = self._due[0]
            if not samples.size:
                self._due.popleft()
                continue
            if self._follows and not self._all_here:
                heard = samples_of(self._heard_ms(item_id), self._session.output_format)
                if heard < self._written.get(item_id, 0) + samples.size:
                    return None
            size = samples_of(_PIECE_MS, self._session.output_format) if self._target.streams else samples.size
            self._due[0][1] = samples[size:]
            return item_id, samples[:size]
        return None

    async def _write(self, item_id: str, samples: Samples) -> None:
        if self._target.streams:
            self._writing = True
            await anyio.to_thread.run_sync(self._target.write, samples, abandon_on_cancel=True)
            self._writing = False
        else:
            self._target.write(samples)
        written = self._written[item_id] = self._written.get(item_id, 0) + samples.size
        if self._target.streams:
            self._session.playback.played(item_id, written * 1000 // Format.of(self._session.output_format).rate)

    async def written(self, turns: int) -> None:
        """Wait until the audio of so many turns was written."""
        while (self._turns < turns or self._due) and not self._finished.is_set():
            self._nothing_due = anyio.Event()
            await self._nothing_due.wait()

    async def finish(self) -> None:
        """Wait until all that has come was written."""
        self._events.close()
        await self._finished.wait()

    def close(self) -> None:
        """Write what may still be written at once, and close what is written."""
        if self._writing:
            return  # nobody reads, and the thread that waits for it holds the file
        if not self._target.streams:
            self._all_here = True
            while (piece := self._next()) is not None:
                self._target.write(piece[1])
        self._target.close()


_PIECE_MS: Final = 40
"""What is written to a player in one go."""
