"""A user that speaks, and what was said, for tests."""

import anyio

from agentkit.errors import SessionClosedError
from agentkit.events import FunctionCallItem, FunctionCallOutputItem, MessageItem, TurnCompleted
from agentkit.session import Session
from agentkit.testing.sounds import silence, speech

PAUSE_SECONDS = 1.0
"""How long a user is silent at the end of a turn; turn detection asks for half of it."""


async def say(session: Session, text: str, *, timeout: float | None = None) -> TurnCompleted:
    """Speak a text to a session, in tones, and wait for the end of the turn that answers it.

    The server has to hear tones, as ``Local(speech="tones")`` does, or to be a ``FakeServer``, which hears nothing.
    Where the server does not detect turns, the audio is committed and a response asked for.

    Args:
        session: Whom to speak to.
        text: What to say.
        timeout: Seconds to wait at most.

    Raises:
        TimeoutError: The turn took longer.
        ConnectionLostError: The connection was lost first.
        SessionClosedError: The session was closed first.
    """
    format = session.input_format
    with session.subscribe(TurnCompleted) as turns:
        await session.append_audio(speech(text, format=format) + silence(PAUSE_SECONDS, format=format))
        await session.commit()
        with anyio.fail_after(timeout):
            async for turn in turns:
                return turn
    raise SessionClosedError("the session ended before it answered what was said")


class Transcript:
    """What was said and done in a session so far, a line each.

    ``user: ...`` and ``agent: ...`` are messages, ``call: name({...})`` and ``output: ...`` a tool's. A ``FakeServer``
    has to confirm what the client adds, as it does while answers are planned.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def lines(self) -> list[str]:
        """Every message, call and output, in the order of the conversation."""
        lines = []
        for item in self._session.history.items():
            match item:
                case MessageItem():
                    lines.append(f"{'agent' if item.role == 'assistant' else item.role}: {item.text}")
                case FunctionCallItem():
                    lines.append(f"call: {item.name}({item.arguments})")
                case FunctionCallOutputItem():
                    lines.append(f"output: {item.output}")
        return lines

    @property
    def user(self) -> list[str]:
        """What the user said, a message each."""
        return self._messages("user")

    @property
    def agent(self) -> list[str]:
        """What the agent said, a message each."""
        return self._messages("assistant")

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def _messages(self, role: str) -> list[str]:
        items = self._session.history.items()
        return [item.text for item in items if isinstance(item, MessageItem) and item.role == role]
