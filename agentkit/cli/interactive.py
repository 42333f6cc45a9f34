"""The conversation at a terminal: the inline interface, or plain lines where no escapes may be written."""

import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import anyio

from agentkit.cli.approvals import Asking, Choice, Switch
from agentkit.cli.aside import Aside, Throttle
from agentkit.cli.bar import Bar, Tally
from agentkit.cli.before import Before, before
from agentkit.cli.exits import Exit
from agentkit.cli.flags import Flags
from agentkit.cli.inputs import LineReader
from agentkit.cli.output import Out
from agentkit.cli.prompts import PlainPrompt
from agentkit.cli.screen import Screen
from agentkit.cli.slash import COMMANDS, KEYS, NO_VOICE, PLAIN_KEYS, Slash, Turned, echoed
from agentkit.cli.talk import Extras, Said, Talk
from agentkit.cli.terminal import Look, TerminalState, clean, is_tty

if TYPE_CHECKING:
    from agentkit.cli.inline import Inline
    from agentkit.cli.live import Live
    from agentkit.config.build import Agent

_AGAIN: Final = "(Ctrl-C again ends the session, and so does Ctrl-D)"
_REMIND_SECONDS: Final = 1.0


async def converse(
    agent: "Agent",
    flags: Flags,
    out: Out,
    terminal: TerminalState,
    tools: bool,
    approve: Choice,
    extras: Extras | None = None,
) -> int:
    """Hold a conversation, and return the exit code."""
    look = Look(out.stream, color=flags.color)
    if look.color and is_tty(out.stream):
        return await _inline(agent, flags, out, terminal, look, tools=tools, approve=approve, extras=extras)
    return await _plain(agent, flags, out, terminal, tools=tools, approve=approve, extras=extras)


async def _plain(
    agent: "Agent",
    flags: Flags,
    out: Out,
    terminal: TerminalState,
    *,
    tools: bool,
    approve: Choice,
    extras: Extras | None,
) -> int:
    """Hold it line by line."""
    look = Look(sys.stderr, color=flags.color)
    tally = Tally(anyio.current_time)
    screen = Screen(out, sys.stderr, look, tally, verbosity=flags.verbosity)
    screen.before = _before(extras)
    talk = Talk(agent, screen, terminal, tools=tools, interactive=True, extras=extras)
    talk.during_reply = terminal.without_echo
    talk.on_idle_interrupt = lambda: screen.tell(_AGAIN)
    prompt = PlainPrompt(screen, terminal, LineReader(), sys.stderr)
    approver = talk.approver = Switch(approve, Asking(prompt, screen.tell, look))
    slash = Slash(lambda: talk.session, screen.tell, tally, approver, talk.tap, tools=tools, keys=PLAIN_KEYS)
    slash.last = _last(screen.before)

    async def inputs() -> AsyncIterator[Said]:
        while True:
            screen.settle()
            line = await prompt.ask()
            if line is None:
                return
            said = slash.take(line.strip())
            if said == "quit":
                return
            if isinstance(said, Turned):
                yield said.ask

    async def remind() -> None:
        while True:
            await anyio.sleep(_REMIND_SECONDS)
            screen.remind()

    with _printed(screen.aside):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(remind)
            code = await talk.run(inputs())
            tasks.cancel_scope.cancel()
    return code


