"""The options of an MCP server: how it is reached, which of its tools are taken, and what happens when it fails."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from agentkit import Secret, Timeout


class Variable(Secret):
    """The value of an environment variable: hidden as a secret is, though it need not be one."""

    @classmethod
    def parse(cls, text: str) -> Variable:
        """Take any text."""
        return cls(text)


class Restart(Struct, frozen=True, kw_only=True):
    """How often a server that was lost is started, or connected to, again."""

    attempts: Annotated[int, Meta(ge=0)] = 5
    """Tries in a row before it is given up, 0 for none; the count begins anew when it has lasted for ``cap``."""
    backoff: Timeout = 0.5
    """How long to wait before the first try; before each further one twice as long."""
    cap: Timeout = 30.0
    """The longest wait."""


class McpConfig(Struct, frozen=True, kw_only=True):
    """The options of ``mcp``; one of ``command`` and ``url`` has to be given."""

    command: tuple[str, ...] = ()
    """The program that is the server, with its arguments; it talks on its stdin and stdout. Either this or ``url``."""
    args: tuple[str, ...] = ()
    """More arguments, after those in ``command``."""
    env: dict[str, Variable] = {}
    """Variables for the program, besides the few harmless ones that it gets of ours; never shown."""
    cwd: str | None = None
    """The folder that the program runs in; ours by default."""
    url: str | None = None
    """The address of a server that speaks streamable HTTP. Either this or ``command``."""
    headers: dict[str, Secret] = {}
    """Headers of every request to ``url``, such as ``Authorization``; never shown."""
    name: str | None = None
    """What messages call the server; by default its program, or the host of its address."""
    include: tuple[str, ...] = ("*",)
    """Which tools are taken: patterns over the names that the server gives them."""
    exclude: tuple[str, ...] = ()
    """Which of those are left out: patterns, too."""
    resources: bool = False
    """Whether its resources can be read, by two more tools: ``list_resources`` and ``read_resource``."""
    trust_annotations: bool = False
    """Whether a tool that says it only reads is believed."""
    connect_timeout: Timeout = 20.0
    """How long starting, connecting and listing the tools may take together."""
    call_timeout: Timeout = 60.0
    """How long one call may take."""
    health: Timeout = 30.0
    """How often the server is asked whether it is still there."""
    ping_timeout: Timeout = 10.0
    """How long its answer to that may take; without one it is restarted."""
    restart: Restart = Restart()
    """How often it is started, or connected to, again when it is lost."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ValueError: There is not exactly one of ``command`` and ``url``, or an option that the other one has.
        """
        if bool(self.command) == bool(self.url):
            raise ValueError("give either `command`, to start a server, or `url`, to reach one")
        if self.command and not self.command[0]:
            raise ValueError("`command` begins with the name of a program")
        if self.url:
            wrong = [name for name in ("args", "env", "cwd") if getattr(self, name)]
            if wrong:
                raise ValueError(f"`{wrong[0]}` is for a server that is started by `command`, not for a `url`")
            parts = urlsplit(self.url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("`url` is an address that begins with http:// or https://")
        elif self.headers:
            raise ValueError("`headers` are for a server at a `url`, not for one that is started by `command`")

    @property
    def called(self) -> str:
        """The server's name in messages."""
        if self.name:
            return self.name
        if self.url:
            return urlsplit(self.url).hostname or "mcp"
        return PurePath(self.command[0]).name

    @property
    def argv(self) -> list[str]:
        """The program and all of its arguments."""
        return [*self.command, *self.args]
