"""What the terminal can show: colour, width, glyphs; and the cleaning of text that others wrote.

Rule: whatever a model, a tool or a server wrote goes through ``clean`` before it reaches a stream.
"""

import io
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Final, Literal, TypeAlias

ColorChoice: TypeAlias = Literal["auto", "always", "never"]

_SEQUENCES: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC and the other strings
    r"|\x1b[ -/]*[0-~]"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DIM: Final = "2"
_TONES: Final = {"dim": _DIM, "red": "31", "green": "32", "yellow": "33", "bold": "1"}
MIN_WIDTH: Final = 20


def clean(text: str) -> str:
    """Return a text without anything that a terminal would obey; line ends and tabs stay.

    A sequence that arrives in pieces loses its escape character, so its rest shows as plain text.
    """
    return _CONTROLS.sub("", _SEQUENCES.sub("", text.replace("\r\n", "\n")))


def one_line(text: str) -> str:
    """Return a cleaned text on one line."""
    return " ".join(clean(text).split())


def wants_color(choice: ColorChoice, stream: IO[str], environ: Mapping[str, str] = os.environ) -> bool:
    """Decide whether escapes may be written to a stream: flag, NO_COLOR, FORCE_COLOR, tty, TERM, in this order."""
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return is_tty(stream) and environ.get("TERM") != "dumb"


def is_tty(stream: IO[str] | None) -> bool:
    """Tell whether a stream is a terminal; a closed one is not."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


class Look:
    """How one stream is written: with which escapes, glyphs and width."""

    def __init__(
        self, stream: IO[str], *, color: ColorChoice = "auto", environ: Mapping[str, str] = os.environ
    ) -> None:
        self.color = wants_color(color, stream, environ)
        """Whether escapes may be written at all."""
        encoding = (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "").replace("_", "")
        self.ascii = bool(environ.get("AGENTKIT_ASCII")) or not encoding.startswith("utf")
        self._tty = is_tty(stream)

    @property
    def width(self) -> int | None:
        """The terminal's width now; None in a pipe, where nothing is cut."""
        return max(shutil.get_terminal_size().columns, MIN_WIDTH) if self._tty else None

    def paint(self, text: str, tone: str) -> str:
        """Put a text into a tone (``dim``, ``bold``, ``red``, ``green``, ``yellow``) where escapes are allowed."""
        return f"\x1b[{_TONES[tone]}m{text}\x1b[0m" if self.color and text else text

    def glyph(self, name: str) -> str:
        """Return a sign, in ASCII where the stream has no more."""
        return _GLYPHS[name][self.ascii]

    def cut(self, text: str, room: int | None = None) -> str:
        """Cut a line to the terminal's width, or to ``room`` cells."""
        limit = room if room is not None else self.width
        if limit is None or cells(text) <= limit:
            return text
        mark = self.glyph("more")
        kept = ""
        for char in text:
            if cells(kept + char) > limit - len(mark):
                break
            kept += char
        return kept + mark

    def wrapped(self, text: str, indent: int = 0) -> list[str]:
        """Break a line between words to the terminal's width, the second line and those after it indented."""
        width = self.width
        if width is None or cells(text) <= width:
            return [text]
        flow = Flow(max(width - indent, 20))
        head, rest = text[:indent], text[indent:]
        lines = (flow.feed(rest) + flow.end()).split("\n")
        return [head + lines[0], *(" " * indent + line for line in lines[1:])]


class Flow:
    """Breaks a text that comes in pieces between words, at the edge of a terminal."""

    def __init__(self, width: int | None) -> None:
        self.width = width
        """Cells of a line; None breaks nothing."""
        self.column = 0
        """Cells of the current line that are written."""
        self._gap = ""
        self._word = ""

    def feed(self, text: str) -> str:
        """Take a piece, and return what can be written now: a word is held until it is whole."""
        if self.width is None:
            return text
        written = []
        for char in text:
            if char == "\n":
                written.append(self._put() + char)
                self.column, self._gap = 0, ""
            elif char == " ":
                written.append(self._put())
                self._gap += char
            else:
                self._word += char
        return "".join(written)

    def end(self) -> str:
        """Return what was held; the column stays, for what comes behind it."""
        return self._put()

    def _put(self) -> str:
        if not self._word:
            return ""
        room = cells(self._gap) + cells(self._word)
        assert self.width is not None
        if self.column and self.column + room > self.width:
            written, self.column = "\n" + self._word, cells(self._word)
        else:
            written, self.column = self._gap + self._word, self.column + room
        self._gap = self._word = ""
        return written


_GLYPHS: Final = {
    "ok": ("✓", "ok"),
    "failed": ("✗", "FAILED"),
    "dot": ("·", "-"),
    "more": ("…", "..."),
    "stopped": ("⏸", "stopped"),
}


def cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


class TerminalState:
    """Keeps the terminal's settings as they were found, so that they can be put back whatever happens."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self._saved: list[object] | None = None
        self._silent = False
        self._asking = 0
        if sys.platform == "win32" or not is_tty(sys.stdin):
            return
        import termios

        try:
            self._fd = sys.stdin.fileno()
            self._saved = termios.tcgetattr(self._fd)
        except (termios.error, OSError, ValueError):
            self._fd = None

    def restore(self) -> None:
        """Put the settings back; harmless where nothing was changed."""
        self._set(echo=True)

    @contextmanager
    def without_echo(self) -> Iterator[None]:
        """Let what is typed meanwhile wait unseen for the next prompt; Ctrl-C still interrupts."""
        self._silent = True
        self._follow()
        try:
            yield
        finally:
            self._silent = False
            self._follow()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Hold the settings as they were found, while something is asked that may not wait for the agent's silence."""
        self._set(echo=True)
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            self._follow()

    def forget_typed(self) -> None:
        """Drop what was typed and not read, so that it cannot answer a question that was not seen yet."""
        if sys.platform == "win32" or self._fd is None:
            return
        import termios

        try:
            termios.tcflush(self._fd, termios.TCIFLUSH)
        except (termios.error, OSError):
            pass

    def _follow(self) -> None:
        if not self._asking:
            self._set(echo=not self._silent)

    def _set(self, *, echo: bool) -> None:
        if sys.platform == "win32" or self._fd is None or self._saved is None:
            return
        import termios

        settings = list(self._saved)
        if not echo and isinstance(settings[3], int):
            settings[3] &= ~termios.ECHO
        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, settings)  # type: ignore[arg-type]  # as tcgetattr gave it
        except (termios.error, OSError):
            pass


class Face(io.TextIOBase):
    """Stands in the place of a stream, and says of itself what the stream says."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]  # the stream decides
        """The stream's encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def fileno(self) -> int:
        """Return the stream's file descriptor."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Tell whether the stream is a terminal."""
        return is_tty(self._stream)

    def writable(self) -> bool:
        """Tell that it can be written."""
        return True

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()
