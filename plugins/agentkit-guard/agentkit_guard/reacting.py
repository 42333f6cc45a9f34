"""What a guard does once it has found something: tell a person, cut the agent off, say something instead."""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import anyio
from msgspec.structs import replace

from agentkit import Middleware, ResponseSettings
from agentkit.events import Response, ResponseCreate
from agentkit.local import SAY_EXACTLY

Action: TypeAlias = Literal["interrupt", "replace", "warn"]
"""``interrupt``: stop it, and say something instead; ``replace``: put something in its place; ``warn``: only tell."""
SAY_SECONDS: Final = 30.0
"""How long saying something instead may take, before the guard goes on."""
REMEMBERED: Final = 1024
"""Ids that a guard remembers."""


class Remembered(dict[str, None]):
    """A set of ids that forgets the oldest."""

    def note(self, name: str) -> bool:
        """Remember an id; return whether it is new."""
        if name in self:
            return False
        self[name] = None
        if len(self) > REMEMBERED:
            del self[next(iter(self))]
        return True

    def note_all(self, names: Iterable[str | None]) -> None:
        """Remember several, where they are any."""
        for name in names:
            if name:
                self.note(name)


def refusal(create: ResponseCreate, message: str) -> ResponseCreate:
    """Make a request for a response into one that says a text."""
    return replace(create, response=ResponseSettings(instructions=f"{SAY_EXACTLY}{message}", tool_choice="none"))


def is_beside(create: ResponseCreate) -> bool:
    """Tell whether a request is for a response beside the conversation."""
    return create.response is not None and create.response.conversation == "none"


def is_aside(response: Response) -> bool:
    """Tell whether a response is one beside the conversation."""
    return response.conversation_id is None and bool(response.metadata)


def is_saying(create: ResponseCreate, message: str | None) -> bool:
    """Tell whether a request for a response is one to say this text."""
    given = create.response.instructions if create.response is not None else None
    return bool(message) and isinstance(given, str) and given.startswith(SAY_EXACTLY) and given.endswith(message or "")


class Speaker:
    """Lets the agent say something instead, one thing at a time."""

    def __init__(self, layer: Middleware, message: str | None) -> None:
        self._layer = layer
        self.message = message
        self._speaking = False

    @property
    def is_speaking(self) -> bool:
        """Whether something is being said in the place of something else."""
        return self._speaking

    def cut_off(self, *, message: str | None = None, silently: bool = False) -> None:
        """Cut the agent off, and say the guard's message, unless that is what is cut off; never waits.

        Args:
            message: What is said; None means the guard's own message.
            silently: Whether nothing is said.
        """
        self._layer.session.start_soon(self._cut_off, message, silently or self._speaking)

    async def _cut_off(self, message: str | None, silently: bool) -> None:
        await self._layer.session.interrupt()
        if not silently:
            await self.say(message)

    async def say(self, message: str | None = None) -> None:
        """Say a text, the guard's own unless given, and wait until it was said; nothing while one is being said."""
        text = message or self.message
        if not text or self._speaking:
            return
        self._speaking = True
        try:
            with anyio.move_on_after(SAY_SECONDS):
                await self._layer.session.say(text)
        finally:
            self._speaking = False
