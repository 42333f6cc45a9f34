"""One session on the command line: inputs in, records out, and an exit code.

Rule: every way to end goes through ``Talk.stop`` or the session's own end, so the session is closed whatever happens.
"""

import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager, closing, nullcontext
from typing import TYPE_CHECKING, Final, TypeAlias

import anyio
import anyio.abc
import msgspec
from msgspec import UNSET

from agentkit.cli.approvals import Approver, Nobody
from agentkit.cli.exits import Exit, OutputClosed, Problem
from agentkit.cli.feed import CLASSES, DELTAS, NO_SPEECH, Feed, Skin
from agentkit.cli.records import SessionRecord
from agentkit.cli.signals import signals_to
from agentkit.cli.terminal import TerminalState
from agentkit.cli.wire import WireTap
from agentkit.errors import AgentkitError, ConfigError, ProtocolError, ServerError, SessionClosedError, TransportError
from agentkit.events import AudioInput, AudioSettings, Notice, ResponseOutputAudioDelta

if TYPE_CHECKING:
    from pathlib import Path

    from agentkit.cli.keeping import Keeper
    from agentkit.cli.speech import Voice
    from agentkit.config.build import Agent
    from agentkit.events import Event
    from agentkit.session import Session, Subscription, Turn

Said: TypeAlias = "str | Callable[[Session], Coroutine[object, object, Turn]]"
"""One input: what the user says, or what takes a turn otherwise."""
_GREETING_SECONDS: Final = 2.0
"""How long the prompt waits for the greeting to be shown."""
_GOODBYE_SECONDS: Final = 30.0
"""How long a session that a limit has stopped may take to end."""
_INPUT_SECONDS: Final = 1.0
"""How long the next input, or the end of all, is waited for once the session has ended."""
_INTERRUPT_SECONDS: Final = 2.0
"""How long a server may take to hear that it should stop."""


class Extras(msgspec.Struct, kw_only=True):
    """What goes on beside a conversation."""

    keeper: "Keeper | None" = None
    """Keeps it."""
    save: "Path | None" = None
    """Where it is written at the end, in the form that the ending says."""
    events: tuple[str, ...] = ()
    """Which events of the wire are shown."""
    audio: bool = False
    """Whether audio is shown."""
    spoken: bool = False
    """Whether the agent was asked to speak, and not only to write."""
    voice: "Voice | None" = None
    """Speaks in the place of the inputs, and hears the agent."""


