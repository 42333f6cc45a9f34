"""The prompts of a terminal: the line for what the user says, and questions that come up whatever else is there.

Rule: a terminal that takes no escapes (TERM=dumb, NO_COLOR, --color never) gets plain lines and no line editor.
"""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import IO, TYPE_CHECKING, Final, Protocol

import anyio

from agentkit.cli.approvals import QuestionClosed
from agentkit.cli.inputs import LineReader
from agentkit.cli.output import Out
from agentkit.cli.terminal import Face, TerminalState, cells

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.output import Output

PROMPT: Final = "> "


class Surface(Protocol):
    """What is around a prompt."""

    prompting: bool
    """Whether a prompt is there: whole lines only, then."""

    def settle(self) -> None:
        """End what is open, so that a prompt can follow."""

    def tell(self, text: str) -> None:
        """Show lines of our own."""


class Bare:
    """Nothing but a stream."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.prompting = False

    def settle(self) -> None:
        """Nothing is open."""

    def tell(self, text: str) -> None:
        """Write lines."""
        self._stream.write(text + "\n")
        self._stream.flush()


class Prompt(Protocol):
    """Asks for lines."""

    async def ask(self) -> str | None:
        """Return what the user says; None at the end."""

    async def question(self, text: str, *, default: str = "") -> str | None:
        """Return an answer; None at the end.

        Raises:
            QuestionClosed: ``close_question`` was called meanwhile.
        """

    def close_question(self) -> None:
        """Take the question back, where one is asked."""


class Turns:
    """Questions come before what the user says, and one after the other."""

    def __init__(self) -> None:
        self._free = anyio.Event()
        self._free.set()

    async def free(self) -> None:
        """Wait until no question is asked."""
        while not self._free.is_set():
            await self._free.wait()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a question."""
        self._free = anyio.Event()
        try:
            yield
        finally:
            self._free.set()


class PlainPrompt:
    """Reads lines as the terminal gives them."""

    def __init__(self, surface: Surface, terminal: TerminalState, reader: LineReader, stream: IO[str]) -> None:
        self._surface = surface
        self._terminal = terminal
        self._reader = reader
        self._stream = stream
        self._turns = Turns()
        self._shown: list[str] = []
        """The prompts that wait, the one on the screen last."""
        self._scope = anyio.CancelScope()

    async def ask(self) -> str | None:
        """Return what was typed; None at the end."""
        await self._turns.free()
        return await self._line(PROMPT)

    async def question(self, text: str, *, default: str = "") -> str | None:
        """Return an answer; None at the end."""
        self._surface.settle()
        self._terminal.forget_typed()
        self._reader.forget()
        if default:
            self._surface.tell(f"  they are {default}\n  write them anew as JSON, or nothing to leave them")
        with self._turns.taken(), self._terminal.asking(), anyio.CancelScope() as self._scope:
            return await self._line(text)
        raise QuestionClosed

    def close_question(self) -> None:
        """Take the question back, where one is asked."""
        self._scope.cancel()

    async def _line(self, text: str) -> str | None:
        line = None
        with self._on_screen(text):
            try:
                line = await self._reader.line()
            finally:
                if line is None:
                    self._write("\n")
        return line

    @contextmanager
    def _on_screen(self, text: str) -> Iterator[None]:
        """Show a prompt, over the one that is there; what is written meanwhile appears above it."""
        covered = " " * cells(self._shown[-1]) if self._shown else ""
        self._write(f"\r{covered}\r{text}" if covered else text)
        self._shown.append(text)
        streams = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = above = Above(self._stream, text)
        self._surface.prompting = True
        try:
            yield
        finally:
            sys.stdout, sys.stderr = streams
            self._shown.remove(text)
            self._surface.prompting = bool(self._shown)
            above.finish()
            if self._shown:
                self._write(self._shown[-1])

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class Above(Face):
    """Writes whole lines above a prompt that is on the screen, which it shows again below them."""

    def __init__(self, stream: IO[str], prompt: str) -> None:
        super().__init__(stream)
        self._prompt = prompt
        self._rest = ""

    def write(self, text: str) -> int:
        """Write what is whole."""
        lines, newline, self._rest = (self._rest + text).rpartition("\n")
        if newline:
            self._stream.write(f"\r{' ' * cells(self._prompt)}\r{lines}\n{self._prompt}")
            self._stream.flush()
        return len(text)

    def finish(self) -> None:
        """Write what is left."""
        if self._rest:
            self._stream.write(f"{self._rest}\n")
            self._rest = ""


