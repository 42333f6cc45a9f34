"""What is told of a kept conversation that is gone on with: its size, and what was said last."""

from typing import TYPE_CHECKING, Final, NamedTuple

from agentkit.cli.terminal import one_line

if TYPE_CHECKING:
    from agentkit.cli.store import Kept

_MAX_QUESTION: Final = 60


class Before(NamedTuple):
    """The end of a conversation."""

    id: str
    turns: int
    question: str
    """What the user has said last; empty where that is not known in words."""
    answer: str
    """What the agent has said after it."""

    def line(self, dot: str, more: str) -> str:
        """Return the conversation in a line.

        Args:
            dot: Stands between its parts.
            more: Stands for what is cut off.
        """
        parts = [f"continues {one_line(self.id)}", f"{self.turns} turn{'s' * (self.turns != 1)}"]
        asked = one_line(self.question)
        if asked:
            asked = asked if len(asked) <= _MAX_QUESTION else asked[:_MAX_QUESTION].rstrip() + more
            parts.append(f'last: "{asked}"')
        return f" {dot} ".join(parts)


def before(kept: "Kept") -> Before:
    """Return the end of a kept conversation.

    Raises:
        Problem: It cannot be read.
    """
    from agentkit.events import MessageItem

    question = answer = ""
    for entry in kept.snapshot().entries:
        item = entry.item
        if not isinstance(item, MessageItem) or not item.text.strip():
            continue
        if item.role == "user":
            question, answer = item.text, ""
        elif item.role == "assistant":
            answer = item.text
    return Before(kept.meta.id, kept.meta.turns, question, answer)
