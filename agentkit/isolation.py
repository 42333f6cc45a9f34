"""Running a plugin's code so that whatever it does is one error, not the end of the program.

Rule: a plugin's import and hooks run in ``run_plugin`` only. A plugin is code with our rights, not sandboxed:
one that ends the process (``os._exit``, a crash in C) or never returns cannot be survived, and what it writes
to file descriptor 1 below Python is not caught; ``AGENTKIT_PLUGINS=none`` is the way out then.
"""

from __future__ import annotations

import contextlib
import io
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Final

import msgspec

from agentkit.discovery import Source
from agentkit.errors import PluginLoadError
from agentkit.hookspecs import collect
from agentkit.registry import Kind

_MAX_CAUSE: Final = 300
# Redirecting stdout and watching SIGINT are process-wide, so one plugin is imported at a time.
_IMPORTING = threading.RLock()


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that was imported and registered."""

    values: dict[Kind, dict[str, object]]
    """By kind and name."""
    import_ms: float
    """How long the import took; nearly nothing where something else had imported the module before."""


def run_plugin(source: Source) -> Loaded:
    """Import one plugin and call its hooks, with what it prints going to stderr.

    Raises:
        PluginLoadError: Whatever went wrong in it, in one line.
        KeyboardInterrupt: The user pressed Ctrl-C meanwhile.
    """
    stderr = sys.stderr or io.StringIO()
    with _IMPORTING, contextlib.redirect_stdout(stderr), _watched_interrupts() as interrupted:
        started = time.perf_counter()
        try:
            plugin = source.load()
            import_ms = (time.perf_counter() - started) * 1_000
            values = collect(plugin)
        # The isolation boundary of plugin imports. Also SystemExit, a KeyboardInterrupt that the module
        # raises itself and cancellation errors: nothing is awaited here, so none of them is meant for us.
        except BaseException as error:
            if interrupted():
                raise KeyboardInterrupt from None
            raise _load_error(source, error) from error
        if interrupted():
            raise KeyboardInterrupt
    return Loaded(values=values, import_ms=import_ms)


@contextlib.contextmanager
def _watched_interrupts() -> Iterator[Callable[[], bool]]:
    """Tell a real Ctrl-C from a KeyboardInterrupt that a plugin raises: only the real one is a signal.

    Yields a function that says whether the signal came and was answered by KeyboardInterrupt, even if the
    plugin swallowed that. Signals reach the main thread only, so elsewhere the answer is always no.
    """
    previous = signal.getsignal(signal.SIGINT)
    came = False

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal came
        try:
            if callable(previous):
                previous(number, frame)
        except KeyboardInterrupt:
            came = True
            raise

    watching = callable(previous) and threading.current_thread() is threading.main_thread()
    if watching:
        signal.signal(signal.SIGINT, handler)
    try:
        yield lambda: came
    finally:
        # A plugin that installed its own handler meanwhile keeps it: that is not ours to judge.
        if watching and signal.getsignal(signal.SIGINT) is handler:
            signal.signal(signal.SIGINT, previous)


def _load_error(source: Source, error: BaseException) -> PluginLoadError:
    cause = str(error) if type(error) is PluginLoadError else _cause(source, error)
    return PluginLoadError(
        f"plugin {source.owner} cannot be loaded: {_one_line(cause)}",
        plugin=source.owner.plugin,
        distribution=source.owner.distribution or None,
    )


def _cause(source: Source, error: BaseException) -> str:
    module, _, attribute = source.target.partition(":")
    if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
        return f"its entry point `{source.target}` leads nowhere: there is no module `{error.name}`"
    if isinstance(error, SyntaxError):
        place = f" ({_short(error.filename)}:{error.lineno})" if error.filename else ""
        return f"{type(error).__name__}: {error.msg}{place}"
    place = _place(module.partition(".")[0], error.__traceback__)
    if attribute and isinstance(error, AttributeError) and not place:
        return f"its entry point `{source.target}` leads nowhere: {error}"
    try:
        text = str(error)
    # Still the boundary of plugin imports: the error's class may be the plugin's own.
    except Exception:  # noqa: BLE001
        text = ""
    return f"{type(error).__name__}{': ' if text else ''}{text}{f' ({place})' if place else ''}"


def _place(package: str, trace: TracebackType | None) -> str:
    """Find the last line of the plugin's own code in a traceback."""
    place = ""
    while trace is not None:
        if package and str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0] == package:
            place = f"{_short(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _short(file: str) -> str:
    return "/".join(file.replace("\\", "/").rsplit("/", 2)[-2:])


def _one_line(text: str) -> str:
    # Without control characters: this goes to a terminal, and its text is the plugin's.
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _MAX_CAUSE else f"{line[: _MAX_CAUSE - 1]}…"
