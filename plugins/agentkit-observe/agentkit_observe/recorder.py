"""The recorder: every event as it went, and both sides' audio in one WAV file, on the session's clock.

Rule: recording never stops a session: where it cannot go on, it ends with a notice, and what is written stays.
"""

import errno
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import anyio
import anyio.to_thread
import msgspec
import numpy as np
from msgspec import UNSET

from agentkit import Middleware, Next, on
from agentkit.audio import MAX_WAV_BYTES, WavWriter
from agentkit.events import (
    AudioFormat,
    ConversationItemTruncate,
    Event,
    FlushPlayback,
    InputAudioBufferAppend,
    MalformedEvent,
    ResponseOutputAudioDelta,
)
from agentkit.masking import WireMasker
from agentkit.middleware.base import Direction
from agentkit.middleware.frames import without_audio
from agentkit.middleware.secrets import wire_masker
from agentkit.protocol.audio import Format
from agentkit.session.clock import clock
from agentkit_observe.configs import RecorderConfig
from agentkit_observe.files import check_template, create, hold
from agentkit_observe.keeping import remove_older
from agentkit_observe.opening import is_opening
from agentkit_observe.redacting import HIDDEN, Redactor
from agentkit_observe.tracks import Track

HOLD: Final = 5.0
"""Seconds of audio that wait to be written, for an interruption tells afterwards what was not heard."""
EVERY: Final = 1.0
"""Seconds between two writings."""
BLOCK: Final = 10.0
"""Seconds that are written at once at most."""