class EditedPrompt:
    """Reads lines with history and editing; what is written meanwhile appears above."""

    def __init__(
        self,
        surface: Surface,
        terminal: TerminalState,
        out: Out,
        *,
        commands: "Sequence[str]",
        interrupt: "Callable[[], None]",
    ) -> None:
        """Make it.

        Args:
            surface: What is around it.
            terminal: Its settings.
            out: Where it writes.
            commands: What Tab completes.
            interrupt: Called at a Ctrl-C that has no text to clear.
        """
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.history import InMemoryHistory
        from prompt_toolkit.input import create_input
        from prompt_toolkit.shortcuts import CompleteStyle

        self._surface = surface
        self._terminal = terminal
        self._turns = Turns()
        self._interrupt = interrupt
        self._suspended = False
        self._closed = False
        self._gone = anyio.Event()
        """Set when the line for what the user says is not on the screen."""
        self._gone.set()
        keyboard, output = create_input(sys.stdin), _output(out)
        self._session: PromptSession[str | None] = PromptSession(
            history=InMemoryHistory(),
            key_bindings=self._keys(clears=True),
            completer=WordCompleter(list(commands), sentence=True),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            reserve_space_for_menu=0,
            input=keyboard,
            output=output,
        )
        self._questions: PromptSession[str | None] = PromptSession(
            history=InMemoryHistory(), key_bindings=self._keys(clears=False), input=keyboard, output=output
        )

    def _keys(self, *, clears: bool) -> "KeyBindings":
        from prompt_toolkit.key_binding import KeyBindings

        keys = KeyBindings()

        @keys.add("c-c")
        def interrupted(event: "KeyPressEvent") -> None:
            buffer = event.current_buffer
            if buffer.text and clears:
                buffer.reset()
            else:
                self._interrupt()

        @keys.add("c-d")
        def ended(event: "KeyPressEvent") -> None:
            if event.current_buffer.text:
                event.current_buffer.delete()
            else:
                event.app.exit(result=None)

        return keys

    async def ask(self) -> str | None:
        """Return what was typed; None at the end."""
        kept = ""
        while True:
            await self._turns.free()
            self._suspended = False
            self._gone = anyio.Event()
            try:
                async with self._on_screen():
                    line = await self._session.prompt_async(PROMPT, default=kept, handle_sigint=False)
            finally:
                self._session.app.erase_when_done = False
                self._gone.set()
            if not self._suspended:
                return line
            kept = self._session.default_buffer.text

    async def question(self, text: str, *, default: str = "") -> str | None:
        """Return an answer; None at the end."""
        self._closed = False
        with self._turns.taken(), self._terminal.asking():
            self._suspend()
            await self._gone.wait()
            if self._closed:
                raise QuestionClosed
            self._surface.settle()
            self._terminal.forget_typed()
            async with self._on_screen():
                line = await self._questions.prompt_async(text, default=default, handle_sigint=False)
        if self._closed:
            raise QuestionClosed
        return line

    def close_question(self) -> None:
        """Take the question back, where one is asked."""
        self._closed = True
        _leave(self._questions)

    def _suspend(self) -> None:
        """Take the line for what the user says off the screen, with what was typed of it."""
        if not self._gone.is_set() and _leave(self._session, erase=True):
            self._suspended = True

    @asynccontextmanager
    async def _on_screen(self) -> AsyncIterator[None]:
        from prompt_toolkit.patch_stdout import patch_stdout

        with patch_stdout(raw=True):
            self._surface.prompting = True
            try:
                yield
            finally:
                self._surface.prompting = False


def _leave(session: "PromptSession[str | None]", *, erase: bool = False) -> bool:
    """End a prompt without an answer, where it still waits for one; tell whether it did."""
    app = session.app
    if not app.is_running or app.future is None or app.future.done():
        return False
    app.erase_when_done = erase
    app.exit(result=None)
    return True


def _output(out: Out) -> "Output":
    if sys.platform == "win32":
        from prompt_toolkit.output import create_output

        return create_output(stdout=out.stream)
    import os
    import shutil

    from prompt_toolkit.data_structures import Size
    from prompt_toolkit.output.vt100 import Vt100_Output

    def size() -> Size:
        found = shutil.get_terminal_size()
        return Size(rows=found.lines, columns=found.columns)

    # Without asking for the cursor's position: a late answer would end up in the shell after us.
    return Vt100_Output(out.stream, size, term=os.environ.get("TERM"), enable_cpr=False)
