"""The two interfaces below the session: a transport carries frames, a provider opens transports."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentkit.events.dialects import Dialect


class Transport(ABC):
    """One connection: whole text frames in, whole text frames out.

    One task receives; any number of tasks may send. Nothing here reconnects: a lost connection stays lost,
    and the provider opens the next one.
    """

    @abstractmethod
    async def send(self, frame: bytes) -> None:
        """Send one text frame.

        Returns once the frame is handed to the network, without a checkpoint where nothing blocks.

        Args:
            frame: One whole event as UTF-8 text.

        Raises:
            ConnectionLostError: The connection is gone; the frame was not sent, or not wholly.
            SessionClosedError: This side closed the transport before.
        """

    def try_send(self, frame: bytes) -> bool:
        """Send one text frame now, where nothing blocks; for who may not wait.

        Args:
            frame: One whole event as UTF-8 text.

        Returns:
            Whether it was handed to the network. Where not, nothing happened: ``send`` waits, or says why.
        """
        return False

    @abstractmethod
    async def receive(self) -> bytes:
        """Wait for the next text frame; cancelling this loses nothing.

        Frames that arrived before the end are given out first.

        Raises:
            ConnectionLostError: The peer closed the connection, or it broke.
            SessionClosedError: This side closed the transport.
            RuntimeError: Another task is already receiving.
        """

    @abstractmethod
    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, in bounded time; closing it again does nothing.

        Cancelling this closes the connection at once, without the closing handshake.

        Args:
            code: The close code which the peer sees: 1000, 1001 or 3000 to 4999 are for applications.
            reason: Text for the peer; it is cut at the 123 bytes that a close frame holds.

        Raises:
            ValueError: ``code`` is not one that may be sent.
        """


class Provider(ABC):
    """Where sessions come from: knows the address, the key, and the dialect spoken there."""

    name: str
    """The provider's name as configurations write it."""
    dialect: Dialect
    """The dialect of what is sent; names of both dialects are understood when received."""
    model: str | None
    """The model asked for, where the address or the server does not decide it."""

    wants_examples: bool = True
    """Whether tools are declared with their example phrases: a model needs none, the embedded server's rules do."""

    reconnects: bool = False
    """Whether a session goes on over another connection when one is lost, where it is not told otherwise."""

    def unset_variable(self, environ: Mapping[str, str]) -> str | None:
        """Return the variable of the environment that ``connect`` needs and that is not set; None where none is."""
        return None

    @abstractmethod
    def connect(self) -> AbstractAsyncContextManager[Transport]:
        """Open one connection; leaving the context closes it.

        There is exactly one try: who calls this decides about the next.

        Raises:
            ConnectError: On entering, if the connection could not be opened. ``retryable`` and ``retry_after``
                say whether and when another try may help.
        """
