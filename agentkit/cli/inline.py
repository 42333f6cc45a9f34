"""The interface at the bottom of a terminal: what is being said, the prompt and the bar; all else scrolls away above.

Rule: what is finished is written once and belongs to the terminal; only the last reply, the prompt and the bar are
drawn again. An answer to a question counts only where it was typed after the question was seen.
"""

import time
from typing import TYPE_CHECKING, Final

import anyio
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.layout import (
    BufferControl,
    CompletionsMenu,
    ConditionalContainer,
    Dimension,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.layout.containers import VerticalAlign
from prompt_toolkit.layout.processors import BeforeInput

from agentkit.cli.approvals import QuestionClosed
from agentkit.cli.drawing import InlineApplication, make_input, make_output
from agentkit.cli.exits import OutputClosed, Problem
from agentkit.cli.keys import ESCAPE_SECONDS, Actions, CommandCompleter, bindings
from agentkit.cli.live import Live
from agentkit.cli.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from anyio.abc import TaskStatus

    from agentkit.cli.bar import Bar
    from agentkit.cli.output import Out
    from agentkit.cli.terminal import TerminalState

PROMPT: Final = "> "
FRAME_SECONDS: Final = 1 / 12
"""Nothing is drawn more often."""
_TICK_SECONDS: Final = 0.2
_TYPING_SECONDS: Final = 0.5
"""Who has pressed a key within it has not seen a question that came meanwhile."""
_MAX_INPUT_ROWS: Final = 6
_QUEUED_SHOWN: Final = 3


class Inline:
    """Draws, and reads keys, while ``run`` runs."""

    def __init__(
        self,
        out: "Out",
        terminal: "TerminalState",
        live: Live,
        bar: "Bar",
        *,
        commands: "Mapping[str, str]",
        actions: Actions,
    ) -> None:
        """Make it.

        Args:
            out: The terminal.
            terminal: Its settings.
            live: What is said, and the transcript.
            bar: What the last line says.
            commands: What Tab completes.
            actions: What keys do.
        """
        self.on_line: Callable[[str], None] = lambda line: None
        """Called with what the user has said."""
        self.queued: list[str] = []
        """What was said and is not taken yet, as it is shown."""
        self._out = out
        self._terminal = terminal
        self._live = live
        self._bar = bar
        self._actions = actions
        self._question: str | None = None
        self._armed = False
        """Whether the question takes what is typed."""
        self._answer: str | None = None
        self._answered = anyio.Event()
        self._closed = False
        self._last_key = 0.0
        self._lines: list[str] = []
        self._started: Callable[[], None] | None = None
        self._gone = anyio.Event()
        self._suspended = False
        self._draft = Buffer(
            name="draft",
            history=InMemoryHistory(),
            completer=CommandCompleter(commands),
            multiline=False,
            accept_handler=self._said,
            on_text_changed=lambda _: self._typed(),
        )
        self._reply = Buffer(name="answer", multiline=False, accept_handler=self._replied)
        self._app = self._application()
        live.changed = self._app.invalidate

    def _application(self) -> InlineApplication:
        asked = Condition(lambda: self._question is not None)
        # What is half typed stays there until the question takes the keys.
        armed = Condition(lambda: self._armed or (self._question is not None and not self._draft.text))
        prompt = Window(
            BufferControl(self._draft, input_processors=[BeforeInput(PROMPT, style="bold")]),
            wrap_lines=True,
            height=Dimension(min=1, max=_MAX_INPUT_ROWS),
            dont_extend_height=True,
        )
        self._prompt = prompt
        unarmed = Window(FormattedTextControl(lambda: self._question or ""), wrap_lines=True, dont_extend_height=True)
        self._asked = Window(
            BufferControl(self._reply, input_processors=[BeforeInput(lambda: self._question or "", style="bold")]),
            wrap_lines=True,
            height=Dimension(min=1),
            dont_extend_height=True,
        )
        body = HSplit(
            [
                ConditionalContainer(
                    Window(FormattedTextControl(self._above), dont_extend_height=True), Condition(self._has_live)
                ),
                ConditionalContainer(unarmed, asked & ~armed),
                ConditionalContainer(self._asked, armed),
                ConditionalContainer(prompt, ~armed),
                CompletionsMenu(max_height=8),
                Window(FormattedTextControl(self._bar_text), height=1, dont_extend_height=True),
            ],
            align=VerticalAlign.TOP,
        )
        app = InlineApplication(
            Layout(body, focused_element=prompt),
            key_bindings=bindings(self._actions, suspend=self.suspend, asking=lambda: self._armed),
            input=make_input(),
            output=make_output(self._out),
            erase_when_done=True,
            min_redraw_interval=FRAME_SECONDS,
            before_render=lambda _: self._before_render(),
            after_render=lambda _: self._after_render(),
        )
        app.ttimeoutlen = app.timeoutlen = ESCAPE_SECONDS
        return app

    # Running

    async def run(self, *, task_status: "TaskStatus[None]" = anyio.TASK_STATUS_IGNORED) -> None:
        """Draw until ``close``."""
        self._terminal.leave = self._leave
        self._started = task_status.started
        try:
            await self._app.run_async(handle_sigint=False, set_exception_handler=False)
        except (EOFError, OSError):
            self._actions.end()  # the terminal is gone
        finally:
            self._terminal.leave = None
            self._gone.set()
            self._write_pending()

    async def tick(self) -> None:
        """Let the times go on that are shown."""
        while True:
            await anyio.sleep(_TICK_SECONDS if self._bar.ticks else 1.0)
            self._app.invalidate()

    async def close(self) -> None:
        """Take what is drawn off the screen, and wait until it is."""
        self.close_question()
        if self._app.is_running and self._app.future is not None and not self._app.future.done():
            self._app.exit()
            await self._gone.wait()

    def _leave(self) -> None:
        """Leave the terminal without a word, as nothing of ours runs any more."""
        try:
            self._app.renderer.erase()
        except OSError:
            pass

    def suspend(self) -> None:
        """Let the shell have the terminal."""
        self._suspended = True
        self._app.suspend_to_background()

    def resumed(self) -> None:
        """Take the terminal again, which the shell has had."""
        self._terminal.take_again()
        if not self._suspended:  # it was stopped without a word, so nothing draws it again
            self._app.renderer.reset()
        self._suspended = False
        self._app.invalidate()

    # Drawing

    def _before_render(self) -> None:
        """Write the finished lines above; what is drawn below is drawn again."""
        size = self._app.output.get_size()
        rows = max(size.rows - _MAX_INPUT_ROWS - 2, 1)
        self._lines = self._live.lines(size.columns, rows)
        screen = self._app.renderer.last_rendered_screen
        wanted = self._app.layout.container.preferred_height(size.columns, size.rows).preferred
        finished = self._live.take()
        if finished or (screen is not None and screen.height > wanted):
            self._app.renderer.erase()
        if finished:
            self._app.output.write_raw("".join(f"{line}\r\n" for line in finished))

    def _after_render(self) -> None:
        if self._started is not None:
            started, self._started = self._started, None
            self._terminal.remember()
            started()
        if self._question is not None and not self._armed:
            self._arm()

    def _write_pending(self) -> None:
        for line in self._live.take():
            try:
                self._out.line(line)
            except (OutputClosed, Problem):
                return  # the terminal is gone

    def _above(self) -> ANSI:
        queued = self.queued[:_QUEUED_SHOWN]
        more = len(self.queued) - len(queued)
        return ANSI("\n".join([*self._lines, *self._live.queue_lines(queued, more)]))

    def _has_live(self) -> bool:
        return bool(self._lines or self.queued)

    def _bar_text(self) -> ANSI:
        return ANSI(self._bar.line(self._app.output.get_size().columns))

    # What the user says

    def _typed(self) -> None:
        self._last_key = time.monotonic()
        self._actions.typed()

    def _said(self, buffer: Buffer) -> bool:
        text = buffer.text.encode("utf-8", "replace").decode()
        if text.strip():
            self.on_line(text)
        return False

    @property
    def draft(self) -> str:
        """What is typed and not sent."""
        return self._draft.text

    # Questions

    async def question(self, text: str, *, default: str = "") -> str | None:
        """Return an answer; None at the end.

        Raises:
            QuestionClosed: ``close_question`` was called meanwhile.
        """
        self._question, self._answer, self._closed = clean(text), None, False
        self._answered = anyio.Event()
        self._reply.text = default
        self._reply.cursor_position = len(default)
        self._bar.asking = True
        self._app.invalidate()
        try:
            await self._answered.wait()
        finally:
            self._take_off()
        if self._closed:
            raise QuestionClosed
        return self._answer

    def _arm(self) -> None:
        """Let the question, which has just been drawn, take what is typed from now on."""
        if self._draft.text and time.monotonic() - self._last_key < _TYPING_SECONDS:
            return  # the next tick tries again
        self._terminal.forget_typed()
        self._armed = True
        self._app.layout.focus(self._reply)
        self._app.invalidate()

    def _replied(self, buffer: Buffer) -> bool:
        self._answer = buffer.text
        self._disarm()
        return False

    def _disarm(self) -> None:
        """Let the answer be the last thing that was typed to this question."""
        if self._armed:
            self._app.key_processor.empty_queue()
            self._terminal.forget_typed()
        self._take_off()
        self._answered.set()

    def _take_off(self) -> None:
        self._question, self._armed, self._bar.asking = None, False, False
        self._app.layout.focus(self._draft)
        self._app.invalidate()

    def close_question(self) -> None:
        """Take the question back, where one is asked."""
        if self._question is not None:
            self._closed = True
            self._disarm()
