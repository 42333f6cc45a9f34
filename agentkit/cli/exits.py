"""How the program ends: the exit codes, and what each error says on its way out.

Rule: every command's errors come here; no traceback is ever shown for a user's mistake.
"""

import errno
import os
import sys
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import IO, Final

from agentkit.cli.terminal import Look, clean
from agentkit.errors import AgentkitError, ConfigError, PluginError

_FULL: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG})
"""How the system says that there is no room left."""


class Exit(IntEnum):
    """The exit codes, the same for every command."""

    DONE = 0
    """Done."""
    NO = 1
    """It ran, and the answer is no: findings, a tool's error, an empty result."""
    USAGE = 2
    """Bad usage, or a configuration that cannot be used."""
    CONNECTION = 3
    """The provider, the network or the sign-in."""
    AUDIO = 4
    """An audio device."""
    LIMIT = 5
    """A limit stopped it."""
    BUG = 70
    """A fault of agentkit's own; a report file is named."""
    INTERRUPTED = 130
    """Ctrl-C."""
    TERMINATED = 143
    """SIGTERM."""


class Problem(Exception):  # noqa: N818  # what the user did, or met; not an error of the program
    """Ends a command with one line, a hint and an exit code."""

    def __init__(self, message: str, *, hint: str | None = None, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code


class OutputClosed(Exception):  # noqa: N818  # not an error: the reader has seen enough
    """Whoever read stdout has gone."""


def first_error(error: BaseException) -> BaseException:
    """Return the first single error of a group; anything else as it is."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def code_of(error: AgentkitError) -> Exit:
    """Return the exit code that an error of ours stands for."""
    from agentkit.errors import ProtocolError, ServerError, SessionClosedError, TransportError

    if isinstance(error, ConfigError | PluginError):
        return Exit.USAGE
    if isinstance(error, TransportError | ServerError | ProtocolError | SessionClosedError):
        return Exit.CONNECTION
    return Exit.NO


def report(error: BaseException, look: Look, *, stream: IO[str], verbose: bool = False) -> int:
    """Say on stderr what happened, and return the exit code."""
    import click

    error = first_error(error)
    if isinstance(error, OutputClosed | BrokenPipeError):
        return Exit.DONE
    if isinstance(error, OSError) and error.errno in _FULL:
        say(stream, look, f"what was written has no room: {error.strerror}")
        return Exit.NO
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return Exit.INTERRUPTED
    if isinstance(error, Problem):
        say(stream, look, str(error), hint=error.hint)
        return error.code
    if isinstance(error, click.ClickException):
        _usage(error, look, stream)
        return Exit.USAGE
    diagnostics = getattr(error, "diagnostics", None)
    if diagnostics and isinstance(error, ConfigError):
        from agentkit.config import render_full

        _tell(stream, render_full(diagnostics, color=look.color, width=look.width))
        return Exit.USAGE
    if isinstance(error, AgentkitError):
        say(stream, look, str(error), hint=error.hint)
        return code_of(error)
    if "_AGENTKIT_COMPLETE" in os.environ and isinstance(error, KeyError | ValueError):
        hint = "agentkit completion bash prints the script that sets COMP_WORDS and COMP_CWORD"
        say(stream, look, "there is no line to complete", hint=hint)
        return Exit.USAGE
    return _bug(error, look, stream, verbose=verbose)


def say(stream: IO[str], look: Look, message: str, *, hint: str | None = None, level: str = "error") -> None:
    """Write one line, and a hint below it."""
    tone = {"error": "red", "warning": "yellow"}.get(level, "dim")
    first, *more = look.wrapped(f"{level}: {clean(message)}")
    lines = [look.paint(f"{level}:", tone) + first.removeprefix(f"{level}:"), *more]
    lines += [look.paint(line, "dim") for line in (look.wrapped(f"  {clean(hint)}", indent=2) if hint else ())]
    _tell(stream, "".join(f"{line}\n" for line in lines))


def _tell(stream: IO[str], text: str) -> None:
    """Write to a stream that may be full or closed: nobody can be told then, and the exit code still says it."""
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        pass


def _usage(error: Exception, look: Look, stream: IO[str]) -> None:
    import click

    if isinstance(error, click.NoSuchOption) and error.possibilities:
        hint = f"did you mean {' or '.join(sorted(error.possibilities)[:3])}?"
        say(stream, look, f"there is no option {error.option_name}", hint=hint)
        return
    message = error.format_message() if isinstance(error, click.ClickException) else str(error)
    variable = _variable_of(error)
    if variable is not None and isinstance(error, click.BadParameter):
        message = f"invalid value for {variable}: {error.message}"
    context = getattr(error, "ctx", None)
    advice = f"{context.command_path} --help" if context is not None else None
    say(stream, look, message[:1].lower() + message[1:].rstrip("."), hint=advice)


def _variable_of(error: Exception) -> str | None:
    """Return the variable that set what is wrong; None where the command line did."""
    import click

    context, param = getattr(error, "ctx", None), getattr(error, "param", None)
    if not isinstance(context, click.Context) or not isinstance(param, click.Option) or param.name is None:
        return None
    if context.get_parameter_source(param.name) is not click.core.ParameterSource.ENVIRONMENT:
        return None
    names = [param.envvar] if isinstance(param.envvar, str) else [*(param.envvar or ())]
    return next((name for name in names if os.environ.get(name)), None)


def _bug(error: BaseException, look: Look, stream: IO[str], *, verbose: bool) -> int:
    import traceback

    from agentkit.masking import Masker

    masker = Masker()
    trace = masker.text("".join(traceback.format_exception(error)))
    try:
        place = f"the report is in {_write_report(trace, sys.argv)}"
    except OSError as exc:
        place = f"the report could not be written ({exc.strerror})"
    what = masker.text(" ".join(f"{type(error).__name__}: {error}".split()))
    say(
        stream,
        look,
        f"agentkit has failed, and it is agentkit's own fault ({what}); {place}",
        hint="send that file with a new issue; -vv shows the traceback here",
    )
    if verbose:
        _tell(stream, clean(trace))
    return Exit.BUG


def _write_report(trace: str, argv: Sequence[str]) -> Path:
    """Write what is needed to find the fault, without secrets."""
    import platform
    import tempfile

    import agentkit
    from agentkit.masking import Masker

    text = (
        f"agentkit {agentkit.__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"arguments: {list(argv[1:])}\n\n{trace}"
    )
    handle, name = tempfile.mkstemp(prefix="agentkit-report-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
        file.write(Masker().text(text))
    return Path(name)
