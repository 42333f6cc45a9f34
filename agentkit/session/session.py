"""The session as an application sees it."""

from collections.abc import Callable
from typing import Any, TypeVar, overload

import anyio
from msgspec.structs import replace

from agentkit.errors import LocalProtocolError, SessionClosedError, TransportError
from agentkit.events import (
    AnyItem,
    AnyPart,
    AnyServerSession,
    AnySettings,
    ConversationItemTruncate,
    Event,
    FunctionTool,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputText,
    MessageItem,
    OutputText,
    ResponseCreate,
    ResponseSettings,
    Settings,
    ToolDefinition,
)
from agentkit.protocol import Propose
from agentkit.protocol.audio import MIN_COMMIT_MS
from agentkit.session.engine import Engine
from agentkit.session.fanout import Subscription, Waiter
from agentkit.session.turns import Turn
from agentkit.tools import Tool

E = TypeVar("E", bound=Event)
MAX_APPEND_BYTES = 15 << 20
"""Audio in one append. Source: the protocol's limit of 15 MiB."""
UPDATE_SECONDS = 10.0


class Session(Engine):
    """One session; made by ``agentkit.open``.

    Every method that sends raises ``SessionClosedError`` after the session was closed, ``ConnectionLostError`` after
    its connection was lost, ``LocalProtocolError`` for what may not be sent now, and ``MiddlewareError`` where a guard
    failed.
    """

    async def make_ready(self, settings: AnySettings | None, seconds: float) -> None:
        """Wait for the session, ask for its settings and tools, and wait until they are confirmed.

        Raises:
            TransportError: The connection was lost before.
            ServerError: The server refused the settings.
            RemoteProtocolError: The server said nothing for ``seconds``.
        """
        wanted = self._with_tools(settings)
        with self._updates.patience(seconds, "session.created"):
            await self._created.wait()
        if self.ended is not None:
            raise self.ended.error or self._closed_error()
        if wanted is not None:
            await self._update(wanted, seconds)

    def tool_definitions(self) -> tuple[FunctionTool, ...]:
        """Return the session's tools as the model sees them."""
        return self._calls.definitions(examples=self.provider.wants_examples)

    def _with_tools(self, settings: AnySettings | None) -> AnySettings | None:
        if not self._calls.tools:
            return settings
        if settings is not None and not isinstance(settings, Settings):
            return settings  # a transcription session has no responses, so no tools
        own = self.tool_definitions()
        given = settings.tools if settings is not None and isinstance(settings.tools, tuple) else ()
        return replace(settings or Settings(), tools=(*own, *given))

    async def _update(self, settings: AnySettings, seconds: float) -> None:
        event_id = self._core.next_id()
        waiter = self._updates.expect(event_id)
        try:
            with self._updates.patience(seconds, "session.updated"):
                await self._command(self._core.update(settings, event_id))
                await waiter.wait()
        finally:
            self._updates.forget(event_id)

    # Listening

    @overload
    def subscribe(self) -> Subscription[Event]: ...
    @overload
    def subscribe(self, *classes: type[E]) -> Subscription[E]: ...
    def subscribe(self, *classes: type[Event]) -> Subscription[Any]:
        """Listen to events of these classes, or to all, from now on.

        Returns:
            An async iterator that ends with the session; a context manager that stops listening.
        """
        subscription: Subscription[Any] = Subscription(self._fanout, classes or (Event,))
        self.listeners_changed()
        return subscription

    def __aiter__(self) -> Subscription[Event]:
        return self.subscribe()

    async def wait_for(
        self, event_class: type[E], where: Callable[[E], bool] | None = None, *, timeout: float | None = None
    ) -> E:
        """Wait for the next event of a class.

        Args:
            event_class: The class; subclasses count.
            where: Which of them; None takes the first.
            timeout: Seconds to wait at most.

        Raises:
            TimeoutError: It did not come in time.
            SessionClosedError: The session ended first; ``ConnectionLostError`` where its connection was lost.
        """
        waiter = Waiter(event_class, where, self._closed_error())
        self._fanout.add(waiter)
        self.listeners_changed()
        try:
            with anyio.fail_after(timeout):
                return await waiter.wait()
        finally:
            self._fanout.remove(waiter)

    @property
    def settings(self) -> AnyServerSession | None:
        """The settings in force, as the server confirmed them last."""
        return self._core.settings.confirmed

    @property
    def tools(self) -> "dict[str, Tool[..., object] | FunctionTool]":
        """The session's tools by name."""
        return dict(self._calls.tools)

    async def wait_closed(self) -> None:
        """Wait until the session has ended, for whatever reason."""
        await self._finished.wait()

    # Talking

    async def ask(self, text: str, *, interrupt: bool = False, timeout: float | None = None) -> Turn:
        """Send a user message and wait for the whole turn, tools included.

        Args:
            text: What the user says.
            interrupt: Cut the agent off first, where it is speaking.
            timeout: Seconds to wait at most; the turn goes on beyond it.

        Raises:
            ServerError: The server refused the response, or it failed for good.
            TimeoutError: The turn took longer.
        """
        with anyio.fail_after(timeout):
            return await self._turn(self._core.next_id(), _message("user", text), interrupt=interrupt)

    async def send_text(self, text: str, *, reply: bool = True, interrupt: bool = False) -> None:
        """Send a user message; ``TurnCompleted`` tells when it was answered.

        Args:
            text: What the user says.
            reply: Ask for a response to it.
            interrupt: Cut the agent off first, where it is speaking.
        """
        await self._message(_message("user", text), self._core.next_id() if reply else None, interrupt=interrupt)

    async def add_message(self, role: str, *content: str | AnyPart, reply: bool = False) -> None:
        """Add a message to the conversation.

        Args:
            role: ``user``, ``system`` or ``assistant``.
            content: Texts and content parts.
            reply: Ask for a response to it.
        """
        await self._message(_message(role, *content), self._core.next_id() if reply else None, interrupt=False)

    async def say(self, text: str, *, timeout: float | None = None) -> Turn:
        """Let the agent say a text, and wait until it has."""
        settings = ResponseSettings(instructions=f"{SAY}{text}", tool_choice="none")
        return await self.respond(settings, timeout=timeout)

    async def respond(self, settings: ResponseSettings | None = None, *, timeout: float | None = None) -> Turn:
        """Ask for a response, and wait for the whole turn.

        Audio that the client has to commit is committed first.

        Args:
            settings: What differs from the session's settings; with ``conversation="none"`` the response is made beside
                the conversation, and several may run at once.
            timeout: Seconds to wait at most; the turn goes on beyond it.

        Raises:
            ServerError: The server refused the response, or it failed for good.
            TimeoutError: The turn took longer.
        """
        with anyio.fail_after(timeout):
            return await self._turn(self._core.next_id(), None, settings=settings)

    async def _turn(
        self, token: str, item: AnyItem | None, *, settings: ResponseSettings | None = None, interrupt: bool = False
    ) -> Turn:
        self._check_open()
        waiter = self._turns.expect(token)
        try:
            if item is not None:
                await self._message(item, token, interrupt=interrupt)
            else:
                await self._command(self._core.respond(token, settings))
        except BaseException:
            self._turns.forget(token)
            raise
        return await waiter.wait()

    async def _message(self, item: AnyItem, token: str | None, *, interrupt: bool) -> None:
        if interrupt:
            await self._command(self._core.interrupt(), go_on=True)
        effects = self._core.send_item(item)
        if token is not None:
            effects.append(Propose(ResponseCreate(event_id=token)))
        await self._command(effects)

    # Audio

    async def append_audio(self, audio: bytes) -> None:
        """Add to the user's audio, in the session's input format.

        Never raises for a lost connection: what cannot be sent is dropped and counted in ``dropped_input``.
        """
        for start in range(0, len(audio), MAX_APPEND_BYTES):
            event = InputAudioBufferAppend(audio=audio[start : start + MAX_APPEND_BYTES])
            try:
                await self.send(event)
            except (TransportError, SessionClosedError):
                self.dropped_input += len(event.audio)

    async def commit(self, *, reply: bool = True) -> None:
        """End the user's turn where the client has to (push to talk): make an item of the audio so far.

        Nothing is sent where the server finds the end of turns; less than 100 ms are dropped with a ``Notice``.

        Args:
            reply: Ask for a response.
        """
        is_turn = self._core.input.pending_ms >= MIN_COMMIT_MS and self._core.settings.turn_detection is None
        await self._command(self._core.commit())
        if reply and is_turn:
            await self._command(self._core.respond(self._core.next_id()))

    async def clear_audio(self) -> None:
        """Drop the user's audio that is not committed."""
        await self.send(InputAudioBufferClear())

    def played(self, item_id: str, ms: int) -> None:
        """Move the playback clock: so many milliseconds of the item's audio were heard."""
        self._core.output.played(item_id, ms)

    async def interrupt(self, heard_ms: int | None = None) -> None:
        """Cut the agent off: stop playback and the response, and keep only what was heard.

        Args:
            heard_ms: Milliseconds of the last spoken item that were heard; None takes the playback clock's word.
        """
        # A truncation that a guard stops must not keep the agent talking.
        await self._command(self._core.interrupt(heard_ms), go_on=True)

    async def cancel(self, response_id: str | None = None) -> None:
        """Stop the active response, or one by its id; nothing happens where none is active."""
        await self._command(self._core.cancel(response_id))

    async def truncate(self, item_id: str, audio_end_ms: int, *, content_index: int = 0) -> None:
        """Keep only the beginning of an item's audio.

        Raises:
            LocalProtocolError: The item has no audio that could be cut.
        """
        event = ConversationItemTruncate(item_id=item_id, content_index=content_index, audio_end_ms=audio_end_ms)
        await self.send(event)

    # Conversation, settings, tools

    async def delete_item(self, item_id: str) -> None:
        """Remove an item from the conversation."""
        await self._command(self._core.delete_item(item_id))

    async def update(self, settings: AnySettings, *, timeout: float = UPDATE_SECONDS) -> None:
        """Change settings, and wait until the server confirms them; only what differs is sent.

        Raises:
            ServerError: The server refused them; ``param`` names the field.
            RemoteProtocolError: The server did not answer in time.
        """
        await self._update(settings, timeout)

    async def add_tool(self, tool: "Tool[..., object] | FunctionTool") -> None:
        """Offer another tool from the next response on.

        Args:
            tool: The tool; a ``FunctionTool`` has no body, so its calls are answered by ``answer``.

        Raises:
            LocalProtocolError: There is a tool of this name.
        """
        if not tool.name or tool.name in self._calls.tools:
            raise LocalProtocolError(f"there is a tool called {tool.name!r} already; remove it first")
        self._calls.tools[tool.name] = tool
        try:
            await self._update_tools()
        except BaseException:
            del self._calls.tools[tool.name]
            raise

    async def remove_tool(self, name: str) -> None:
        """Take a tool away from the next response on.

        Raises:
            LocalProtocolError: There is no tool of this name.
        """
        tool = self._calls.tools.pop(name, None)
        if tool is None:
            raise LocalProtocolError(
                f"there is no tool called {name!r}; known: {', '.join(self._calls.tools) or 'none'}"
            )
        try:
            await self._update_tools()
        except BaseException:
            self._calls.tools[name] = tool
            raise

    async def _update_tools(self) -> None:
        confirmed = self.settings
        foreign: tuple[ToolDefinition, ...] = ()
        if isinstance(confirmed, Settings) and isinstance(confirmed.tools, tuple):
            foreign = tuple(tool for tool in confirmed.tools if not isinstance(tool, FunctionTool))
        await self.update(Settings(tools=(*self.tool_definitions(), *foreign)))

    async def answer(self, call_id: str, output: str) -> None:
        """Answer a call of a tool that has no body (``ToolCallPending``).

        Raises:
            LocalProtocolError: No such call is open.
        """
        output = output.encode("utf-8", "replace").decode()  # a lone surrogate cannot be sent
        await self._command(self._core.finish_call(call_id, output))

    async def end(self, reason: str = "") -> None:
        """End the session once the current turn is over."""
        self._ending = reason
        if self._core.quiet:
            await self._end("closed", None)


SAY = "Say exactly: "
"""How a response is asked to say a text; the embedded server's rules know it too."""


def _message(role: str, *content: str | AnyPart) -> MessageItem:
    text = OutputText if role == "assistant" else InputText
    return MessageItem(role=role, content=tuple(text(text=part) if isinstance(part, str) else part for part in content))
