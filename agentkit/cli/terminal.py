"""What the terminal can show: colour, width, glyphs; and the cleaning of text that others wrote.

Rule: whatever a model, a tool or a server wrote goes through ``clean`` before it reaches a stream.
"""

import io
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Final, Literal, TypeAlias

from agentkit.cleaning import clean as clean

ColorChoice: TypeAlias = Literal["auto", "always", "never"]

_NAMED: Final = re.compile(r" *\S+ {2,}(?=\S)")
_DIM: Final = "2"
_TONES: Final = {"dim": _DIM, "red": "31", "green": "32", "yellow": "33", "cyan": "36", "bold": "1"}
MIN_WIDTH: Final = 20


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


def size_of(stream: IO[str]) -> os.terminal_size:
    """Return the size of a terminal now; 80 columns and 24 rows where it does not say."""
    try:
        size = os.get_terminal_size(stream.fileno())
        if size.columns > 0 and size.lines > 0:
            return size
    except (OSError, ValueError, AttributeError):
        pass
    return shutil.get_terminal_size()


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
        self._stream = stream

    @property
    def width(self) -> int | None:
        """The terminal's width now; None in a pipe, where nothing is cut."""
        return max(size_of(self._stream).columns, MIN_WIDTH) if self._tty else None

    def paint(self, text: str, tone: str) -> str:
        """Put a text into a tone (``dim``, ``bold``, ``red``, ``green``, ``yellow``, ``cyan``) where escapes may be."""
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
        return head_of(text, limit - len(mark)) + mark

    def hanging(self, text: str) -> list[str]:
        """Break a line as ``wrapped`` does, below the blanks at its beginning, or a name that two blanks follow."""
        named, width = _NAMED.match(text), self.width or 0
        indent = named.end() if named is not None else 0
        return self.wrapped(text, indent if 0 < indent <= width // 2 else len(text) - len(text.lstrip(" ")))

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
    """Breaks a text that comes in pieces between words, at the edge of a terminal.

    A word that is longer than a line is not broken: the terminal does it, and what is copied stays whole.
    """

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
    "stopped": ("⏸", "||"),
    "bar": ("│", "|"),
    "cursor": ("▌", "_"),
    "state": ("●", "*"),
    "in": ("←", "<-"),
    "out": ("→", "->"),
}


def cells(text: str) -> int:
    """How many cells of a terminal a text takes; where terminals differ, the most."""
    if text.isascii():
        return len(text)
    import unicodedata

    taken = last = 0
    for char in text:
        if char == "\ufe0f":  # asks for the wide picture of what is before it
            width = 2 - last if last == 1 else 0
        elif unicodedata.category(char) in ("Mn", "Me", "Cf"):
            width = 0
        else:
            width = last = 2 if unicodedata.east_asian_width(char) in "WF" else 1
        taken += width
    return taken


def head_of(text: str, room: int) -> str:
    """Return as much of a text as fits into so many cells."""
    if text.isascii():
        return text[: max(room, 0)]
    taken = 0
    for index, char in enumerate(text):
        taken += cells(char)
        if taken > room:
            return text[:index]
    return text


class TerminalState:
    """Keeps the terminal's settings as they were found, so that they can be put back whatever happens."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self._saved: list[object] | None = None
        self._taken: list[object] | None = None
        self._silent = False
        self._asking = 0
        self.leave: Callable[[], None] | None = None
        """Takes off the screen what is drawn there, where the program ends without a word."""
        if sys.platform == "win32" or not is_tty(sys.stdin):
            return
        import atexit
        import termios

        try:
            self._fd = sys.stdin.fileno()
            self._saved = termios.tcgetattr(self._fd)
        except (termios.error, OSError, ValueError):
            self._fd = None
        else:
            atexit.register(self.restore)

    def restore(self) -> None:
        """Put the settings back; harmless where nothing was changed."""
        if self.leave is not None:
            leave, self.leave = self.leave, None
            leave()
        self._set(echo=True)

    def remember(self) -> None:
        """Keep the settings as they are now, for ``take_again``."""
        if sys.platform == "win32" or self._fd is None:
            return
        import termios

        try:
            self._taken = termios.tcgetattr(self._fd)
        except (termios.error, OSError):
            self._taken = None

    def take_again(self) -> None:
        """Put the remembered settings back, after the shell has had the terminal."""
        if self._taken is not None:
            self._put(self._taken)

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
        if self._saved is None:
            return
        settings = list(self._saved)
        if not echo and isinstance(settings[3], int) and sys.platform != "win32":
            import termios

            settings[3] &= ~termios.ECHO
            settings[3] |= termios.NOFLSH  # a Ctrl-C stops the reply, and drops nothing that was typed
        self._put(settings)

    def _put(self, settings: list[object]) -> None:
        if sys.platform == "win32" or self._fd is None or not self._is_ours(self._fd):
            return
        import termios

        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, settings)  # type: ignore[arg-type]  # as tcgetattr gave it
        except (termios.error, OSError):
            pass

    @staticmethod
    def _is_ours(fd: int) -> bool:
        """Tell whether another program has the terminal now, as the shell has while this one is stopped."""
        try:
            return os.tcgetpgrp(fd) == os.getpgrp()
        except OSError:
            return True  # it belongs to nobody


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
