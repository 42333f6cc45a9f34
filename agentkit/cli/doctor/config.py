"""What ``agentkit doctor`` finds in a configuration: mistakes, variables, the provider, the files that it writes."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from msgspec import Struct

from agentkit.cli.doctor.findings import Check
from agentkit.cli.doctor.machine import unwritable
from agentkit.cli.exits import first_error
from agentkit.cli.flags import Flags
from agentkit.errors import AgentkitError

if TYPE_CHECKING:
    from agentkit.config import Diagnostic
    from agentkit.config.build import Agent
    from agentkit.config.schema import Guardrail, Layer
    from agentkit.plugins import Plugins

CONNECT_SECONDS: Final = 20.0
"""How long connecting and the server's first word may take together."""
_SHOWN: Final = 3
"""Mistakes of the configuration that are shown; `agentkit check` shows them all."""
_UNSET: Final = re.compile(r"environment variable (\w+) is ")
_NAME: Final = re.compile(r"\$\{(\w+)")
_PLACEHOLDER: Final = "not-set"


class Asked(dict[str, str]):
    """The variables of the process, and which of them were asked for."""

    def __init__(self) -> None:
        super().__init__(os.environ)
        self.names: list[str] = []

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]  # texts alone
        """Return a variable, and remember that it was asked for."""
        if key not in self.names:
            self.names.append(key)
        return super().get(key, default)


class Examined(Struct, kw_only=True):
    """A configuration that was looked at."""

    agent: "Agent | None"
    """None where mistakes are in the way."""
    checks: list[Check]
    missing: tuple[str, ...] = ()
    """Variables that it needs and that are not set; something else stands in their place in ``agent``."""
    summary: str
    """What it is, for the report: without paths and secrets."""
    plugins: "Plugins"

    @property
    def provider_name(self) -> str:
        """What is connected to: a host, or the provider's name."""
        from agentkit.config.nodes import ScalarNode, find

        assert self.agent is not None
        use = self.agent.config.provider.use
        node = find(self.agent.loaded.root, ("provider", "with", "url"))
        url = node.text if isinstance(node, ScalarNode) else None
        if url is None and use == "openai":
            from agentkit.providers.openai import DEFAULT_URL

            url = DEFAULT_URL
        try:
            return (urlsplit(url).hostname if url else None) or use
        except ValueError:
            return use

    async def connect(self) -> Check:
        """Connect as a session does, and wait for the server's first word; nothing is asked of a model."""
        import anyio

        assert self.agent is not None
        began, where = time.perf_counter(), self.provider_name
        problem: str | None = None
        hint: str | None = None
        try:
            with anyio.fail_after(CONNECT_SECONDS):
                async with self.agent.provider.connect() as transport:
                    problem, hint = _refusal(await transport.receive())
        except TimeoutError:
            problem = f"{where} has said nothing within {CONNECT_SECONDS:g} s"
            hint = "check the network, the proxy settings and the URL"
        except (AgentkitError, OSError, ValueError, RuntimeError, TypeError, ExceptionGroup) as exc:
            error = first_error(exc)
            problem, hint = str(error), getattr(error, "hint", None)
        ms = round((time.perf_counter() - began) * 1000, 1)
        if problem is not None:
            return Check(name="provider", status="FAIL", message=f"provider: {problem}", hint=hint, ms=ms)
        key = self._key()
        said = f"{key} is accepted by {where}" if key else f"provider: {where} answers"
        return Check(name="provider", status="ok", message=f"{said} in {ms:.0f} ms", ms=ms)

    def _key(self) -> str | None:
        """Return the variable that holds the provider's key; None where none does."""
        from agentkit.config.nodes import ScalarNode, find

        assert self.agent is not None
        node = find(self.agent.loaded.root, ("provider", "with", "api_key"))
        match = _NAME.search(node.written or "") if isinstance(node, ScalarNode) else None
        return match[1] if match else self.agent.provider.unset_variable({})

    def paths(self) -> Iterator[Check]:
        """Look whether what the configuration writes can be written."""
        for who, template in self.written():
            folder = folder_of(template)
            reason = unwritable(folder)
            if reason is not None:
                message = f"{who} cannot write into {folder.as_posix()}: {reason}"
                hint = f"change the folder's permissions, or the path of {who}"
                yield Check(name=f"folder {folder.as_posix()}", status="FAIL", message=message, hint=hint)
            else:
                message = f"{who} can write into {folder.as_posix()}"
                yield Check(name=f"folder {folder.as_posix()}", status="ok", message=message)

    def written(self) -> list[tuple[str, str]]:
        """Return the paths that the configuration writes to, as it says them, each with who writes."""
        if self.agent is None:
            return []
        loaded, config = self.agent.loaded, self.agent.config
        found: dict[str, str] = {}
        items: Sequence[Layer | Guardrail] = (*config.middleware, *config.guardrails)
        for item in items:
            options_type = self.plugins.get("middleware", item.use).config if item.when else None
            options = loaded.convert(item.options, options_type)[0] if options_type is not None else None
            path = getattr(options, "path", None)
            if isinstance(path, str) and path:
                found.setdefault(path, item.use)
        if config.recording.mode != "none":
            found.setdefault(config.recording.path, "recording")
        return [(who, path) for path, who in found.items()]


def folder_of(template: str) -> Path:
    """Return the folder of a path, as far as it is known before ``{session}`` and ``{date}`` are filled in."""
    known = []
    for part in PurePath(template).parent.parts:
        if "{" in part:
            break
        known.append(part)
    return Path(*known)


def examine_config(flags: Flags, path: str, plugins: "Plugins") -> Examined:
    """Read a configuration as ``agentkit check`` does; where variables are not set, with something in their place.

    Raises:
        Problem: It comes from stdin, which cannot be read.
    """
    from agentkit.cli.source import STDIN, read_stdin
    from agentkit.config.build import examine

    text = read_stdin() if path == STDIN else None
    shown = "<stdin>" if text is not None else path
    asked = Asked()
    trusted = text is None  # as `agentkit run` does, which runs no code that stdin names
    agent, diagnostics = examine(shown, text=text, environ=asked, plugins=plugins, trust=trusted)
    names = list(asked.names)
    unset = {match[1]: each for each in diagnostics if (match := _match(each)) is not None}
    mistakes = [each for each in diagnostics if each.severity == "error" and each not in unset.values()]
    if unset and not mistakes:
        asked.update(dict.fromkeys(unset, _PLACEHOLDER))
        agent = examine(shown, text=text, environ=asked, plugins=plugins, trust=trusted)[0]
    advice = f"agentkit check {path}"
    checks = [_config_check(shown, agent, mistakes, unset, advice)]
    warnings = [each for each in diagnostics if each.severity == "warning"]
    if warnings:
        said = f"config {shown}: {_told(warnings)}"
        checks.append(Check(name="config", status="warn", message=said, hint=advice))
    own = agent.provider.unset_variable({}) if agent is not None else None
    if agent is not None and own is not None:
        names.append(own)
        for each in agent.unset_variables(os.environ):
            unset[own] = each
    for name, each in unset.items():
        place = f" ({each.place})" if each.line is not None else ""
        message = f"the environment variable {name} is not set{place}"
        checks.append(Check(name=f"variable {name}", status="FAIL", message=message, hint=each.hint))
    checks += [_variable(name) for name in dict.fromkeys(names) if name not in unset and os.environ.get(name)]
    return Examined(
        agent=agent,
        checks=checks,
        missing=tuple(unset),
        summary=_counts(agent) if agent is not None else f"not usable: {', '.join(each.code for each in mistakes)}",
        plugins=plugins,
    )


def _match(diagnostic: "Diagnostic") -> re.Match[str] | None:
    return _UNSET.search(diagnostic.message) if diagnostic.code == "AK301" else None


def _config_check(
    shown: str, agent: "Agent | None", mistakes: "Sequence[Diagnostic]", unset: "dict[str, Diagnostic]", advice: str
) -> Check:
    if agent is None and (mistakes or not unset):
        return Check(name="config", status="FAIL", message=f"config {shown}: {_told(mistakes)}", hint=advice)
    said = f"config {shown}" + (f" ({_counts(agent)})" if agent is not None else " can be read")
    return Check(name="config", status="ok", message=said)


def _told(diagnostics: "Sequence[Diagnostic]") -> str:
    """Say how many problems there are, and the first of them."""
    from agentkit.config.diagnostics import summary

    first = [
        f"line {each.line}: {each.message}" if each.line is not None else each.message for each in diagnostics[:_SHOWN]
    ]
    more = ["..."] if len(diagnostics) > _SHOWN else []
    return f"{summary(diagnostics)[6:].partition(' in ')[0]}: {'; '.join([*first, *more])}"


def _counts(agent: "Agent") -> str:
    preset = agent.config.preset
    presets = 0 if preset is None else 1 if isinstance(preset, str) else len(preset)
    counts = [
        (presets, "preset", "s"),
        (len(agent.tools), "tool", "s"),
        (len(agent.toolsets), "toolset", "s"),
        (len(agent.layers), "middleware", ""),
        (len(agent.guards), "guardrail", "s"),
    ]
    parts = [f"{count} {word}{plural * (count != 1)}" for count, word, plural in counts if count]
    return ", ".join([f"provider {agent.config.provider.use}", *parts])


def _variable(name: str) -> Check:
    from agentkit.transports.redact import is_secret_name, key_tail

    value = os.environ[name]
    shown = f"{name} is set" + (key_tail(value.strip()).replace(" ending", ", ending") if is_secret_name(name) else "")
    if is_secret_name(name) and (value.strip(" \t\"'") != value.rstrip("\r\n") or " " in value.strip()):
        message = f"{shown}, and has quotes or spaces in it that no key has"
        return Check(name=f"variable {name}", status="warn", message=message, hint=f"export {name}=... again without")
    return Check(name=f"variable {name}", status="ok", message=shown)


def _refusal(frame: bytes) -> tuple[str | None, str | None]:
    """Return what the server's first word says against the session, and a hint; nothing where it is welcome."""
    from agentkit.events import ErrorEvent, decode_server

    event = decode_server(frame)
    if not isinstance(event, ErrorEvent):
        return None, None
    code = f" ({event.error.code})" if event.error.code else ""
    return f"the server says: {event.error.message}{code}", "check the key, and whether it may use the model"
