"""Why a server could not be reached, or was lost, in words, with what to do about it."""

from __future__ import annotations

from http.client import responses
from typing import TYPE_CHECKING

import httpx2
from mcp.shared.exceptions import MCPError
from msgspec import Struct
from pydantic import ValidationError

from agentkit_mcp.connection import is_end

if TYPE_CHECKING:
    from agentkit_mcp.config import McpConfig


class Failure(Struct, frozen=True):
    """A reason, as the end of a sentence."""

    why: str
    hint: str | None = None


def failure_of(error: BaseException, config: McpConfig, status: int | None) -> Failure:
    """Word what was raised while a server was reached, or afterwards.

    Args:
        error: What was raised.
        config: The server's options.
        status: The status with which an HTTP server refused last.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        seconds = config.connect_timeout
        return Failure(f"it did not answer within {seconds:g} s", "raise `connect_timeout` if it is slow to start")
    if isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
        what = f"{error.filename}: " if error.filename else ""
        return Failure(f"it cannot be started: {what}{error.strerror}", "check `command` and `cwd`")
    if isinstance(error, MCPError):
        if status is not None:
            hint = "check `headers`" if status in (401, 403) else "check the path of `url`" if status == 404 else None
            return Failure(f"it answered {status} {responses.get(status, '')}".rstrip(), hint)
        if is_end(error):
            return Failure("it ended without an answer", _try(config))
        return Failure(f"it refused: {error.message}", _try(config))
    if isinstance(error, httpx2.ConnectError) and "certificate" in str(error):
        return Failure("its certificate cannot be verified", "check `url`, and whom this machine trusts")
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return Failure("nothing answers there", "check `url`, and that the server runs")
    if isinstance(error, httpx2.TransportError):
        return Failure(f"the connection broke off ({type(error).__name__})")
    if isinstance(error, ValidationError):
        return Failure("what it says is not MCP", _try(config))
    return Failure(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, _try(config))


def _try(config: McpConfig) -> str:
    return "is it an MCP server's address?" if config.url else "try its command in a terminal"
