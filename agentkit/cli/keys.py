"""What is typed into the inline interface: its key bindings, and what Tab completes."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from prompt_toolkit.completion import Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings

if TYPE_CHECKING:
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.key_binding import KeyPressEvent

ESCAPE_SECONDS: Final = 0.1
"""How long after Esc another key makes a combination of it."""
FILE_COMMANDS: Final = ("/image", "/save")
CHOICES: Final = {"/approve": ("ask", "all", "none")}
"""What may stand behind a command."""


class Actions(NamedTuple):
    """What keys do; each is called in the event loop."""

    interrupt: Callable[[], None]
    """Ctrl-C, where there is no text to clear."""
    stop: Callable[[], None]
    """Esc."""
    end: Callable[[], None]
    """Ctrl-D on an empty line."""
    keys: Callable[[], None]
    """``?`` on an empty line."""
    voice: Callable[[], None]
    """Ctrl-T and Ctrl-O, which only a session with sound has."""
    typed: Callable[[], None]
    """Any key that changes the draft."""


def bindings(actions: Actions, *, suspend: Callable[[], None], asking: Callable[[], bool]) -> KeyBindings:
    """Return the bindings.

    Args:
        actions: What they do.
        suspend: Ctrl-Z.
        asking: Tells whether a question is being answered: what was typed is not cleared by Ctrl-C then.
    """
    keys = KeyBindings()

    @keys.add("c-c")
    def interrupt(event: "KeyPressEvent") -> None:
        if event.current_buffer.text and not asking():
            event.current_buffer.reset()
        else:
            actions.interrupt()

    @keys.add("c-d")
    def end(event: "KeyPressEvent") -> None:
        if event.current_buffer.text:
            event.current_buffer.delete()
        else:
            actions.end()

    @keys.add("escape")
    def stop(event: "KeyPressEvent") -> None:
        if event.current_buffer.complete_state is not None:
            event.current_buffer.cancel_completion()
        else:
            actions.stop()

    @keys.add("escape", "enter")
    def newline(event: "KeyPressEvent") -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("enter")
    def accept(event: "KeyPressEvent") -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion is not None:
            buffer.complete_state = None  # it is in the text already
        else:
            buffer.validate_and_handle()

    @keys.add("tab")
    def complete(event: "KeyPressEvent") -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None:
            buffer.complete_next()
        else:
            buffer.start_completion(insert_common_part=True)

    @keys.add("?", filter=Condition(lambda: not asking()))
    def help_(event: "KeyPressEvent") -> None:
        if event.current_buffer.text:
            event.current_buffer.insert_text("?")
        else:
            actions.keys()

    @keys.add("c-t")
    @keys.add("c-o")
    def voice(event: "KeyPressEvent") -> None:
        actions.voice()

    @keys.add("c-z")
    def sleep(event: "KeyPressEvent") -> None:
        suspend()

    return keys


class CommandCompleter(Completer):
    """Completes slash commands, and files behind those that take one."""

    def __init__(self, commands: Mapping[str, str]) -> None:
        """Make it.

        Args:
            commands: What each does, by its name with the slash.
        """
        self._commands = commands
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: "CompleteEvent") -> Iterable[Completion]:
        """Return what fits."""
        text = document.text_before_cursor
        command, space, rest = text.partition(" ")
        if space and command in FILE_COMMANDS:
            yield from self._paths.get_completions(Document(rest, len(rest)), complete_event)
        elif space:
            for choice in CHOICES.get(command, ()):
                if choice.startswith(rest):
                    yield Completion(choice, start_position=-len(rest))
        elif text.startswith("/"):
            for name, what in self._commands.items():
                if name.startswith(text):
                    yield Completion(name, start_position=-len(text), display_meta=what)
