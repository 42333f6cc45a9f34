"""The connections of a session, one after the other: when to try again, and what the next one is told.

Rule: tools, approvals and whoever waits for a turn know nothing of connections; they go on across them. A connection
that was left for another is not read any more, so its late frames reach nobody.
"""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import anyio
import msgspec

from agentkit.errors import AgentkitError, ConnectError, ConnectionLostError, TransportError
from agentkit.events import ClientEvent, InputAudioBufferAppend, Reconnected, Reconnecting
from agentkit.protocol.failures import HINTS
from agentkit.session.clock import clock
from agentkit.session.commands import Commands
from agentkit.session.updates import UpdateWaiter
from agentkit.transports.base import Provider, Transport

if TYPE_CHECKING:
    from random import Random

STABLE_SECONDS = 5.0
"""A connection that lasts shorter was none: the tries go on to be counted."""
LONGEST_WAIT = 120.0
"""Seconds; a server that asks for a longer wait is tried after this."""
RESTORE_SECONDS = 10.0
"""How long the server may take to greet a further connection and to confirm the session's settings."""
BUSY_CODE = 1013
"""The close code for "try again later": the waits begin longer."""
FAULT_CODES = (1002, 1003, 1007)
"""Close codes for what we must have done wrong: once may be chance."""
NOT_QUIET_SECONDS = 30.0
"""This long before the server ends a session it is renewed, whatever is going on in it."""
LOOK_SECONDS = 0.25
"""How often a quiet moment is looked for."""
FATAL = frozenset(HINTS) - {"session_expired"}
"""Codes of errors after which no connection would do better."""


class Reconnect(msgspec.Struct, frozen=True, kw_only=True):
    """How a session goes on when its connection is lost.

    The wait before each try is random, between nothing and a ceiling that doubles from ``first_wait`` to ``max_wait``,
    so that many sessions that were lost together do not come back together.
    """

    attempts: int = 8
    """Tries in a row, connections that lasted less than 5 s among them; 0 ends the session with its connection."""
    first_wait: float = 0.5
    max_wait: float = 20.0
    renew_before: float = 300.0
    """Seconds before the server's limit from which on a quiet moment is used for going over to a new connection.

    0 leaves the session to its end.
    """
    seed: int | None = None
    """Makes the waits repeatable."""

    def __post_init__(self) -> None:
        if self.attempts < 0 or self.first_wait < 0 or self.max_wait < 0 or self.renew_before < 0:
            raise ValueError("what Reconnect is given cannot be below 0")

    @classmethod
    def default(cls, provider: Provider) -> "Reconnect":
        """Return what is done where nobody says anything: a connection over a network is worth another try."""
        return cls() if provider.reconnects else cls(attempts=0)


class Tries:
    """The tries in a row."""

    def __init__(self, policy: Reconnect) -> None:
        self._policy = policy
        self._random: Random | None = None
        self._at_fault = False
        self.count = 0

    def next(self, error: AgentkitError) -> float | None:
        """Count another try; return the seconds until then, or None where there is none."""
        policy = self._policy
        if self.count >= policy.attempts or not getattr(error, "retryable", True):
            return None
        code = error.close_code if isinstance(error, ConnectionLostError) else None
        if code in FAULT_CODES and self._at_fault:
            return None
        self._at_fault = self._at_fault or code in FAULT_CODES
        busy = code == BUSY_CODE
        if self._random is None:
            from random import Random  # takes milliseconds, and few sessions need it

            self._random = Random(policy.seed)
        ceiling = min(policy.max_wait, policy.first_wait * 2 ** (self.count + 2 * busy))
        self.count += 1
        wait = self._random.uniform(0, ceiling)
        asked = error.retry_after if isinstance(error, ConnectError) else None
        return wait if asked is None else min(LONGEST_WAIT, max(0.0, asked) + wait)