async def _inline(
    agent: "Agent",
    flags: Flags,
    out: Out,
    terminal: TerminalState,
    look: Look,
    *,
    tools: bool,
    approve: Choice,
    extras: Extras | None,
) -> int:
    """Hold it with a prompt that is always there."""
    from agentkit.cli.inline import Inline
    from agentkit.cli.keys import Actions
    from agentkit.cli.live import Live

    tally = Tally(anyio.current_time)
    live = Live(look, tally, verbosity=flags.verbosity)
    live.before = _before(extras)
    talk = Talk(agent, live, terminal, tools=tools, interactive=True, extras=extras)
    talk.on_idle_interrupt = lambda: live.tell(_AGAIN)

    def stop() -> None:
        if talk.replying:
            talk.stop_reply()
        elif tally.state == "speaking":
            talk.session.start_soon(talk.session.interrupt)
        else:
            approver.refuse()

    limits = agent.config.limits
    bar = Bar(tally, look, anyio.current_time, budget=limits.cost_usd, priced=limits.rates is not None)
    actions = Actions(
        interrupt=talk.interrupt,
        stop=stop,
        end=lambda: talk.stop(Exit.DONE, "closed"),
        keys=lambda: live.tell(KEYS),
        voice=lambda: live.tell(NO_VOICE),
        typed=lambda: talk.session.touch() if tally.began is not None else None,
    )
    interface = Inline(out, terminal, live, bar, commands=COMMANDS, actions=actions)
    approver = talk.approver = Switch(approve, Asking(interface, live.tell, look))
    slash = Slash(
        lambda: talk.session if tally.began is not None else None,
        live.tell,
        tally,
        approver,
        talk.tap,
        tools=tools,
        keys=KEYS,
    )
    slash.last = _last(live.before)
    waiting: deque[Turned] = deque()
    wake = anyio.Event()

    def said(line: str) -> None:
        nonlocal wake
        line = line.strip()
        if echoed(line):
            live.typed(line)
        taken = slash.take(line)
        if taken == "quit":
            actions.end()
        elif isinstance(taken, Turned):
            waiting.append(taken)
            interface.queued = [each.shown for each in waiting]
            wake.set()

    async def inputs() -> AsyncIterator[Said]:
        nonlocal wake
        while True:
            while not waiting:
                wake = anyio.Event()
                await wake.wait()
            turned = waiting.popleft()
            interface.queued = [each.shown for each in waiting]
            live.said(turned.shown, turned.text)
            yield turned.ask

    interface.on_line = said
    with _printed(live.aside), _stopped_and_gone_on(interface):
        async with anyio.create_task_group() as tasks:
            await tasks.start(interface.run)
            tasks.start_soon(interface.tick)
            try:
                code = await talk.run(inputs())
            finally:
                _tell_unsaid(live, [*live.not_taken, *(each.shown for each in waiting)], interface.draft)
                with anyio.CancelScope(shield=True):
                    await interface.close()
            tasks.cancel_scope.cancel()
    return code


def _before(extras: Extras | None) -> Before | None:
    """Return the conversation that is gone on with."""
    keeper = extras.keeper if extras is not None else None
    return before(keeper.continued) if keeper is not None and keeper.continued is not None else None


def _last(taken_up: Before | None) -> Turned | None:
    """Return what was asked last in it."""
    text = taken_up.question if taken_up is not None else ""
    return Turned(text, text, text) if text.strip() else None


def _tell_unsaid(live: "Live", waiting: list[str], draft: str) -> None:
    """Show what was typed and never reached the agent, unbroken, so that it can be copied."""
    for text in waiting:
        live.tell("not asked, as the session has ended:")
        live.aside(clean(text).split("\n"))
    if draft.strip():
        live.tell("not sent, as the session has ended:")
        live.aside(clean(draft).split("\n"))


@contextmanager
def _printed(show: Callable[[list[str]], None]) -> Iterator[None]:
    """Let what others print be shown by ``show``, where it would land on this terminal."""
    throttle = Throttle(show)
    kept = sys.stdout, sys.stderr
    asides = [Aside(stream, throttle) if is_tty(stream) else None for stream in kept]
    sys.stdout, sys.stderr = (aside or stream for aside, stream in zip(asides, kept, strict=True))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = kept
        for aside in asides:
            if aside is not None:
                aside.finish()
        throttle.finish()


@contextmanager
def _stopped_and_gone_on(interface: "Inline") -> Iterator[None]:
    """Leave the terminal to the shell where the program is stopped, and take it again."""
    if sys.platform == "win32":
        yield
        return
    import asyncio

    loop = asyncio.get_running_loop()

    def stopped() -> None:
        loop.remove_signal_handler(signal.SIGTSTP)
        interface.suspend()

    def gone_on() -> None:
        loop.add_signal_handler(signal.SIGTSTP, stopped)
        interface.resumed()

    loop.add_signal_handler(signal.SIGTSTP, stopped)
    loop.add_signal_handler(signal.SIGCONT, gone_on)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTSTP)
        loop.remove_signal_handler(signal.SIGCONT)
