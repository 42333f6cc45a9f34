"""What ``agentkit doctor`` looks at, in the order in which a run needs it."""

import os
import platform
import re
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentkit.cli.doctor.findings import Check, Status, Waiting
from agentkit.cli.exits import Problem
from agentkit.cli.flags import Flags
from agentkit.distributions import AUDIO
from agentkit.errors import AgentkitError

if TYPE_CHECKING:
    from agentkit.cli.doctor.config import Examined
    from agentkit.config.parts import ToolsetSource
    from agentkit.plugins import PluginInfo, Plugins

TOOLSET_SECONDS: Final = 30.0
"""How long one toolset may take to open."""
_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "WSS_PROXY", "wss_proxy")
_DEPENDENCIES: Final = ("anyio", "click", "msgspec", "numpy", "pluggy", "prompt_toolkit", "pyyaml", "websockets")


class Examination:
    """One look at an installation and a configuration."""

    def __init__(self, flags: Flags, config: str | None, *, offline: bool) -> None:
        self._flags = flags
        self._config = config
        self._offline = offline
        self._plugins: Plugins = flags.load_plugins()
        self._rows: tuple[PluginInfo, ...] = ()
        self._found: Examined | None = None

    def quick(self) -> Iterator[Check]:
        """Look at what needs no waiting."""
        from agentkit.cli.doctor import machine
        from agentkit.cli.doctor.config import examine_config
        from agentkit.cli.source import DEFAULT, STDIN, find_config

        self._rows = self._plugins.report()
        yield self._python()
        yield from self._broken()
        try:
            path = find_config(self._config)
        except Problem as exc:
            if self._config is not None:
                yield Check(name="config", status="FAIL", message=str(exc), hint=exc.hint or "agentkit new agent")
            else:
                message = f"no configuration here: there is no {DEFAULT} in this folder"
                yield Check(name="config", status="warn", message=message, hint="agentkit new agent, or name a file")
        else:
            self._found = examine_config(self._flags, path, self._plugins)
            yield from self._found.checks
            yield from self._found.paths()
            if path != STDIN:
                yield from self._schema(Path(path))
        yield from self._proxy()
        yield from machine.folders()
        yield machine.terminal(self._flags)
        yield from self._audio()

    def waiting(self) -> list[Waiting]:
        """Return the checks that connect to something, or start something."""
        found = self._found
        if found is None or found.agent is None:
            return []
        checks = []
        agent = found.agent
        host = found.provider_name
        if self._offline:
            checks.append(_skipped(host, f"the provider {host} was not connected to (--offline)"))
        elif found.missing:
            checks.append(_skipped(host, f"the provider {host} was not connected to: {found.missing[0]} is not set"))
        else:
            checks.append(Waiting(name=host, run=found.connect))
        further = [source for each in agent.agents for source in each.toolsets]
        for source in {id(source): source for source in (*agent.toolsets, *further)}.values():
            name = f"toolset {source.name}"
            if self._offline:
                checks.append(Waiting(name=name, run=partial(_only_looked_up, name, source)))
            elif found.missing:
                checks.append(_skipped(name, f"{source.name} was not opened: {found.missing[0]} is not set"))
            else:
                checks.append(Waiting(name=name, run=partial(_opened, name, source)))
        return checks

    def report(self, checks: Sequence[Check]) -> dict[str, str]:
        """Return what to paste into an issue: versions, the platform, the findings; the home folder as ~."""
        import agentkit

        found = self._found
        wrong = [f"{each.status} {each.message}" for each in checks if each.status in ("FAIL", "warn")]
        lines = {
            "agentkit": f"{agentkit.__version__}, Python {platform.python_version()} ({sys.executable})",
            "platform": f"{platform.platform()}, encoding {sys.stdout.encoding if sys.stdout else 'none'}",
            "plugins": ", ".join(f"{row.name} {row.version} {row.state}".replace("  ", " ") for row in self._rows),
            "packages": _versions(),
            "config": "none" if found is None else found.summary,
            "findings": "; ".join(wrong) or "none",
        }
        return {key: _without_home(value) for key, value in lines.items()}

    def _python(self) -> Check:
        import agentkit

        usable = [row for row in self._rows if row.state in ("loaded", "not imported")]
        timed = [row for row in usable if row.import_ms is not None]
        said = f"python {platform.python_version()}, agentkit {agentkit.__version__}, {len(usable)} plugins"
        if timed:
            slowest = max(timed, key=lambda row: row.import_ms or 0)
            said += f" (slowest import: {slowest.name} {slowest.import_ms:.0f} ms)"
        return Check(name="python", status="ok", message=said)

    def _broken(self) -> Iterator[Check]:
        off = []
        for row in self._rows:
            name = f"plugin {row.name}"
            if row.state == "disabled":
                off.append(row.name)
            elif (needed := _python_needed(row.distribution)) is not None:
                message = f"plugin {row.name} ({row.distribution}) is made for Python {needed}, and this is "
                hint = f"install that Python, or pip uninstall {row.distribution}"
                yield Check(name=name, status="warn", message=message + platform.python_version(), hint=hint)
            elif row.problem is not None:
                yield Check(name=name, status="warn", message=row.problem, hint=row.hint)
            for notice in row.notices:
                yield Check(name=name, status="warn", message=f"plugin {row.name}: {notice}")
        if off:
            named = os.environ.get("AGENTKIT_PLUGINS") or None
            by = "AGENTKIT_PLUGINS" if self._flags.plugins in (None, named) else "--plugins"
            message = f"switched off by {by}: {', '.join(off)}"
            yield Check(name="plugins", status="skip", message=message, hint=f"leave {by} out to use them")

    def _schema(self, config: Path) -> Iterator[Check]:
        from agentkit.cli.schema import all_plugins
        from agentkit.config.json_schema import SCHEMA_FILE, is_stale

        file = config.parent / SCHEMA_FILE
        if not file.exists():
            message = f"no {SCHEMA_FILE.as_posix()} for the editor's completion"
            yield Check(name="schema", status="skip", message=message, hint="agentkit doctor --fix")
        elif is_stale(file, all_plugins()):
            message = f"{file.as_posix()} is older than the plugins: the editor completes what is no longer so"
            yield Check(name="schema", status="warn", message=message, hint="agentkit doctor --fix")

    def _proxy(self) -> Iterator[Check]:
        from agentkit.transports.redact import safe_url

        found = next((name for name in _PROXIES if os.environ.get(name)), None)
        if found is not None:
            unless = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
            message = f"connections go through the proxy {safe_url(os.environ[found])} ({found})"
            yield Check(name="proxy", status="ok", message=message + (f", but for {unless}" if unless else ""))

    def _audio(self) -> Iterator[Check]:
        if any(row.distribution == AUDIO and row.problem is None for row in self._rows):
            message = f"microphone and speaker: by {AUDIO}"
            yield Check(name="audio", status="skip", message=message, hint="agentkit devices --test")
        else:
            message = f"microphone and speaker (pip install {AUDIO})"
            yield Check(name="audio", status="skip", message=message)


