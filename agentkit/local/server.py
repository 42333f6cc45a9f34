"""The driver of one server session: frames in and out of a transport, and the responder's tasks.

Rule: the reader never waits for the responder; nothing is left running when the session ends.
"""

import logging
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

import anyio
from anyio.abc import TaskGroup

from agentkit.errors import ConnectionLostError, SessionClosedError
from agentkit.events import Dialect
from agentkit.events.codec import encode_server
from agentkit.local.core import ServerCore
from agentkit.local.effects import CancelResponse, Effect, StartResponse, Transcribe
from agentkit.local.responder import AudioDelta, Responder, ResponderError, ResponderOutput
from agentkit.local.vad import DetectorFactory, EnergyDetector
from agentkit.protocol.audio import Format
from agentkit.transports.base import Transport

MAX_QUEUED_BYTES: Final = 8 * 1024 * 1024
"""Frames that wait for a slow client; above it the server stops reading and the responders wait."""
LEAD_SECONDS: Final = 1.0
"""How far paced audio runs ahead of its playback."""
log = logging.getLogger("agentkit.local")


def random_id(kind: str) -> str:
    """Return a new id that begins with its kind."""
    return f"{kind}_{secrets.token_hex(10)}"


async def serve_session(
    transport: Transport,
    responder: Responder,
    *,
    dialect: Dialect = Dialect.GA,
    model: str | None = None,
    paced: bool = False,
    new_id: Callable[[str], str] = random_id,
    make_detector: DetectorFactory = EnergyDetector,
) -> None:
    """Serve one session until its client is gone; closes the responder and the transport.

    Args:
        transport: The connection to the client.
        responder: What answers; it belongs to this session alone.
        dialect: What is sent, and whose fields are accepted.
        model: The model's name as the client asked for it; the responder's name if left out.
        paced: Send audio as fast as it plays, with a second's lead; else as fast as it is made.
        new_id: Makes ids.
        make_detector: Finds the user's turns.
    """
    core = ServerCore(
        new_id,
        model or responder.name,
        dialect=dialect,
        speaks=responder.speaks,
        hears=responder.hears,
        make_detector=make_detector,
    )
    try:
        async with anyio.create_task_group() as tasks:
            driver = _Driver(transport, responder, core, tasks, dialect=dialect, paced=paced)
            tasks.start_soon(driver.write)
            driver.perform(core.begin())
            await driver.read()
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await responder.aclose()
            await transport.aclose()


class _Driver:
    """Carries out what the core says."""

    def __init__(
        self,
        transport: Transport,
        responder: Responder,
        core: ServerCore,
        tasks: TaskGroup,
        *,
        dialect: Dialect,
        paced: bool,
    ) -> None:
        self._transport = transport
        self._responder = responder
        self._core = core
        self._tasks = tasks
        self._dialect = dialect
        self._paced = paced
        self._frames: deque[bytes] = deque()
        self._queued = 0
        self._filled = anyio.Event()
        self._drained = anyio.Event()
        self._scopes: dict[str, anyio.CancelScope] = {}

    async def read(self) -> None:
        """Take frames until the client is gone."""
        while True:
            try:
                frame = await self._transport.receive()
            except (ConnectionLostError, SessionClosedError):
                return
            self.perform(self._core.receive_frame(frame))
            await self._room()

    async def write(self) -> None:
        """Send what is queued, in order."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                try:
                    await self._transport.send(frame)
                except (ConnectionLostError, SessionClosedError):
                    # The reader sees the same, and ends the session.
                    return
                self._queued -= len(frame)
                self._drained.set()
            self._filled = anyio.Event()
            await self._filled.wait()

    def perform(self, effects: list[Effect]) -> None:
        """Queue the events and start or stop the tasks."""
        for effect in effects:
            if isinstance(effect, StartResponse):
                # Made here, so that a cancel which comes before the task runs finds it.
                self._scopes[effect.response_id] = anyio.CancelScope()
                self._tasks.start_soon(self._respond, effect)
            elif isinstance(effect, CancelResponse):
                scope = self._scopes.get(effect.response_id)
                if scope is not None:
                    scope.cancel()
            elif isinstance(effect, Transcribe):
                self._tasks.start_soon(self._transcribe, effect)
            else:
                frame = encode_server(effect, self._dialect)
                if frame is not None:
                    self._frames.append(frame)
                    self._queued += len(frame)
        if self._frames:
            self._filled.set()

    async def _room(self) -> None:
        while self._queued > MAX_QUEUED_BYTES:
            # The reader and several responders may wait for the same event.
            if self._drained.is_set():
                self._drained = anyio.Event()
            await self._drained.wait()

    async def _respond(self, start: StartResponse) -> None:
        response_id = start.response_id
        try:
            with self._scopes[response_id]:
                try:
                    await self._feed(start)
                except ResponderError as exc:
                    self.perform(self._core.fail(response_id, str(exc), code=exc.code, type=exc.type))
                else:
                    self.perform(self._core.finish(response_id))
        finally:
            del self._scopes[response_id]

    async def _feed(self, start: StartResponse) -> None:
        began = anyio.current_time()
        made_ms = 0
        measure = Format.of(start.request.output_format)
        async with aclosing(self._responder.respond(start.request)) as outputs:
            while (output := await self._next(outputs)) is not None:
                self.perform(self._core.output(start.response_id, output))
                await self._room()
                if self._paced and isinstance(output, AudioDelta):
                    made_ms += measure.ms(len(output.audio))
                    await anyio.sleep_until(began + made_ms / 1000 - LEAD_SECONDS)

    async def _next(self, outputs: AsyncGenerator[ResponderOutput, None]) -> ResponderOutput | None:
        """Return the responder's next piece, or ``None`` at its end."""
        try:
            return await anext(outputs)
        except StopAsyncIteration:
            return None
        except ResponderError:
            raise
        # Isolation: a responder is a plugin's code, and must not end its session.
        except Exception as exc:
            log.debug("the responder %r failed", self._responder.name, exc_info=True)
            raise ResponderError(
                f"The responder '{self._responder.name}' failed: {type(exc).__name__}: {exc}", code="responder_failed"
            ) from exc

    async def _transcribe(self, effect: Transcribe) -> None:
        place = effect.item_id, effect.content_index
        try:
            transcript = await self._responder.transcribe(effect.audio, effect.format)
        except ResponderError as exc:
            self.perform(self._core.transcription_failed(*place, str(exc), code=exc.code))
        # Isolation: as above.
        except Exception as exc:
            log.debug("the responder %r failed to transcribe", self._responder.name, exc_info=True)
            message = f"The transcriber failed: {type(exc).__name__}: {exc}"
            self.perform(self._core.transcription_failed(*place, message, code="transcriber_failed"))
        else:
            self.perform(self._core.transcribed(*place, transcript))
