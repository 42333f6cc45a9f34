"""The life of a session: its connection, the task that reads it, and its end.

Rule: one task reads; it never waits for a tool, a listener or a slow consumer.
"""

import time
from contextlib import AsyncExitStack

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint

from agentkit.errors import AgentkitError, ConnectError, SessionClosedError, TransportError
from agentkit.events import InputAudioBufferSpeechStarted, Notice, SessionEnded, SessionExpiring, decode_server
from agentkit.protocol import StartTool, Suppress
from agentkit.session.commands import Commands
from agentkit.session.lane import is_inside
from agentkit.transports.base import Transport

FAR = 1 << 40
"""Seconds since the epoch that no session lives to see; a server may say any number."""
EXPIRING_SECONDS = 60.0
"""How long before the server ends a session the application is told."""
END_SECONDS = 2.0
"""How long the layers may take over the session's last event."""


class Engine(Commands):
    """One session's machinery; ``Session`` adds what an application asks of it."""

    async def run(self, tasks: anyio.abc.TaskGroup) -> None:
        """Start the session's tasks, and wait until it is connected.

        Raises:
            ConnectError: The connection could not be opened.
        """
        self._tasks = tasks
        early, self._early = self._early, []
        for function, args in early:
            self.start_soon(function, *args)
        tasks.start_soon(self._timers.run)
        tasks.start_soon(self._connection)
        await self._connected.wait()
        if self._connect_error is not None:
            raise self._connect_error
        if self._limits.session_time is not None:
            tasks.start_soon(self._end_after, self._limits.session_time)

    async def enter_layers(self, stack: AsyncExitStack) -> None:
        """Let every layer open what it needs."""
        for layer in self._chain.layers:
            if getattr(layer, "session", None) is not None:
                raise TypeError(
                    f"middleware {layer.name} belongs to another session already; make one for each session"
                )
            layer.session = self
            await stack.enter_async_context(layer.running())

    async def _connection(self) -> None:
        """Hold one connection open and read it: all that is tied to a connection's life is in this task."""
        try:
            async with self.provider.connect() as transport:
                self._transport = transport
                self._outbox.attach(transport)
                self._start(self._outbox.run)
                self._connected.set()
                await self._read(transport)
        except ConnectError as exc:
            self._connect_error = exc
            self._connected.set()

    async def shut_down(self, cause: str = "closed") -> None:
        """End the session and close its connection."""
        await self._end(cause, None)
        if self._transport is not None:
            await self._transport.aclose()

    async def _read(self, transport: Transport) -> None:
        compiled, receive, effects_of = self._chain.compiled, transport.receive, self._core.receive
        deliver, inbound, playback = self._fanout.deliver, self._inbound, self.playback
        self.listeners_changed()
        created = False
        while True:
            try:
                frame = await receive()
            except TransportError as exc:
                await self._end("connection_lost" if exc.retryable else "ended_by_server", exc)
                return
            except SessionClosedError:
                return
            if self.ended is not None:
                return
            event = decode_server(frame)
            if self._taps:
                self._taps.show("in", frame, event)
            if playback.real_time and isinstance(event, InputAudioBufferSpeechStarted):
                playback.advance()  # it decides where the agent is cut off
            effects = effects_of(event)
            if effects and type(effects[0]) is Suppress:
                continue
            chain = compiled(type(event))
            if inbound.busy:
                await self._safely(event)
            elif chain is None:
                deliver(event)
            else:
                try:
                    await inbound.send_now(event, chain)
                except AgentkitError as exc:
                    self._inbound_failed(event, exc)
            if effects:
                await self._apply(effects)
                if type(effects[-1]) is StartTool:
                    await checkpoint()  # the call begins now, not after the frames that have come with it
            if not created and self._core.settings.created:
                created = True
                self._created.set()
                self._watch_age()

    def _watch_age(self) -> None:
        """Tell in time when the server will end the session, where it has said so."""
        session = self._core.settings.confirmed
        if session is not None and session.expires_at:
            left = min(session.expires_at, FAR) - time.time()  # the sleep is by the monotonic clock
            self.start_soon(self._expiring, max(0.0, left - EXPIRING_SECONDS), min(left, EXPIRING_SECONDS))

    async def _expiring(self, wait: float, left: float) -> None:
        await anyio.sleep(wait)
        if self.ended is None:
            await self._emit(SessionExpiring(seconds=max(0.0, left)))

    async def _end(self, cause: str, error: AgentkitError | None) -> None:
        if self.ended is not None:
            return
        self.ended = SessionEnded(cause=cause, error=error)
        closed = error or self._closed_error()
        self._outbox.fail(closed)
        self._turns.fail(closed)
        self._updates.fail(closed)
        self._outbound.close(closed)
        if is_inside():  # a layer that waited for its own lane would wait for ever
            self.start_soon(self._wind_up, self.ended, closed)
        else:
            await self._wind_up(self.ended, closed)

    async def _wind_up(self, ended: SessionEnded, closed: AgentkitError) -> None:
        """Tell everybody that the session is over, in bounded time, whatever a layer does with the last event."""
        try:
            with anyio.move_on_after(END_SECONDS, shield=True) as patience:
                await self._emit(ended)
            if patience.cancelled_caught:
                self._fanout.deliver(ended)
        finally:
            self._inbound.close(closed)
            self._fanout.end(ended.error if isinstance(ended.error, AgentkitError) else None)
            self._created.set()
            self._finished.set()
            if self._transport is not None:
                with anyio.CancelScope(shield=True):  # bounded by the transport
                    await self._transport.aclose()

    async def _end_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        await self._limit(f"the session has lasted {seconds:g} s, its limit (limits.session_time)")

    async def _limit(self, message: str) -> None:
        await self._emit(Notice(code="limit", message=message))
        await self._end("limit", None)
