"""The terminal as prompt_toolkit draws on it: its streams, and what happens where its size changes.

Rule: the cursor's position is never asked for, since a late answer would end up in the shell after us.
"""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import create_input
from prompt_toolkit.output import create_output
from prompt_toolkit.output.vt100 import Vt100_Output

from agentkit.cli.terminal import size_of

if TYPE_CHECKING:
    from prompt_toolkit.input import Input
    from prompt_toolkit.layout.screen import Screen
    from prompt_toolkit.output import Output

    from agentkit.cli.output import Out


def make_input() -> "Input":
    """Return the keyboard."""
    return create_input(sys.stdin)


def make_output(out: "Out") -> "Output":
    """Return the screen."""
    if sys.platform == "win32":
        return create_output(stdout=out.stream)

    def size() -> Size:
        found = size_of(out.stream)
        return Size(rows=found.lines, columns=found.columns)

    return Vt100_Output(out.stream, size, term=os.environ.get("TERM"), enable_cpr=False)


def reflows(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the terminal breaks lines anew that have become too long for it, as most do now."""
    if environ.get("TMUX"):
        return True
    return not environ.get("XTERM_VERSION") and not environ.get("TERM", "").startswith(("linux", "rxvt", "screen"))


class InlineApplication(Application[None]):
    """An application below lines that scroll, which leaves nothing behind where the terminal becomes narrower."""

    def _on_resize(self) -> None:
        screen = self.renderer.last_rendered_screen
        if screen is not None and reflows():
            more = rows_more(screen, self.output.get_size().columns)
            if more:
                self.output.cursor_up(more)
        super()._on_resize()


def rows_more(screen: "Screen", columns: int) -> int:
    """How many rows the cursor has gone down since its lines were broken anew, to so many columns."""
    cursor = next(iter(screen.cursor_positions.values()), None)
    if cursor is None:
        return 0
    more = cursor.x // columns
    for index in range(cursor.y):
        row = screen.data_buffer[index]
        width = max((column for column, cell in row.items() if cell.char != " "), default=0) + 1
        more += (width - 1) // columns
    return more