class Connections(Commands):
    """Holds the session's connections."""

    _tries: Tries
    _policy: Reconnect
    _seconds: Callable[[], float]
    _between: anyio.CancelScope | None = None
    """Around the tries; cancelled where the session ends while there is no connection."""
    _ready_at: float | None = None
    _failed: AgentkitError | None = None
    """Why the session could not be restored on a connection."""
    _fatal = False
    """Whether the server has said that no other connection would do better."""

    def use(self, policy: Reconnect) -> None:
        """Reconnect by this policy."""
        self._policy = policy
        self._tries = Tries(policy)
        self._seconds = clock()
        if policy.attempts:
            self._core.recovery.on = True
            self._outbox.outlive(self._frame_lost)

    def _frame_lost(self, event: ClientEvent) -> None:
        if isinstance(event, InputAudioBufferAppend):
            self.dropped_input += len(event.audio)

    # Given by the engine

    @abstractmethod
    async def _read(self, transport: Transport) -> AgentkitError | None:
        """Read a connection to its end; return why it was lost, None where nothing follows from that."""

    @abstractmethod
    def _watch_age(self, transport: Transport) -> None:
        """See to it that the session is renewed before the server ends it."""

    # One connection after the other

    async def _connect(self, renewed: Transport | None = None) -> None:
        """Hold one connection after the other, until the session is over.

        Args:
            renewed: A connection that is still there, and left for the first of these.
        """
        wait: float | None = 0.0
        while wait is not None:
            failure: ConnectError | None = None
            with anyio.CancelScope() as scope:
                if renewed is None:
                    self._between = scope
                if wait:
                    await anyio.sleep(wait)
                try:
                    wait = await self._hold(renewed)
                except ConnectError as exc:
                    failure = exc
            if self.ended is not None:
                return
            if failure is not None:
                wait = await self._not_connected(failure, renewed)
            renewed = None

    async def _hold(self, renewed: Transport | None) -> float | None:
        """Hold one connection; return the seconds until the next try, None where there is none.

        Raises:
            ConnectError: It could not be opened.
        """
        async with self.provider.connect() as transport:
            if self.ended is not None or renewed is not self._transport:
                return None
            if renewed is not None:
                await self._lose(keep_audio=True)
                self.start_soon(renewed.aclose)
            self._attach(transport)
            error = await self._read(transport)
            if error is None or transport is not self._transport:
                return None
            if self._ready_at is not None and self._seconds() - self._ready_at >= STABLE_SECONDS:
                self._tries.count = 0
            self._ready_at = None
            begun = self._core.settings.created or self._core.recovery.away
            wait = self._tries.next(error) if begun and not self._fatal else None
            if wait is None:
                retryable = isinstance(error, TransportError) and error.retryable
                await self._end("connection_lost" if retryable else "ended_by_server", error)
                return None
            await self._lose()
        await self._tell(wait, error)
        return wait

    async def _not_connected(self, error: ConnectError, renewed: Transport | None) -> float | None:
        """Go on after a dial failed; return the seconds until the next."""
        if not self._connected.is_set():
            self._connect_error = error
            self._connected.set()
            return None
        if renewed is not None:  # which is still there
            self.notice("not_renewed", f"the session could not be renewed: {error}", hint=error.hint)
            return None
        wait = self._tries.next(error)
        if wait is not None:
            await self._tell(wait, error)
            return wait
        tries = "1 try" if self._tries.count == 1 else f"{self._tries.count} tries"
        lost = ConnectionLostError(
            f"the connection was lost, and there is no other after {tries}: {error}",
            retryable=error.retryable,
            hint=error.hint,
        )
        lost.__cause__ = error
        await self._end("connection_lost", lost)
        return None

    async def _tell(self, wait: float, error: AgentkitError) -> None:
        count, of = self._tries.count, self._policy.attempts
        await self._emit(Reconnecting(attempt=count, of=of, seconds=wait, error=error))
        self.notice("reconnecting", f"{error}; connecting again in {wait:.1f} s ({count}/{of})")

    def _attach(self, transport: Transport) -> None:
        self._transport = transport
        self._failed, self._fatal = None, False
        self._outbox.attach(transport)
        if self._core.recovery.away:
            restoring = self._core.recovery.restoring
            self.start_soon(self._restore, transport, restoring, self._updates.expect(restoring))
        elif not self._connected.is_set():
            self._start(self._outbox.run)
            self._connected.set()

    async def _lose(self, *, keep_audio: bool = False) -> None:
        """Leave the connection that there was; what it had is kept for the next."""
        self._transport = None
        self._outbox.detach()
        await self._apply(self._core.recovery.lose(keep_audio=keep_audio))

    async def _restore(self, transport: Transport, restoring: str, confirmed: UpdateWaiter) -> None:
        """Give a further connection the session's settings and its conversation."""
        try:
            with self._updates.patience(RESTORE_SECONDS, "session.updated"):
                await confirmed.wait()
        except AgentkitError as exc:
            if self._transport is transport and self.ended is None:
                self._failed = exc
                await transport.aclose()
            return
        finally:
            self._updates.forget(restoring)
        if self._transport is not transport or self.ended is not None:
            return
        from agentkit.session.snapshot import Snapshot, replay  # most sessions have one connection

        recovery = self._core.recovery
        snapshot = Snapshot(entries=tuple(self.history.entries()))
        again = replay(snapshot, outputs=recovery.outputs, pending=recovery.pending())
        self._ready_at = self._seconds()
        self._watch_age(transport)
        await self._apply(recovery.resume(again.items))
        await self._emit(Reconnected(restored=not again.left_out, left_out=again.left_out))
        missing = f", without {len(again.left_out)} parts of the conversation" if again.left_out else ""
        self.notice("reconnected", f"the session goes on over another connection{missing}", level="info")

    # Before the server ends the session

    async def _renew(self, transport: Transport, left: float) -> None:
        """Go over to another connection before the server's limit, in a quiet moment if there is one in time."""
        before = self._policy.renew_before
        await anyio.sleep(left - before)
        with anyio.move_on_after(max(0.0, before - NOT_QUIET_SECONDS)):
            while self._transport is transport and not self._is_quiet():  # noqa: ASYNC110  # many things end a turn
                await anyio.sleep(LOOK_SECONDS)
        if self._transport is transport and self.ended is None:
            self.notice("renewing", "the server will end the session soon, so it is renewed", level="info")
            self._start(partial(self._connect, transport))

    def _is_quiet(self) -> bool:
        core = self._core
        return core.quiet and not (core.responses.user_speaking or core.taking.held)