class Talk:
    """A conversation with an agent."""

    def __init__(
        self,
        agent: "Agent",
        skin: Skin,
        terminal: TerminalState,
        *,
        tools: bool = True,
        interactive: bool = False,
        extras: Extras | None = None,
    ) -> None:
        """Make it; ``run`` holds it.

        Args:
            agent: Whom to talk to.
            skin: What shows the records.
            terminal: Put back before a hard exit.
            tools: Offer the agent's tools.
            interactive: Whether a person sits at a prompt: an error or a stopped reply does not end it then.
            extras: What goes on beside it.
        """
        self._extras = extras or Extras()
        self.tap = WireTap(skin.show, self._extras.events, audio=self._extras.audio)
        """Shows events of the wire; its ``patterns`` may change at any time."""
        self._agent = agent
        self._skin = skin
        self._terminal = terminal
        self._tools = tools
        self._interactive = interactive
        self._scope = anyio.CancelScope()
        self._inputs_scope = anyio.CancelScope()
        self._tasks: anyio.abc.TaskGroup
        self._session: Session | None = None
        self._feed: Feed
        self._code: int | None = None
        self._cause: str | None = None
        self._presses = 0
        self._stopping = False
        self._turn_scope = anyio.CancelScope()
        self._turn_over = anyio.Event()
        keeper = self._extras.keeper
        goes_on = keeper is not None and keeper.continued is not None
        self._greeting = agent.greeting if interactive and not goes_on else None
        self._empty = False
        self._failed: Exit = Exit.DONE
        self.replying = False
        """Whether a turn is under way."""
        self.approver: Approver = Nobody()
        """Who decides about calls that wait for approval."""
        self.on_idle_interrupt: Callable[[], None] | None = None
        """Called at a Ctrl-C that finds nothing to stop."""
        self.during_reply: Callable[[], AbstractContextManager[None]] = nullcontext
        """What is held while the agent answers."""

    @property
    def session(self) -> "Session":
        """The session, while ``run`` holds it."""
        assert self._session is not None
        return self._session

    async def run(self, inputs: AsyncIterator["Said"]) -> int:
        """Open the session, give it every input, and return the exit code.

        Raises:
            ConfigError: A layer could not start, or the server does not speak where it has to.
        """
        chain = self._agent.chain()
        changed = any(chain.order(each) for each in DELTAS)
        feed = self._feed = Feed(
            self._skin,
            changed=changed,
            whole=not self._interactive,
            approval=lambda event: self.approver.told(event),
        )
        keeper = self._extras.keeper
        with signals_to(self._signal), self._scope:
            try:
                async with self._agent.open(tools=self._tools, greet=False, middleware=[self.tap]) as session:
                    early = await self._attached(session, feed, keeper)
                    self._session = session
                    with session.subscribe(
                        *CLASSES, *((ResponseOutputAudioDelta,) if self._extras.audio else ())
                    ) as events:
                        await self._hold(session, feed, events, early, inputs)
            except (TransportError, ProtocolError, ServerError) as exc:
                if self._session is not None:
                    raise
                feed.error(exc)
                feed.end("failed", reason=None, exit_code=Exit.CONNECTION)
                return Exit.CONNECTION
        return self._code if self._code is not None else Exit.BUG

    async def _attached(self, session: "Session", feed: Feed, keeper: "Keeper | None") -> list[Notice]:
        """Take up the conversation that is gone on with; return what was to be told meanwhile."""
        if self._extras.voice is not None:
            self._extras.voice.check(session)
        modalities = getattr(session.settings, "output_modalities", UNSET)
        if self._extras.spoken and isinstance(modalities, tuple) and "audio" not in modalities:
            raise ConfigError("the server does not speak, and --voice asks for it", hint=NO_SPEECH)
        if keeper is None:
            return []
        with session.subscribe(Notice) as notices:
            await keeper.attach(session, feed.notice)
        feed.on_turn = keeper.turn
        return [notice async for notice in notices]

    async def _hold(
        self,
        session: "Session",
        feed: Feed,
        events: "Subscription[Event]",
        early: list[Notice],
        inputs: AsyncIterator["Said"],
    ) -> None:
        feed.audio_format = session.output_format
        feed.transcribes = _transcribes(session)
        keeper, voice = self._extras.keeper, self._extras.voice
        continued = keeper.continued if keeper is not None else None
        self._skin.show(
            SessionRecord(
                id=session.id,
                agent=self._agent.name,
                provider=self._agent.provider.name,
                model=session.provider.model or getattr(session.settings, "model", None) or None,
                tools=tuple(session.tools),
                output=self._agent.config.session.output or "text",
                recording=self._agent.config.recording.mode != "none",
                continues=continued.meta.id if continued is not None else None,
            )
        )
        for notice in early:
            feed.take(notice)
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                self.approver.attach(session, feed.notice)
                tasks.start_soon(self._watch, session, feed, events)
                tasks.start_soon(self.approver.run)
                if voice is not None:
                    voice.attach(session, feed, tasks)
                with self._inputs_scope:
                    await self._say_all(session, feed, inputs)
                if voice is not None:
                    await voice.heard()
                tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            self._conclude(session, feed)
            raise
        self._conclude(session, feed)

    async def _watch(self, session: "Session", feed: Feed, events: "Subscription[Event]") -> None:
        await feed.run(events)
        cause = session.ended.cause if session.ended is not None else None
        if not self._interactive and cause == "limit" and not self.replying:
            # A limit that ends the session after the last answer has stopped nothing: what comes next will show.
            await anyio.sleep(_INPUT_SECONDS)
        if self._interactive or not self.replying:
            self._inputs_scope.cancel()

    async def _say_all(self, session: "Session", feed: Feed, inputs: AsyncIterator["Said"]) -> None:
        if self._greeting is not None:
            await self._greet(session, feed, self._greeting)
        if self._extras.voice is not None and self._extras.voice.speaks:
            await self._speak(session, feed, self._extras.voice)
            return
        async for said in inputs:
            if _is_over(session):
                break
            self._presses = 0
            if self._extras.keeper is not None:
                await self._extras.keeper.settled()
            if not await self._take(session, feed, session.ask(said) if isinstance(said, str) else said(session)):
                break
            if self._interactive and _is_over(session):
                break
        else:
            if not (self._interactive or await self._finish_background(session, feed)):
                return
            if self._code is None:
                self._code = self._verdict()

    async def _speak(self, session: "Session", feed: Feed, voice: "Voice") -> None:
        """Say the audio, in as many turns as the server finds in it."""
        problem = await voice.say(lambda asked: self._take(session, feed, asked))
        if problem is not None and not _is_over(session):
            feed.error(problem)
        if feed.errors and not self._failed:
            self._failed = Exit.NO if problem is not None else Exit.CONNECTION
        whole = await self._finish_background(session, feed)
        if whole and self._code is None and not _is_over(session):
            self._empty = self._empty or not feed.spoken
            self._code = self._verdict()

    async def _finish_background(self, session: "Session", feed: Feed) -> bool:
        """Let the calls end that run beside the conversation, and what is said of them be said.

        Returns:
            Whether no limit has stopped them.
        """
        if not feed.calls.background:
            return True
        while feed.calls.background and not (_is_over(session) or session.limit_reached):
            await feed.calls.one_is_over()
        if session.limit_reached:
            await self._goodbye(session)
            return False
        await session.end()
        await feed.over.wait()
        return True

    async def _goodbye(self, session: "Session") -> bool:
        """Wait until a session that a limit has stopped is over; tell whether it is."""
        with anyio.move_on_after(_GOODBYE_SECONDS):
            await session.wait_closed()
            return True
        return False

    async def _greet(self, session: "Session", feed: Feed, greeting: str) -> None:
        if self._agent.config.session.output == "audio":
            await self._take(session, feed, session.say(greeting))
            return
        await session.add_message("assistant", greeting)
        with anyio.move_on_after(_GREETING_SECONDS):
            await feed.said.wait()

    def _verdict(self) -> Exit:
        if self._interactive:
            return Exit.DONE  # the person at the prompt has seen what failed
        if self._failed:
            return self._failed
        return Exit.NO if self._empty else Exit.DONE

    async def _take(self, session: "Session", feed: Feed, asked: "Coroutine[object, object, Turn]") -> bool:
        """Take one turn; tell whether the session goes on."""
        self.replying, self._stopping = True, False
        self._turn_over = anyio.Event()
        turn = None
        try:
            with closing(asked), self.during_reply(), anyio.CancelScope() as self._turn_scope:
                feed.asked()
                turn = await asked
                await feed.turn_shown(turn.seconds)
            if turn is None:
                feed.notice("warning", "not_stopped", "the agent has not confirmed that it stopped; it goes on unheard")
        except AgentkitError as exc:
            lost = isinstance(exc, SessionClosedError | TransportError)
            stopped = lost or session.limit_reached or feed.limit is not None
            if stopped and await self._goodbye(session):
                return False
            if lost:
                raise
            feed.error(exc)
            feed.states.unanswered()
            self._failed = Exit.CONNECTION if isinstance(exc, ServerError) else Exit.NO
        else:
            if turn is not None and turn.status != "completed" and session.limit_reached:
                return not await self._goodbye(session)
            self._empty = self._empty or not (feed.answered or feed.calls.background)
        finally:
            self.replying = False
            self._turn_over.set()
        return True

    # Ends

    def _conclude(self, session: "Session", feed: Feed) -> None:
        """Decide how it ended, write what is to be written, and say so."""
        whole = self._written(session, feed)
        ended = session.ended
        cause, reason = self._cause or "closed", None
        if self._code is None and ended is not None:
            cause = ended.cause
            if cause == "limit":
                self._code, reason = Exit.LIMIT, feed.limit or "a limit was reached"
            elif cause == "closed":
                self._code = Exit.DONE
            else:
                self._code = Exit.CONNECTION
                reason = f"the session has ended ({cause.replace('_', ' ')}): {ended.error or 'no reason was given'}"
        if not whole and self._code == Exit.DONE:
            self._code = Exit.NO
        code = self._code if self._code is not None else Exit.BUG
        feed.end(cause, reason=reason, exit_code=code, cost_usd=session.cost)

    def _written(self, session: "Session", feed: Feed) -> bool:
        """Write down what is wanted of the conversation; tell whether that could be done."""
        keeper, voice, path = self._extras.keeper, self._extras.voice, self._extras.save
        try:
            if keeper is not None:
                keeper.finish()
            if path is not None:
                from agentkit.cli.saving import save

                save(session, path)
            if voice is not None:
                voice.close()
        except OSError as exc:
            feed.notice("error", "not_saved", f"{path} cannot be written: {exc.strerror or exc}")
            return False
        except Problem as exc:
            feed.notice("error", "not_saved", str(exc), hint=exc.hint)
            return False
        except OutputClosed:
            pass  # whoever heard the agent has heard enough
        return True

    def stop(self, code: int, cause: str) -> None:
        """End the session now, in good order."""
        if self._code is None:
            self._code, self._cause = code, cause
        self._scope.cancel()

    def interrupt(self) -> None:
        """Take a Ctrl-C: the first stops the reply, the second ends the session, the third kills.

        What is asked meanwhile is refused.
        """
        if not self.replying and self.approver.refuse():
            return
        self._presses += 1
        if self._presses >= 3:
            self._terminal.restore()
            os._exit(Exit.INTERRUPTED)
        if self._presses == 1 and self.replying and self._session is not None:
            self._tasks.start_soon(self._interrupt_reply, self._session)
        elif self._presses == 1 and self._session is not None and self._interactive and self.on_idle_interrupt:
            self.on_idle_interrupt()
        else:
            self.stop(Exit.INTERRUPTED, "interrupted")

    def stop_reply(self) -> None:
        """Stop the reply, where there is one, and nothing else."""
        if self.replying and not self._stopping:
            self._stopping = True
            self._tasks.start_soon(self._interrupt_reply, self.session)

    async def _interrupt_reply(self, session: "Session") -> None:
        scope, over = self._turn_scope, self._turn_over
        refused: tuple[str, ...] = ()
        try:
            self.approver.pause()
            with anyio.move_on_after(_INTERRUPT_SECONDS):
                await session.interrupt()
                refused = self.approver.refuse()
                if self._interactive:
                    await over.wait()
        except AgentkitError:
            pass  # the session's own end tells what happened
        if not self._interactive:
            self.stop(Exit.INTERRUPTED, "interrupted")
        elif not over.is_set():
            scope.cancel()
        elif refused:
            await self._hush(session, refused)

    async def _hush(self, session: "Session", refused: tuple[str, ...]) -> None:
        """Let nothing be said of calls that were refused to have silence."""
        try:
            with anyio.move_on_after(_INTERRUPT_SECONDS):
                await self._feed.calls.are_over(refused)
                await session.interrupt()
        except AgentkitError:
            pass  # as above

    def _signal(self, number: int) -> None:
        if number != signal.SIGINT:
            self.stop(Exit.TERMINATED, "interrupted")
        else:
            self.interrupt()


def _transcribes(session: "Session") -> bool:
    """Tell whether the server puts into words what the user speaks."""
    audio = session.settings.audio if session.settings is not None else None
    return isinstance(audio, AudioSettings) and isinstance(audio.input, AudioInput) and bool(audio.input.transcription)


def _is_over(session: "Session") -> bool:
    return session.ended is not None
