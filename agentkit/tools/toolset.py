"""Toolset: several tools that share a state and a lifetime, and may change while a session runs."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Protocol, Self

from agentkit.tools.tool import Tool


class ToolsetUser(Protocol):
    """What a toolset tells those who use it, as a session does."""

    def tools_changed(self, toolset: "Toolset") -> None:
        """``toolset.tools()`` gives others now."""

    def notice(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        """Tell a person something in one line."""


class Toolset:
    """Tools that share a state and a lifetime.

    A subclass says its tools in ``tools`` (as ``[tool(self.add), tool(self.total)]``) and opens what they need in
    ``running``. A session opens those that it is given, and closes them again; one that several sessions share is held
    open around them by ``async with``::

        async with Inventory(path) as inventory:
            async with agentkit.open(provider, tools=[inventory]) as session: ...
    """

    optional: bool = False
    """Whether a session starts without it, with a notice, where it cannot be opened."""

    @property
    def name(self) -> str:
        """Its name in messages."""
        return type(self).__name__

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold what the tools need (files, clients, processes) open."""
        yield

    def tools(self) -> "Sequence[Tool[..., object]]":
        """Return the tools as they are now; asked once it is open, and after each ``changed``."""
        raise NotImplementedError(f"{type(self).__name__} has to say its tools()")

    def changed(self) -> None:
        """Tell the sessions that ``tools`` gives others now; each takes them over before its next response."""
        for user in tuple(self._users):
            user.tools_changed(self)

    def notice(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        """Tell a person something in one line, by every session that uses the toolset."""
        for user in tuple(self._users):
            user.notice(code, message, level=level, hint=hint)

    # Who uses it

    lent: bool = False
    """Whether a session has opened it, which closes it again: no other can use it then."""
    _open: AbstractAsyncContextManager[None] | None = None

    @property
    def _users(self) -> list[ToolsetUser]:
        users: list[ToolsetUser] = self.__dict__.setdefault("_toolset_users", [])
        return users

    @property
    def is_open(self) -> bool:
        """Whether somebody holds it open."""
        return self._open is not None

    def attach(self, user: ToolsetUser) -> Callable[[], None]:
        """Tell somebody of changes and notices from now on; returns what stops that."""
        self._users.append(user)
        return lambda: self._users.remove(user)

    async def __aenter__(self) -> Self:
        if self._open is not None:
            raise RuntimeError(f"toolset {self.name} is open already")
        self._open = self.running()
        try:
            await self._open.__aenter__()
        except BaseException:
            self._open, self.lent = None, False
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        held, self._open = self._open, None
        self.lent = False
        assert held is not None
        return await held.__aexit__(kind, error, trace)
