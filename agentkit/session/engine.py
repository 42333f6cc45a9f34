"""The life of a session: its connection, the task that reads it, and its end.

Rule: one task reads; it never waits for a tool, a listener or a slow consumer.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import cast

import anyio
import anyio.abc
from anyio.lowlevel import checkpoint

from agentkit.errors import AgentkitError, ConfigError, SessionClosedError, TransportError
from agentkit.events import (
    ErrorEvent,
    InputAudioBufferSpeechStarted,
    ResponseCreated,
    ResponseDone,
    SessionEnded,
    SessionExpiring,
    decode_server,
)
from agentkit.middleware.base import SessionHandle
from agentkit.middleware.opened import opened
from agentkit.protocol import StartTool, Suppress
from agentkit.session.lane import is_inside
from agentkit.session.limiting import Limiting
from agentkit.session.reconnecting import FATAL
from agentkit.tools import Toolset, ToolsetUser
from agentkit.transports.base import Transport

logger = logging.getLogger("agentkit.session")

FAR = 1 << 40
"""Seconds since the epoch that no session lives to see; a server may say any number."""
EXPIRING_SECONDS = 60.0
"""How long before the server ends a session the application is told."""
END_SECONDS = 2.0
"""How long the layers may take over the session's last event."""


class Engine(Limiting):
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
        tasks.start_soon(self._connect)
        await self._connected.wait()
        if self._connect_error is not None:
            raise self._connect_error
        self.watch_limits(tasks)

    async def enter_toolsets(self, stack: AsyncExitStack, toolsets: Sequence[Toolset]) -> None:
        """Open what toolsets need, where nobody holds them open, and take their tools.

        Raises:
            ConfigError: Another session has opened one of them, and would close it.
            TypeError: A tool has a name that there is already.
        """
        for toolset in toolsets:
            if toolset.lent:
                hint = "hold it open around both sessions: async with toolset"
                raise ConfigError(f"toolset {toolset.name} is another session's, and closes with that", hint=hint)
            try:
                if not toolset.is_open:
                    toolset.lent = True
                    await stack.enter_async_context(toolset)
                given = {tool.name: tool for tool in toolset.tools()}
            except AgentkitError as exc:
                if not toolset.optional:
                    raise
                self.notice("toolset_missing", f"{toolset.name} is left out: {exc}", hint=exc.hint)
                continue
            doubled = given.keys() & self.calls.tools.keys()
            if doubled:
                raise TypeError(f"toolset {toolset.name} gives {', '.join(sorted(doubled))}, which there is already")
            self.calls.tools = {**self.calls.tools, **given}
            self._of_toolsets[toolset] = frozenset(given)
            stack.callback(toolset.attach(cast("ToolsetUser", self)))  # the engine is always a Session

    async def enter_layers(self, stack: AsyncExitStack) -> None:
        """Let every layer open what it needs."""
        for layer in self._chain.layers:
            if getattr(layer, "session", None) is not None:
                raise TypeError(
                    f"middleware {layer.name} belongs to another session already; make one for each session"
                )
            layer.session = cast("SessionHandle", self)  # the engine is always a Session, a class above this module
            await stack.enter_async_context(opened(layer))

    async def shut_down(self, cause: str = "closed") -> None:
        """End the session and close its connection."""
        await self._end(cause, None)
        if self._transport is not None:
            await self._transport.aclose()
        for name in await self._call_tasks.wait():
            logger.warning("tool %s goes on after the session has ended: it does not let itself be cancelled", name)

    async def _read(self, transport: Transport) -> AgentkitError | None:
        """Read a connection to its end; return why it was lost, None where nothing follows from that."""
        compiled, receive, effects_of = self._chain.compiled, transport.receive, self._core.receive
        deliver, inbound, playback = self._fanout.deliver, self._inbound, self.playback
        self.listeners_changed()
        created = self._created.is_set()
        while True:
            try:
                frame = await receive()
            except TransportError as exc:
                return self._failed or exc
            except SessionClosedError:
                return self._failed
            if self.ended is not None or transport is not self._transport:
                return None
            event = decode_server(frame)
            if self._taps:
                self._taps.show("in", frame, event)
            if playback.real_time and isinstance(event, InputAudioBufferSpeechStarted):
                playback.advance()  # it decides where the agent is cut off
            effects = effects_of(event)
            if effects and type(effects[0]) is Suppress:
                continue
            if self._activity is not None:
                self._activity.came(event)
            if type(event) is ResponseDone:
                self._count(event.response)
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
                if type(event) is ErrorEvent and event.error.code in FATAL:
                    self._fatal = True
                await self._apply(effects)
                if type(effects[-1]) is StartTool:
                    await checkpoint()  # the call begins now, not after the frames that have come with it
            if self._reached and isinstance(event, ResponseCreated | ErrorEvent):
                await self._stop_new()
            if not created and self._core.settings.created:
                created = True
                self._created.set()
                self._ready_at = self._seconds()
                self._watch_age(transport)

    def _watch_age(self, transport: Transport) -> None:
        """Renew the session in time, or tell when the server will end it, where it has said so."""
        session = self._core.settings.confirmed
        if session is not None and session.expires_at:
            left = min(session.expires_at, FAR) - time.time()  # the sleep is by the monotonic clock
            self.start_soon(self._expiring, transport, left)
            if self._policy.attempts and 0 < self._policy.renew_before < left:
                self.start_soon(self._renew, transport, left)

    async def _expiring(self, transport: Transport, left: float) -> None:
        await anyio.sleep(max(0.0, left - EXPIRING_SECONDS))
        left = min(left, EXPIRING_SECONDS)
        if self.ended is None and self._transport is transport:
            await self._emit(SessionExpiring(seconds=max(0.0, left)))

    async def _end(self, cause: str, error: AgentkitError | None) -> None:
        if self.ended is not None:
            return
        if self._reached:  # whatever the end was waiting for
            cause, error = "limit", None
        self.ended = SessionEnded(cause=cause, error=error)
        self.calls.give_up()
        closed = error or self._closed_error()
        self._outbox.fail(closed)
        self._turns.fail(closed)
        self._updates.fail(closed)
        self._outbound.close(closed)
        if self._transport is None and self._between is not None:
            self._between.cancel()
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
