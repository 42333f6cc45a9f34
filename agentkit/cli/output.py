"""The streams of a command: the answer on stdout, words about it on stderr.

Rule: a reader that goes away ends the command quietly; a full disk is said in one line.
"""

import io
import os
import sys
from typing import IO, TextIO

from agentkit.cleaning import escaped_json
from agentkit.cli.exits import Exit, OutputClosed, Problem


class Out:
    """Stdout, written at once; a closed one swallows what is written."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream: TextIO = stream if stream is not None else sys.stdout or io.StringIO()

    def write(self, text: str) -> None:
        """Write and flush.

        Raises:
            OutputClosed: Nobody reads any more.
            Problem: It cannot be written for another reason.
        """
        try:
            self.stream.write(text)
            self.stream.flush()
        except BrokenPipeError:
            raise OutputClosed from None
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "it is closed"
            raise Problem(f"stdout cannot be written: {reason}", code=Exit.NO) from exc

    def line(self, text: str = "") -> None:
        """Write one line."""
        self.write(f"{text}\n")

    def json(self, value: object) -> None:
        """Write one JSON document on one line; raises as ``write`` does."""
        import msgspec

        try:
            encoded = msgspec.json.encode(value).decode()
        except UnicodeEncodeError:  # the name of a file need not be text; JSON can escape what stands for its bytes
            import json

            encoded = json.dumps(msgspec.to_builtins(value), separators=(",", ":"))
        self.line(escaped_json(encoded))


def make_streams_safe() -> None:
    """Make the standard streams write anything: what their encoding lacks is replaced."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # lives as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def finish_streams() -> int | None:
    """Flush what is left before the interpreter does; return an exit code where that fails."""
    code: int | None = None
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except BrokenPipeError:
            _forget(stream)
        except (OSError, ValueError):
            _forget(stream)
            code = Exit.NO
    return code


def _forget(stream: IO[str]) -> None:
    """Point a broken stream at nothing, so that the interpreter's own flush says nothing."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError, AttributeError):
        pass
