"""One session on the command line: inputs in, records out, and an exit code.

Rule: every way to end goes through ``Talk.stop`` or the session's own end, so the session is closed whatever happens.
"""

import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

import anyio
import anyio.abc

from agentkit.cli.approvals import Approver, Nobody
from agentkit.cli.exits import Exit
from agentkit.cli.feed import CLASSES, DELTAS, Feed, Skin
from agentkit.cli.records import SessionRecord
from agentkit.cli.signals import signals_to
from agentkit.cli.terminal import TerminalState
from agentkit.errors import AgentkitError, ProtocolError, ServerError, SessionClosedError, TransportError

if TYPE_CHECKING:
    from agentkit.config.build import Agent
    from agentkit.events import Event
    from agentkit.session import Session, Subscription, Turn

_GREETING_SECONDS: Final = 2.0
"""How long the prompt waits for the greeting to be shown."""
_GOODBYE_SECONDS: Final = 30.0
"""How long a session that a limit has stopped may take to end."""
_INTERRUPT_SECONDS: Final = 2.0
"""How long a server may take to hear that it should stop."""


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
    ) -> None:
        """Make it; ``run`` holds it.

        Args:
            agent: Whom to talk to.
            skin: What shows the records.
            terminal: Put back before a hard exit.
            tools: Offer the agent's tools.
            interactive: Whether a person sits at a prompt: an error or a stopped reply does not end it then.
        """
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
        self._turn_scope = anyio.CancelScope()
        self._turn_over = anyio.Event()
        self._greeting = agent.greeting if interactive else None
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

    async def run(self, inputs: AsyncIterator[str]) -> int:
        """Open the session, give it every input, and return the exit code.

        Raises:
            ConfigError: A layer could not start.
        """
        chain = self._agent.chain()
        changed = any(chain.order(each) for each in DELTAS)
        places = {source.tool.name: str(source.place) for source in self._agent.tools}
        feed = self._feed = Feed(self._skin, places, changed=changed, approval=lambda event: self.approver.told(event))
        with signals_to(self._signal), self._scope:
            try:
                async with self._agent.open(tools=self._tools, greet=False) as session:
                    self._session = session
                    with session.subscribe(*CLASSES) as events:
                        await self._hold(session, feed, events, inputs)
            except (TransportError, ProtocolError, ServerError) as exc:
                if self._session is not None:
                    raise
                feed.error(exc)
                feed.end("failed", reason=None, exit_code=Exit.CONNECTION)
                return Exit.CONNECTION
        return self._code if self._code is not None else Exit.BUG

    async def _hold(
        self,
        session: "Session",
        feed: Feed,
        events: "Subscription[Event]",
        inputs: AsyncIterator[str],
    ) -> None:
        self._skin.show(
            SessionRecord(
                id=session.id,
                agent=self._agent.name,
                provider=self._agent.provider.name,
                model=session.provider.model or getattr(session.settings, "model", None) or None,
                tools=tuple(session.tools),
            )
        )
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                self.approver.attach(session, feed.notice)
                tasks.start_soon(self._watch, session, feed, events)
                tasks.start_soon(self.approver.run)
                with self._inputs_scope:
                    await self._say_all(session, feed, inputs)
                tasks.cancel_scope.cancel()
        except anyio.get_cancelled_exc_class():
            self._conclude(session, feed)
            raise
        self._conclude(session, feed)

    async def _watch(self, session: "Session", feed: Feed, events: "Subscription[Event]") -> None:
        await feed.run(events)
        # A limit that ends the session after the last answer has stopped nothing: the next input will show.
        cause = session.ended.cause if session.ended is not None else None
        if self._interactive or (cause != "limit" and not self.replying):
            self._inputs_scope.cancel()

    async def _say_all(self, session: "Session", feed: Feed, inputs: AsyncIterator[str]) -> None:
        if self._greeting is not None:
            await self._greet(session, feed, self._greeting)
        async for text in inputs:
            if _is_over(session):
                break
            self._presses = 0
            if not await self._take(session, feed, session.ask(text)):
                break
            if self._interactive and _is_over(session):
                break
        else:
            if not self._interactive:
                await self._finish_background(session, feed)
            if self._code is None:
                self._code = self._verdict()

    async def _finish_background(self, session: "Session", feed: Feed) -> None:
        """Let the calls end that run beside the conversation, and what is said of them be said."""
        if feed.background:
            while feed.background and not _is_over(session):
                await feed.a_call_is_over()
            await session.end()
            await feed.over.wait()

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
        self.replying = True
        self._turn_over = anyio.Event()
        feed.answered = False
        turn = None
        try:
            with self.during_reply(), anyio.CancelScope() as self._turn_scope:
                turn = await asked
                await feed.turn_shown(turn.seconds)
            if turn is None:
                feed.notice("warning", "not_stopped", "the agent has not confirmed that it stopped; it goes on unheard")
        except (SessionClosedError, TransportError):
            if session.ended is None:
                raise
            return False
        except AgentkitError as exc:
            if feed.limit is not None:  # a limit has stopped it: only the goodbye is still said
                with anyio.move_on_after(_GOODBYE_SECONDS):
                    await session.wait_closed()
                    return False
            feed.error(exc)
            self._failed = Exit.CONNECTION if isinstance(exc, ServerError) else Exit.NO
        else:
            self._empty = self._empty or not (feed.answered or feed.background)
        finally:
            self.replying = False
            self._turn_over.set()
        return True

    # Ends

    def _conclude(self, session: "Session", feed: Feed) -> None:
        """Decide how it ended, and say so."""
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
        code = self._code if self._code is not None else Exit.BUG
        feed.end(cause, reason=reason, exit_code=code)

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
                await self._feed.calls_over(refused)
                await session.interrupt()
        except AgentkitError:
            pass  # as above

    def _signal(self, number: int) -> None:
        if number != signal.SIGINT:
            self.stop(Exit.TERMINATED, "interrupted")
        else:
            self.interrupt()


def _is_over(session: "Session") -> bool:
    return session.ended is not None
