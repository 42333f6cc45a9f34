"""The ``local`` provider: a Realtime server in this process, with no key and no network."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal

import anyio
import msgspec

from agentkit.events import Dialect
from agentkit.local.responder import Responder
from agentkit.local.rules import RulesResponder
from agentkit.transports.base import Provider, Transport
from agentkit.transports.memory import memory_pair


class LocalConfig(msgspec.Struct, frozen=True, kw_only=True, rename={"options": "with"}, forbid_unknown_fields=True):
    """The options of the ``local`` provider."""

    responder: str = "rules"
    """The plugin name of what answers."""
    options: dict[str, object] = {}
    """The responder's own options; ``with`` in a file."""
    model: str | None = None
    """The name that the session tells as its model; the responder's name if left out."""
    dialect: Literal["ga", "beta"] = "ga"
    """The protocol that the server speaks: its general availability, or the beta before it."""
    paced: bool = False
    """Send audio as fast as it plays, not as fast as it is made."""
    speech: Literal["tones"] | None = None
    """``tones``: a test signal for audio in and out, which needs no model; see ``agentkit.local.tones``."""


class Local(Provider):
    """Serves each connection by a server of its own."""

    name = "local"

    def __init__(
        self,
        responder: Callable[[], Responder] = RulesResponder,
        *,
        model: str | None = None,
        dialect: Dialect = Dialect.GA,
        paced: bool = False,
        speech: Literal["tones"] | None = None,
    ) -> None:
        """Make the provider.

        Args:
            responder: Makes what answers, once a connection; it is closed with the connection.
            model: The name that the session tells as its model; the responder's name if left out.
            dialect: What the server speaks.
            paced: Send audio as fast as it plays, not as fast as it is made.
            speech: ``tones`` lets what answers speak and hear in tones, a test signal that needs no model
                (``agentkit.local.encode_tones``, ``decode_tones``); None leaves it as it is.

        Raises:
            ValueError: There is no such speech.
        """
        if speech not in (None, "tones"):
            raise ValueError(f"speech is 'tones' or None, not {speech!r}")
        self.model = model
        self.dialect = dialect
        self._responder = responder
        self._paced = paced
        self._speech = speech

    @classmethod
    def configured(cls, config: LocalConfig, responder: Callable[[], Responder]) -> "Local":
        """Make the provider from its options and the responder that they name."""
        return cls(
            responder,
            model=config.model,
            dialect=Dialect(config.dialect),
            paced=config.paced,
            speech=config.speech,
        )

    def connect(self) -> AbstractAsyncContextManager[Transport]:
        """Start a server and return the client's end of the connection; leaving the context stops the server."""
        return self._connect()

    @asynccontextmanager
    async def _connect(self) -> AsyncGenerator[Transport, None]:
        from agentkit.local.server import serve_session  # half of what the provider costs to import, with numpy

        client, server = memory_pair()
        failed: BaseException | None = None
        try:
            async with anyio.create_task_group() as tasks:

                async def serve() -> None:
                    await serve_session(
                        server, self._voiced(), dialect=self.dialect, model=self.model, paced=self._paced
                    )

                tasks.start_soon(serve)
                try:
                    yield client
                except BaseException as exc:
                    failed = exc
                    raise
                finally:
                    with anyio.CancelScope(shield=True):
                        await client.aclose()
                    tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            # What the caller raised comes out as it is, as from any provider.
            if failed is not None and group.exceptions == (failed,):
                raise failed from failed.__cause__
            raise

    def _voiced(self) -> Responder:
        if self._speech is None:
            return self._responder()
        from agentkit.local.tones import Tones

        return Tones(self._responder())
