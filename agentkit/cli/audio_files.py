"""Audio that ``run`` takes from and gives to files and pipes: WAV, and raw PCM16 of one channel at 24 kHz."""

import os
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import anyio
import anyio.to_thread
import numpy as np

from agentkit.audio import Samples, WavWriter, as_samples, encode, read_wav, to_bytes
from agentkit.cli.exits import Exit, OutputClosed, Problem
from agentkit.cli.resampling import Resampler, resampled
from agentkit.events import AudioFormat
from agentkit.protocol.audio import Format

PCM: Final = "pcm:"
STREAM: Final = "-"
RATE: Final = 24_000
"""Samples a second of raw audio."""
CHUNK_MS: Final = 100
_AHEAD_SECONDS: Final = 0.5
"""How much sooner than it would be spoken audio from a pipe may be sent."""
_PIPE_BYTES: Final = 1 << 14
"""What a pipe to a player may hold, where that can be said: what is in it cannot be taken back."""


class Source:
    """What the user says: a whole file, or a pipe that goes on."""

    def __init__(self, spec: str) -> None:
        """Read a file; a pipe is read while it is sent.

        Args:
            spec: A WAV file, ``-`` for one on stdin, ``pcm:FILE``, or ``pcm:-`` for raw audio on stdin.

        Raises:
            Problem: It cannot be read, or is no such audio.
        """
        self.name = "stdin" if spec in (STREAM, PCM + STREAM) else spec.removeprefix(PCM)
        self.live = spec == PCM + STREAM and not _is_file(0)
        """Whether it is a pipe, which is sent as it comes and not sooner than it could be spoken."""
        self._samples = np.empty(0, dtype=np.int16)
        self._rate = RATE
        if self.live:
            return
        try:
            if spec.startswith(PCM):
                data = _stdin() if spec == PCM + STREAM else Path(self.name).read_bytes()
                self._samples = as_samples(data[: len(data) // 2 * 2])
            else:
                wav = read_wav(sys.stdin.buffer if spec == STREAM else spec)
                self._samples, self._rate = wav.samples, wav.rate
        except FileNotFoundError as exc:
            raise Problem(f"there is no file {self.name}") from exc
        except (OSError, AttributeError) as exc:
            raise Problem(f"{self.name} cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc
        except ValueError as exc:
            what, _, hint = str(exc).partition("; ")
            raw = f"raw audio, as arecord and ffmpeg write it, is {PCM}{spec}"
            raise Problem(
                what.replace("<stdin>", "stdin"), hint=hint if "WAV" not in what else f"{hint}; {raw}"
            ) from exc
        if not self._samples.size:
            raise Problem(f"{self.name} has no audio")

    async def chunks(self, format: AudioFormat) -> AsyncIterator[tuple[bytes, Samples]]:
        """Give the audio in pieces of 100 ms, in a session's format and as samples."""
        rate = Format.of(format).rate
        if not self.live:
            whole, size = resampled(self._samples, self._rate, rate), rate * CHUNK_MS // 1000
            for start in range(0, len(whole), size):
                piece = whole[start : start + size]
                yield encode(piece, format), piece
            return
        resampler, began, sent = Resampler(RATE, rate), anyio.current_time(), 0.0
        async for data in _read_stdin():
            piece = resampler.feed(as_samples(data))
            sent += len(data) / 2 / RATE
            await anyio.sleep(max(0.0, began + sent - _AHEAD_SECONDS - anyio.current_time()))
            if piece.size:
                yield encode(piece, format), piece
        if (rest := resampler.finish()).size:
            yield encode(rest, format), rest


async def _read_stdin() -> AsyncIterator[bytes]:
    """Give what stdin has, as it comes, in whole samples."""
    rest, size = b"", RATE * 2 * CHUNK_MS // 1000
    while data := await anyio.to_thread.run_sync(_read, size, abandon_on_cancel=True):
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        if whole:
            yield data[:whole]


def _read(size: int) -> bytes:
    try:
        return os.read(sys.stdin.fileno(), size)
    except (OSError, ValueError, AttributeError):
        return b""


def _stdin() -> bytes:
    return sys.stdin.buffer.read() if sys.stdin is not None else b""


def _is_file(descriptor: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False


class Target:
    """Where the agent's voice goes: a WAV file or raw audio, in a file or on stdout."""

    def __init__(self, spec: str, stdout: int) -> None:
        """Look whether it can be written; nothing is written yet.

        Args:
            spec: A WAV file, ``-`` for one on stdout, ``pcm:FILE``, or ``pcm:-`` for raw audio on stdout.
            stdout: The descriptor of stdout.

        Raises:
            Problem: It cannot be written, or is no such audio.
        """
        name = spec.removeprefix(PCM)
        self._raw = spec.startswith(PCM)
        self.streams = name == STREAM
        """Whether it is stdout: what was written there cannot be taken back."""
        self.name = "stdout" if self.streams else name
        self._place: str | int = stdout if self.streams else name
        self._file: BinaryIO | None = None
        self._wav: WavWriter | None = None
        self._resampler: Resampler | None = None
        if not self.streams:
            self._check(Path(name), spec)
        elif os.isatty(stdout):
            hint = f"agentkit run ... --output {PCM}- | aplay -t raw -f S16_LE -r {RATE} -c 1"
            raise Problem("audio would go to the terminal", hint=hint)

    def _check(self, path: Path, spec: str) -> None:
        if not self._raw and path.suffix.lower() not in (".wav", ".wave"):
            hint = f"name it {path.with_suffix('.wav')}, or write {PCM}{spec} for raw audio"
            raise Problem(f"{spec} is no WAV file", hint=hint)
        if path.is_dir():
            raise Problem(f"{path} is a directory")
        if not path.parent.is_dir():
            raise Problem(f"there is no directory {path.parent} for {path.name}", hint=f"mkdir -p {path.parent}")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise Problem(f"{path} cannot be written: permission denied")

    def open(self, rate: int) -> None:
        """Begin to write.

        Args:
            rate: Samples a second of what will be written.

        Raises:
            OutputClosed: Nobody reads.
            Problem: It cannot be written.
        """
        with self._errors():
            if isinstance(self._place, int):
                _shorten(self._place)
            self._file = open(self._place, "wb", closefd=not self.streams)  # noqa: SIM115  # closed by `close`
            if self._raw:
                self._resampler = Resampler(rate, RATE)
            else:
                self._wav = WavWriter(self._file, rate=rate)

    def write(self, samples: Samples) -> None:
        """Write, and wait where nobody reads; raises as ``open`` does."""
        assert self._file is not None
        with self._errors():
            if self._wav is not None:
                self._wav.write(samples)
            elif self._resampler is not None:
                self._file.write(to_bytes(self._resampler.feed(samples)))
            self._file.flush()

    def close(self) -> None:
        """End it; raises as ``open`` does."""
        file, self._file = self._file, None
        if file is None:
            return
        with self._errors(), file:
            if self._wav is not None:
                self._wav.close()
            elif self._resampler is not None:
                file.write(to_bytes(self._resampler.finish()))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise OutputClosed from None
        except (OSError, ValueError) as exc:
            reason = getattr(exc, "strerror", None) or exc
            raise Problem(f"{self.name} cannot be written: {reason}", code=Exit.NO) from exc


def _shorten(descriptor: int) -> None:
    """Let a pipe to a player hold little, so that an interruption is heard soon; where that can be said."""
    try:
        import fcntl

        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except (ImportError, AttributeError, OSError):
        pass