class Recorder(Middleware):
    """Record a session; list it first, next to the application, so that the audio is what is played.

    A line of the events is ``{"at": ..., "time": ..., "seq": ..., "direction": "in" | "out", "event": {...}}``, ``at``
    in seconds of the session's clock, which is that of the WAV file too. The user's audio stands where it was sent, the
    agent's where it was played: when it came, or when what came before was over; what an interruption cut is silence.
    """

    def __init__(self, config: RecorderConfig) -> None:
        """Make the layer; the files are made with the session.

        Raises:
            ValueError: The path cannot be used, there is nothing to record, or what redacts is not installed.
        """
        check_template(config.path, "recorder")
        if not (config.audio or config.events):
            raise ValueError("recorder: neither audio nor events are recorded; say audio: true or events: true")
        self._config = config
        self._redactor = Redactor() if config.redact else None
        self._left = config.max_size
        self._now: Callable[[], float] = anyio.current_time
        self._began = 0.0
        self._sequence = 0
        self._events = -1
        self._wav: _Stereo | None = None
        self._stopped = False
        self._opening = True
        """Whether nobody can listen yet."""
        self._untold: list[Callable[[], None]] = []
        self._masker: WireMasker
        self.events_path: Path | None = None
        """The events' file, once the session runs."""
        self.audio_path: Path | None = None
        """The WAV file, once the session runs."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the files."""
        self._now = clock()
        self._began = self._now()
        self._masker = wire_masker(self.session)
        endings = [
            ending for ending, wanted in ((".jsonl", self._config.events), (".wav", self._config.audio)) if wanted
        ]
        files = create(self._config.path, endings, session_id=self.session.id, who="recorder")
        for path, handle in zip(files.paths, files.handles, strict=True):
            hold(handle)  # so that no other session takes it for an old one
            if path.suffix == ".wav":
                self.audio_path = path
                self._wav = _Stereo(handle)
            else:
                self.events_path = path
                self._events = handle
        if self._config.notice:
            written = " and ".join(str(path) for path in files.paths)
            self._tell("recording", f"this session is recorded: {written}", level="info")
        if self._config.keep is not None:
            self.session.start_soon(self._remove_older, time.time() - self._config.keep)
        try:
            yield
        finally:
            self._finish()

    async def _remove_older(self, before: float) -> None:
        errors = (await anyio.to_thread.run_sync(remove_older, self._config.path, before)).errors
        if errors:
            first = errors[0]
            why = f"{first.filename or self._config.path!r}: {first.strerror or first}"
            which = "an older recording" if len(errors) == 1 else f"{len(errors)} older recordings"
            rest = "" if len(errors) == 1 else ", and others"
            self.session.notice("recording_kept", f"{which} cannot be removed: {why}{rest}")

    # The events

    def on_wire(self, direction: Direction, raw: bytes, event: Event) -> None:
        """Record a frame, and the user's audio in it."""
        if self._opening and not is_opening(event):
            self._opening = False
            for tell in self._untold:
                tell()
        if self._stopped:
            return
        at = self._now() - self._began
        try:
            if self._events >= 0:
                self._write_event(at, direction, raw, event)
            if direction == "out" and self._wav is not None:
                if isinstance(event, InputAudioBufferAppend):
                    self._wav.user_said(event.audio, self._format("input"), at, self._format("output").rate)
                elif isinstance(event, ConversationItemTruncate):
                    self._wav.truncated(event.item_id, event.audio_end_ms, at)
            self._advance(at)
        except OSError as exc:
            self._stop(f"cannot be written ({exc.strerror or exc})", "make room on the disk")

    def _write_event(self, at: float, direction: Direction, raw: bytes, event: Event) -> None:
        raw = self._masker.frame(raw if self._config.audio_in_events else without_audio(raw, event))
        if self._redactor is not None and not isinstance(event, ResponseOutputAudioDelta | InputAudioBufferAppend):
            raw = self._redactor.frame(raw)
        self._sequence += 1
        if isinstance(event, MalformedEvent) and self._redactor is not None:
            body = b'"raw":' + msgspec.json.encode(HIDDEN)
        elif isinstance(event, MalformedEvent):
            text = msgspec.json.encode(raw[:4096].decode("utf-8", "replace"))
            body = b'"raw":' + self._masker.masker.bytes(text)
        else:
            body = b'"event":' + raw
        if b"\n" in body:
            body = body.replace(b"\r", b"").replace(b"\n", b"")  # only between tokens: in a JSON string it is escaped
        head = b'{"at":%.6f,"time":"%s","seq":%d,"direction":"%s",' % (at, _time(), self._sequence, direction.encode())
        line = head + body + b"}\n"
        if self._allows(len(line)):
            _write_all(self._events, line)

    # The audio

    @on(ResponseOutputAudioDelta)
    async def agent_said(self, event: ResponseOutputAudioDelta, call_next: Next[ResponseOutputAudioDelta]) -> None:
        """Record the agent's audio as it reaches who plays it."""
        audio = event.audio
        if self._wav is not None and audio and not self._stopped:
            self._wav.agent_said(audio, self._format("output"), self._now() - self._began, event.item_id)
        await call_next(event)

    @on(FlushPlayback)
    async def flushed(self, event: FlushPlayback, call_next: Next[FlushPlayback]) -> None:
        """Take out what was not heard."""
        if self._wav is not None:
            self._wav.flushed(event.item_id, event.at_ms, self._now() - self._began)
        await call_next(event)

    def _format(self, side: str) -> Format:
        settings = self.session.settings
        audio = settings.audio if settings is not None else UNSET
        given: AudioFormat | msgspec.UnsetType | None = UNSET
        if audio is not UNSET:
            part = audio.input if side == "input" else audio.output
            given = part.format if part is not UNSET else UNSET
        return Format.of(given)

    def _advance(self, at: float) -> None:
        if self._wav is not None and self._wav.due(at):
            self._allows(self._wav.write(at - HOLD))

    def _allows(self, size: int) -> bool:
        """Count what is written; tell whether there is room for it."""
        self._left -= size
        if self._left < 0:
            self._stop("has reached its size (max_size)", "give a larger max_size")
            return False
        return True

    # The end

    def _stop(self, why: str, hint: str) -> None:
        if self._stopped:
            return
        self._stopped = True
        path = self.events_path or self.audio_path
        message = f"the recording {str(path)!r} ends here: it {why}"
        self._tell("recording_stopped", message, hint=f"{hint}; the session goes on")

    def _tell(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        """Tell a person something, once somebody can listen."""
        tell = partial(self.session.notice, code, message, level=level, hint=hint)
        if self._opening:
            self._untold.append(tell)
        else:
            tell()

    def _finish(self) -> None:
        if self._events >= 0:
            os.close(self._events)
            if self._sequence == 0 and self.events_path is not None:
                self.events_path.unlink(missing_ok=True)
        if self._wav is not None and self.audio_path is not None:
            if not self._stopped:
                try:
                    self._wav.write(None)
                except OSError as exc:
                    self._stop(f"cannot be written ({exc.strerror or exc})", "make room on the disk")
            self._wav.close()
            if not self._wav.began:
                self.audio_path.unlink(missing_ok=True)


class _Stereo:
    """The WAV file: the user on the left, the agent on the right."""

    def __init__(self, handle: int) -> None:
        self.size = 0
        """Bytes of audio written."""
        self._file: BinaryIO = open(handle, "wb")  # noqa: SIM115  # closed by `close`
        self._writer: WavWriter | None = None
        self._user = self._agent = Track(1)
        self._rate = 1
        self._written = 0
        """Samples of each side."""
        self._next = 0.0

    @property
    def began(self) -> bool:
        """Whether there is any audio."""
        return self._writer is not None

    def _begin(self, rate: int) -> None:
        """Begin with the first audio of either side, for the rate is known then."""
        if self._writer is None:
            self._rate = rate
            self._user, self._agent = Track(rate), Track(rate)
            self._writer = WavWriter(self._file, rate=rate, channels=2)

    def _at(self, seconds: float) -> int:
        return max(round(seconds * self._rate), self._written)

    def user_said(self, audio: bytes, source: Format, at: float, rate: int) -> None:
        """Place the user's audio."""
        self._begin(rate)
        self._user.place(audio, source, self._at(at))

    def agent_said(self, audio: bytes, source: Format, at: float, item_id: str) -> None:
        """Place the agent's audio."""
        self._begin(source.rate)
        self._agent.place(audio, source, self._at(at), key=item_id)

    def flushed(self, item_id: str | None, at_ms: int | None, at: float) -> None:
        """Take out what is not played: after so much of an item, of one item, or of all."""
        if at_ms is None:
            self._agent.drop(self._at(at), item_id)
        elif item_id is None or not self._agent.cut(item_id, at_ms):
            self._agent.drop(self._at(at))

    def truncated(self, item_id: str, ms: int, at: float) -> None:
        """Take out the rest of an item that is still being played."""
        if self._agent.playing(item_id, self._at(at)):
            self._agent.cut(item_id, ms)

    def due(self, at: float) -> bool:
        """Tell whether it is time to write."""
        return self._writer is not None and at >= self._next

    def write(self, until: float | None) -> int:
        """Write what is before a moment, or all there is; return how many bytes.

        Raises:
            OSError: The file cannot be written.
        """
        if self._writer is None:
            return 0
        if until is not None:
            self._next = until + HOLD + EVERY
        end = max(self._user.end, self._agent.end) if until is None else round(until * self._rate)
        before = self.size
        while self._written < end:
            last = min(end, self._written + round(BLOCK * self._rate))
            both = np.stack([track.render(self._written, last) for track in (self._user, self._agent)], axis=1)
            if self.size + both.nbytes > MAX_WAV_BYTES:
                raise OSError(errno.EFBIG, "a WAV file cannot hold more than 4 GiB")
            self._writer.write(both.reshape(-1))
            self._file.flush()
            self.size += both.nbytes
            self._written = last
        return self.size - before

    def close(self) -> None:
        """Close the file; where it could not be written, its header goes on to say that the length is not known."""
        try:
            if self._writer is not None:
                self._writer.close()
        except OSError:
            pass  # what is written can be read all the same
        finally:
            try:
                self._file.close()
            except OSError:
                pass  # the rest that has no room is lost


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _time() -> bytes:
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1e6):06d}Z".encode()
