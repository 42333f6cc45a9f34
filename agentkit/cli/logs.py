"""Python's own logging on the command line: to stderr, or to a file, without tracebacks unless asked for.

Rule: what a user's own tools log is shown as agentkit's records are; libraries that log each byte, or what was sent to
sign in, are never asked for less than warnings.
"""

import logging
import sys
from functools import cached_property
from pathlib import Path
from typing import Final

from agentkit.cli.exits import Problem, say
from agentkit.cli.terminal import Look, clean
from agentkit.masking import Masker

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}

_LOUD: Final = (
    "aiohttp",
    "anyio",
    "asyncio",
    "botocore",
    "concurrent",
    "grpc",
    "h11",
    "hpack",
    "httpcore",
    "httpx",
    "markdown_it",
    "mcp",
    "openai",
    "opentelemetry",
    "requests",
    "sse_starlette",
    "trio",
    "urllib3",
    "websockets",
)
_OURS: Final = "agentkit command line"


def level_of(name: str | None, verbosity: int, default: str) -> int:
    """Return the level that the flags ask for; ``default`` where they ask for none."""
    if name is not None:
        return LEVELS[name]
    if verbosity > 0:
        return logging.DEBUG if verbosity > 1 else logging.INFO
    if verbosity < 0:
        return LEVELS["none"] if verbosity < -1 else max(LEVELS[default], logging.ERROR)
    return LEVELS[default]


def set_up(
    level: int, look: Look, *, others: int | None = None, file: str | None = None, tracebacks: bool = False
) -> None:
    """Send the records of every logger to stderr, or to a file.

    Args:
        level: The least that is shown of agentkit and the libraries that it uses; of these, warnings at the least.
        others: The same for every other logger, as that of a user's tools; as ``level`` where it is left out.
        file: Where to append instead of stderr; tracebacks are kept there.
        tracebacks: Show the traceback of a record that has one.

    Raises:
        Problem: The file cannot be written.
    """
    handler: logging.Handler
    others = level if others is None else others
    if file is not None:
        try:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            handler = _File(file, encoding="utf-8")
        except OSError as exc:
            message = f"the log file {file} cannot be written: {exc.strerror}"
            raise Problem(message, hint="give another --log-file") from exc
        handler.setFormatter(_Masked("%(asctime)s %(levelname)-8s %(name)s: %(message)s"))
        level, others = min(level, logging.INFO), min(others, logging.INFO)
    else:
        handler = _Stderr()
        handler.setFormatter(_Line(look, tracebacks=tracebacks))
    root = logging.getLogger()
    for old in [each for each in root.handlers if each.name == _OURS]:
        root.removeHandler(old)
        old.close()
    handler.name = _OURS  # a second run in the same process replaces it
    root.addHandler(handler)
    root.setLevel(others)
    logging.getLogger("agentkit").setLevel(level)
    for name in _LOUD:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    handler.addFilter(_Quiet(level))
    logging.captureWarnings(True)


class _Quiet(logging.Filter):
    """Keeps back what a loud library has given a level of its own."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self._least = max(level, logging.WARNING)

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= self._least or record.name.partition(".")[0] not in _LOUD


class _File(logging.FileHandler):
    """Says once that its file cannot be written any more, and goes on."""

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        if not self._told:
            self._told = True
            error = sys.exc_info()[1]
            reason = error.strerror if isinstance(error, OSError) else error
            look = Look(sys.stderr)
            say(sys.stderr, look, f"the log file {self.baseFilename} misses records: {reason}", level="warning")


class _Stderr(logging.Handler):
    """Writes to what is stderr now: a prompt puts a stream in its place that keeps its line whole."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            pass  # nobody can be told


class _Masked(logging.Formatter):
    """Leaves out the secrets that the environment holds, from tracebacks too."""

    @cached_property
    def _masker(self) -> Masker:
        return Masker()

    def format(self, record: logging.LogRecord) -> str:
        return self._masker.text(super().format(record))


class _Line(_Masked):
    """One line a record."""

    def __init__(self, look: Look, *, tracebacks: bool) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")
        self._look = look
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        kept = record.exc_info, record.exc_text, record.stack_info
        if not self._tracebacks:
            record.exc_info = record.exc_text = record.stack_info = None
        try:
            text = super().format(record)
        finally:
            record.exc_info, record.exc_text, record.stack_info = kept
        if not self._tracebacks:
            if kept[0] and kept[0][1] is not None:
                text += self._masker.text(f" ({type(kept[0][1]).__name__}: {kept[0][1]})")
            text = " ".join(text.split())
        return self._look.paint(clean(text), "dim")
