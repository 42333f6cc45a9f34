"""A turn: everything the agent does in answer to one input, tool rounds included."""

from agentkit.events import Response, Usage


class TurnState:
    """One turn, in the hands of one at a time: a wanted response, an active one, or one whose outputs are due.

    Where the reply to a call is ``speak``, it is in the hands of several, and ends with the last of them.
    """

    __slots__ = (
        "calls",
        "error",
        "invalid",
        "output_begun",
        "response_ids",
        "retries",
        "shares",
        "status",
        "texts",
        "tokens",
        "usage",
        "usages",
    )

    def __init__(self, token: str) -> None:
        self.tokens = {token}
        """Event ids of the ``response.create`` that wanted this turn, or ``auto:`` and a response's id."""
        self.status = "completed"
        self.texts: list[str] = []
        self.response_ids: list[str] = []
        self.calls: list[str] = []
        """Call ids, in the order in which they were announced."""
        self.usage = Usage()
        self.usages: list[Usage] = []
        """What was told of each of its responses, by kinds of tokens."""
        self.output_begun = False
        self.retries = 0
        self.invalid = 0
        """Calls whose arguments did not fit."""
        self.shares = 0
        """How many besides the one hold it: responses that speak a result while others are awaited."""
        self.error: BaseException | None = None

    @property
    def text(self) -> str:
        """All the text and transcripts of the turn's messages."""
        return "\n".join(self.texts)

    def count(self, response_id: str, told: Response, texts: list[str]) -> None:
        """Take a finished response's status, texts and tokens into account."""
        self.response_ids.append(response_id)
        self.status = told.status or "completed"
        self.texts += [text for text in texts if text]
        if told.usage is not None:
            self.usage = _sum(self.usage, told.usage)
            self.usages.append(told.usage)


def _sum(a: Usage, b: Usage) -> Usage:
    return Usage(
        total_tokens=_add(a.total_tokens, b.total_tokens),
        input_tokens=_add(a.input_tokens, b.input_tokens),
        output_tokens=_add(a.output_tokens, b.output_tokens),
    )


def _add(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else a + b
