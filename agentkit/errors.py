"""The error tree of agentkit.

Rule: facts are attributes, ``str()`` is one sentence to act on, and every error is raised ``from`` its cause.

    AgentkitError
        ConfigError                 file, line, column, key
        PluginError                 plugin, distribution
            PluginLoadError
            DuplicateNameError
            UnknownNameError        name, known
        ProtocolError               abstract
            LocalProtocolError      we may not send that now
            RemoteProtocolError     the peer broke the protocol
        TransportError              retryable
            ConnectError            status, retry_after
            ConnectionLostError     close_code, close_reason
        SessionClosedError          you closed it
        SlowConsumerError           a subscriber fell too far behind
        ServerError                 code, param, event_id
        MiddlewareError             layer, event_type
        ToolError                   its message is shown to the model
            ToolArgumentsError      problems, field by field
            ToolTimeoutError        seconds
"""

from collections.abc import Sequence


class AgentkitError(Exception):
    """Base of every error that agentkit raises on purpose."""

    hint: str | None = None
    """What to do next, where that is known."""


class ConfigError(AgentkitError):
    """A configuration that cannot be used, with its place."""

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        key: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        """1-based."""
        self.column = column
        """1-based."""
        self.key = key
        self.hint = hint

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{place}: {self.message}" if place else self.message


class PluginError(AgentkitError):
    """Something is wrong with a plugin or with a name that plugins give."""

    def __init__(
        self, message: str, *, plugin: str | None = None, distribution: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.plugin = plugin
        self.distribution = distribution
        self.hint = hint


class PluginLoadError(PluginError):
    """A plugin could not be imported or registered nothing usable."""


class DuplicateNameError(PluginError):
    """Two plugins give the same name, so neither wins silently."""


class UnknownNameError(PluginError):
    """No plugin gives this name."""

    def __init__(
        self, message: str, *, name: str, known: Sequence[str] = (), plugin: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, plugin=plugin, hint=hint)
        self.name = name
        self.known = tuple(known)


class ProtocolError(AgentkitError):
    """The Realtime protocol was broken, by us or by the peer."""


class LocalProtocolError(ProtocolError):
    """What was asked for may not be sent now; nothing was written."""


class RemoteProtocolError(ProtocolError):
    """The peer sent, or failed to send, what the protocol asks for."""


class TransportError(AgentkitError):
    """The connection failed."""

    def __init__(self, message: str, *, retryable: bool = True, hint: str | None = None) -> None:
        super().__init__(message)
        self.retryable = retryable
        """Whether trying again may help."""
        self.hint = hint


class ConnectError(TransportError):
    """The connection could not be opened."""

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = True,
        status: int | None = None,
        retry_after: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, retryable=retryable, hint=hint)
        self.status = status
        """The HTTP status of a refused handshake."""
        self.retry_after = retry_after
        """Seconds to wait before the next try, where the server says so."""


class ConnectionLostError(TransportError):
    """An open connection ended without our asking."""

    def __init__(
        self,
        message: str,
        *,
        close_code: int | None = None,
        close_reason: str = "",
        retryable: bool = True,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, retryable=retryable, hint=hint)
        self.close_code = close_code
        """The WebSocket close code, or None where no close frame came."""
        self.close_reason = close_reason


class SessionClosedError(AgentkitError):
    """The session has ended; nothing more can be sent, and nothing more will arrive."""


class SlowConsumerError(AgentkitError):
    """A subscriber read so slowly that its buffer reached its cap, and its subscription was ended."""


class ServerError(AgentkitError):
    """The server refused what a call had asked for.

    Source: the protocol's ``error`` event, or a response that ended ``failed``.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        type: str | None = None,
        param: str | None = None,
        event_id: str | None = None,
        retryable: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.type = type
        self.param = param
        """The field that was refused."""
        self.event_id = event_id
        """The id of the client event which caused it, where the server says so."""
        self.retryable = retryable
        self.hint = hint


class MiddlewareError(AgentkitError):
    """A layer failed on an event, or dropped one that a caller waits for."""

    def __init__(self, message: str, *, layer: str, event_type: str) -> None:
        super().__init__(message)
        self.layer = layer
        self.event_type = event_type


class ToolError(AgentkitError):
    """Raised by a tool to tell the model what went wrong; the message is shown to the model as it is."""

    def __init__(self, *args: object, retry: bool = False) -> None:
        super().__init__(*args)
        self.retry = retry
        """Whether trying again may help; a tool with ``retries`` then runs again."""


class ToolArgumentsError(ToolError):
    """The arguments of a call do not fit the tool; the tool's body did not run."""

    def __init__(self, message: str, *, problems: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)
        """Pairs of (path of the field, what is wrong with it); the path of the whole is ``""``."""


class ToolTimeoutError(ToolError):
    """A tool did not finish in its time."""

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds
