"""The session as an application sees it."""

from typing import TYPE_CHECKING

import anyio

from agentkit.errors import SessionClosedError, TransportError
from agentkit.events import (
    AnyItem,
    AnyPart,
    AnySettings,
    AudioFormat,
    AudioInput,
    AudioSettings,
    ConversationItemTruncate,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputText,
    MessageItem,
    Notice,
    OutputText,
    ResponseCreate,
    ResponseSettings,
    Settings,
    TurnDetection,
)
from agentkit.protocol import Propose
from agentkit.session.handoff import HandingOver
from agentkit.session.offering import UPDATE_SECONDS
from agentkit.session.tooling import SAY
from agentkit.session.turns import Turn

if TYPE_CHECKING:
    from agentkit.session.snapshot import Snapshot

MAX_APPEND_BYTES = 15 << 20
"""Audio in one append. Source: the protocol's limit of 15 MiB."""
RESUME_SECONDS = 30.0
PUSH_TO_TALK = "push_to_talk"
MODES = (PUSH_TO_TALK, "server_vad", "semantic_vad")


class Session(HandingOver):
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
        with self._updates.patience(seconds, "session.created"):
            await self._created.wait()
        if self.ended is not None:
            raise self.ended.error or self._closed_error()
        wanted = self._with_tools(settings)
        if wanted is not None:
            await self._update(wanted, seconds)

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
        with anyio.fail_after(timeout):
            return await self._turn(self._core.next_id(), None, settings=settings, commit=False)

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

    async def create_response(self, settings: ResponseSettings | None = None) -> None:
        """Ask for a response as ``respond`` does, without waiting for it; ``TurnCompleted`` tells when it is over.

        Args:
            settings: What differs from the session's settings.
        """
        await self._command(self._core.respond(self._core.next_id(), settings))

    async def _turn(
        self,
        token: str,
        item: AnyItem | None,
        *,
        settings: ResponseSettings | None = None,
        interrupt: bool = False,
        commit: bool = True,
    ) -> Turn:
        self._check_open()
        waiter = self._turns.expect(token)
        try:
            if item is not None:
                await self._message(item, token, interrupt=interrupt)
            else:
                await self._command(self._core.respond(token, settings, commit=commit))
        except BaseException:
            self._turns.forget(token)
            raise
        return await waiter.wait()

    async def _message(self, item: AnyItem, token: str | None, *, interrupt: bool) -> None:
        if interrupt:
            await self.interrupt()
        effects = self._core.send_item(item)
        if token is not None:
            effects.append(Propose(ResponseCreate(event_id=token)))
        await self._command(effects)

    # Audio

    @property
    def input_format(self) -> AudioFormat:
        """The format of the user's audio, its rate included."""
        return self._core.input.format.wire

    @property
    def output_format(self) -> AudioFormat:
        """The format of the agent's audio, its rate included."""
        return self._core.output.format.wire

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
        await self._command(self._core.taking.commit(self._core.next_id() if reply else None))

    async def press(self) -> None:
        """The user presses the key to talk: the agent is cut off, and waits until ``release``.

        Raises:
            LocalProtocolError: The server finds the user's turns by itself; see ``mode``.
        """
        self.playback.advance()
        await self._command(self._core.taking.press(), go_on=True)

    async def release(self, *, reply: bool = True) -> None:
        """The user lets go of the key: what was appended meanwhile is a turn; less than 100 ms are dropped.

        Args:
            reply: Ask for a response.
        """
        await self._command(self._core.taking.release(self._core.next_id() if reply else None))

    @property
    def mode(self) -> str:
        """Who finds the user's turns: ``push_to_talk`` (the application), ``server_vad`` or ``semantic_vad``."""
        return self._core.taking.mode

    async def set_mode(self, mode: "str | TurnDetection", *, timeout: float = UPDATE_SECONDS) -> None:
        """Change who finds the user's turns, also in the middle of one.

        Towards the server's turn detection, what was said while the key was held becomes an item, without a response.
        Away from it, what was said of an utterance that has begun goes with the next ``release`` or ``commit``.

        Args:
            mode: ``push_to_talk``, ``server_vad``, ``semantic_vad``, or turn detection with its own options.
            timeout: Seconds that the server may take to confirm.

        Raises:
            ValueError: There is no such mode.
            ServerError: The server refused it.
        """
        if isinstance(mode, str) and mode not in MODES:
            raise ValueError(f"there is no mode {mode!r}; known: {', '.join(MODES)}")
        detection = TurnDetection(type=mode) if isinstance(mode, str) else mode
        wanted = None if detection.type == PUSH_TO_TALK else detection
        await self.update(Settings(audio=AudioSettings(input=AudioInput(turn_detection=wanted))), timeout=timeout)

    async def clear_audio(self) -> None:
        """Drop the user's audio that is not committed."""
        await self.send(InputAudioBufferClear())

    async def interrupt(self, heard_ms: int | None = None, *, item_id: str | None = None) -> None:
        """Cut the agent off: stop playback and the response, and keep only what was heard.

        Args:
            heard_ms: Milliseconds of the item that were heard; None takes the playback clock's word.
            item_id: The item that is playing; None takes the one whose audio came last.
        """
        self.playback.advance()
        # A truncation that a guard stops must not keep the agent talking.
        await self._command(self._core.interrupt(heard_ms, item_id=item_id), go_on=True)

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

    # Conversation

    async def delete_item(self, item_id: str) -> None:
        """Remove an item from the conversation."""
        await self._command(self._core.delete_item(item_id))

    async def answer(self, call_id: str, output: str) -> None:
        """Answer a call of a tool that has no body (``ToolCallPending``).

        Raises:
            LocalProtocolError: No such call is open.
        """
        output = output.encode("utf-8", "replace").decode()  # a lone surrogate cannot be sent
        await self._command(self._core.finish_call(call_id, output))

    def snapshot(self) -> "Snapshot":
        """Return the settings and the conversation as they are now; ``to_json`` writes them down."""
        from agentkit.session.snapshot import Snapshot  # only some sessions are kept

        return Snapshot(settings=self.settings, entries=tuple(self.history.entries()), agent=self.agent)

    async def resume(
        self, snapshot: "Snapshot | bytes | str", *, settings: bool = True, timeout: float = RESUME_SECONDS
    ) -> tuple[tuple[str, str], ...]:
        """Take up the conversation of a snapshot in this session, a new one, so that the model knows it.

        What the user said goes in as text, where its audio is not in the snapshot, and of what the agent said, what was
        heard; each call has an output, if only one that says that its outcome is not known. No tool runs. It goes on
        with the agent that it was with, where this session has one of that name.

        Args:
            snapshot: Of another session, or its JSON.
            settings: Ask for the snapshot's settings too.
            timeout: Seconds that the server may take to confirm the items.

        Returns:
            Pairs of an item's id and why it, or a part of it, was left out.

        Raises:
            ServerError: The server refused the settings or an item.
            RemoteProtocolError: The server did not confirm in time.
            ValueError: The JSON is that of no snapshot.
        """
        from agentkit.session.resuming import resume
        from agentkit.session.snapshot import Snapshot

        taken = snapshot if isinstance(snapshot, Snapshot) else Snapshot.from_json(snapshot)
        return (await resume(self, taken, settings=settings, timeout=timeout)).left_out

    @property
    def queued(self) -> int:
        """Frames that wait to be written, because the peer reads more slowly than this side writes."""
        return len(self._outbox)

    async def end(self, reason: str = "", *, limit: bool = False) -> None:
        """End the session once the current turn is over.

        Args:
            reason: Why.
            limit: Whether a limit was reached: ``SessionEnded`` says so then, and the reason is told by a ``Notice``.
        """
        if limit and self._ending_cause != "limit":
            self._ending_cause = "limit"
            await self._emit(Notice(code="limit", message=reason or "a limit was reached"))
        self._ending = reason
        if self._core.quiet:
            await self._end(self._ending_cause, None)


def _message(role: str, *content: str | AnyPart) -> MessageItem:
    text = OutputText if role == "assistant" else InputText
    return MessageItem(role=role, content=tuple(text(text=part) if isinstance(part, str) else part for part in content))