def _skipped(name: str, message: str) -> Waiting:
    async def run() -> Check:
        return Check(name=name, status="skip", message=message)

    return Waiting(name=name, run=run)


async def _opened(name: str, source: "ToolsetSource") -> Check:
    """Open a toolset, and close it again."""
    import anyio

    began, toolset = time.perf_counter(), source.build({})
    bad: Status = "warn" if toolset.optional else "FAIL"
    try:
        with anyio.fail_after(TOOLSET_SECONDS):
            async with toolset:
                count = len(toolset.tools())
    except AgentkitError as exc:
        return Check(name=name, status=bad, message=str(getattr(exc, "message", exc)), hint=exc.hint)
    except TimeoutError:
        message = f"{source.name} was not open within {TOOLSET_SECONDS:g} s ({source.place})"
        return Check(name=name, status=bad, message=message, hint="agentkit tools shows more with -v")
    ms = round((time.perf_counter() - began) * 1000, 1)
    return Check(
        name=name, status="ok", message=f"{source.name} opened in {ms:.0f} ms: {count} tool{'s' * (count != 1)}", ms=ms
    )


async def _only_looked_up(name: str, source: "ToolsetSource") -> Check:
    """Look whether the program of a toolset is there, without starting it."""
    import shutil

    from agentkit.config.nodes import ListNode, ScalarNode
    from agentkit.config.schema import McpTool

    command = source.item.mcp.node.get("command") if isinstance(source.item, McpTool) else None
    first = command.items[0] if isinstance(command, ListNode) and command.items else command
    if not isinstance(first, ScalarNode):
        return Check(name=name, status="skip", message=f"{source.name} was not opened (--offline)")
    if shutil.which(first.text) is None:
        message = f"the program {first.text} of {source.name} is not found ({source.place})"
        hint = f"install {first.text}, or write where it is"
        return Check(name=name, status="warn" if source.item.optional else "FAIL", message=message, hint=hint)
    message = f"the program {first.text} of {source.name} is there; it was not started (--offline)"
    return Check(name=name, status="ok", message=message)


def _python_needed(distribution: str) -> str | None:
    """Return the versions of Python that a distribution is made for where this one is none of them."""
    import importlib.metadata

    from agentkit.discovery import admits

    try:
        needed = importlib.metadata.metadata(distribution)["Requires-Python"] if distribution else None
    except (importlib.metadata.PackageNotFoundError, KeyError, OSError, ValueError):
        return None
    return needed if needed and admits(needed, platform.python_version()) is False else None


def _versions() -> str:
    import importlib.metadata

    found = []
    for name in _DEPENDENCIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} missing")
    return ", ".join(found)


def _without_home(text: str) -> str:
    home = os.path.expanduser("~")
    return re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text) if len(home) > 1 else text
