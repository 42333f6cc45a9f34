"""Running a plugin's code so that whatever it does is one error, not the end of the program.

Rule: a plugin's import and hooks run in ``run_plugin`` only, and what its factories build is built by the ``build``
that ``run_plugin`` puts around theirs. A plugin is code with our rights, not sandboxed:
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
from collections.abc import Callable, Iterator, Mapping
from types import FrameType, TracebackType
from typing import Final

import msgspec

from agentkit.discovery import Source, normal_name
from agentkit.errors import AgentkitError, PluginLoadError
from agentkit.hookspecs import collect
from agentkit.registry import SINGULAR, Factory, Kind, check_product

_MAX_CAUSE: Final = 300
# Redirecting stdout and watching SIGINT are process-wide, so one plugin is imported at a time.
_IMPORTING = threading.RLock()


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin that was imported and registered."""

    plugin: object
    """What has the hooks: usually a module."""
    values: dict[Kind, dict[str, object]]
    """By kind and name."""
    import_ms: float
    """How long the import took; nearly nothing where something else had imported the module before."""


class Build:
    """A factory's ``build``, whose failures name the plugin and what to do."""

    def __init__(self, source: Source, kind: Kind, factory: Factory[object]) -> None:
        self.factory = factory
        """As the plugin gave it."""
        self._source = source
        self._kind = kind

    def __call__(self, *options: msgspec.Struct) -> object:
        """Build one instance.

        Raises:
            PluginLoadError: The plugin's code failed, something that it imports is not installed, or what it built
                is of another kind.
            ValueError: It refuses its options; so do ``TypeError`` and ``OSError``.
            AgentkitError: It says itself what is wrong.
        """
        try:
            product = self.factory.build(*options)
        except (AgentkitError, ValueError, TypeError, OSError):
            raise
        except ModuleNotFoundError as error:
            raise self._error(f"needs the module `{error.name}`, which is not installed", error) from error
        # The isolation boundary of plugin imports: what a factory imports and makes late belongs to it. A
        # KeyboardInterrupt is the user's.
        except (Exception, SystemExit) as error:
            raise self._error(f"cannot be built: {_one_line(_cause(self._source, error))}", error) from error
        problem = check_product(self._kind, product)
        if problem is not None:
            raise self._error(f"cannot be used: {problem}")
        return product

    def _error(self, problem: str, cause: BaseException | None = None) -> PluginLoadError:
        owner, name = self._source.owner, self.factory.name
        message = f"the {SINGULAR[self._kind]} `{name}` of plugin {owner} {problem}"
        install = _install(self._source, cause, extra=self.factory.extra)
        if install:
            message += f": {install}"
        hint = "with `optional: true` the agent starts without it" if self._kind == "tools" else None
        return PluginLoadError(message, plugin=owner.plugin, distribution=owner.distribution or None, hint=hint)


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
    return Loaded(plugin=plugin, values=_guarded(source, values), import_ms=import_ms)


def _guarded(source: Source, values: Mapping[Kind, Mapping[str, object]]) -> dict[Kind, dict[str, object]]:
    return {
        kind: {
            name: msgspec.structs.replace(item, build=Build(source, kind, item)) if isinstance(item, Factory) else item
            for name, item in items.items()
        }
        for kind, items in values.items()
    }


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
        hint=_install(source, error) or None,
    )


def _install(source: Source, error: BaseException | None, *, extra: str = "") -> str:
    """Return the command that installs the module that was not found; empty where none is known to."""
    distribution, top = source.owner.distribution, source.target.partition(":")[0].partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or not error.name or not distribution:
        return ""
    missing = error.name.partition(".")[0]
    if missing == top:
        return ""
    extra = extra or source.extras.get(normal_name(missing), "")
    return f'pip install "{distribution}[{extra}]"' if extra else f"pip install --force-reinstall {distribution}"


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
