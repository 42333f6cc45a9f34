"""What a session asks of the server for itself: its settings, and the tools that it offers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeAlias

from msgspec.structs import replace

from agentkit.errors import AgentkitError, LocalProtocolError, RemoteProtocolError
from agentkit.events import AnyServerSession, AnySettings, FunctionTool, Settings, ToolDefinition
from agentkit.session.listening import Listening
from agentkit.session.updates import UpdateWaiter
from agentkit.tools import Tool, Toolset

UPDATE_SECONDS = 10.0
Tools: TypeAlias = "Mapping[str, Tool[..., object] | FunctionTool]"


class Offering(Listening):
    """A session's settings and tools."""

    @property
    def settings(self) -> AnyServerSession | None:
        """The settings in force, as the server confirmed them last."""
        return self._core.settings.confirmed

    async def update(self, settings: AnySettings, *, timeout: float = UPDATE_SECONDS) -> None:
        """Change settings, and wait until the server confirms them; only what differs is sent.

        Raises:
            ServerError: The server refused them; ``param`` names the field.
            RemoteProtocolError: The server did not answer in time; where they are still to be sent, they are not.
        """
        await self._update(settings, timeout)

    async def _update(
        self, settings: AnySettings, seconds: float, ended: Callable[[BaseException | None], None] | None = None
    ) -> None:
        event_id = self._core.next_id()
        waiter = self._updates.expect(event_id, ended)
        try:
            with self._updates.patience(seconds, "session.updated"):
                await self._command(self._core.update(settings, event_id))
                await waiter.wait()
        except RemoteProtocolError:
            self._core.settings.withdraw(event_id)
            if self._core.recovery.away:
                self._updates.forget(event_id)
            else:
                self.start_soon(self._answered_late, waiter)
            raise
        except BaseException:
            self._updates.forget(event_id)
            raise

    async def _answered_late(self, waiter: UpdateWaiter) -> None:
        """Ask for what is in force, where the server has confirmed after all what was taken back."""
        try:
            await waiter.wait()
        except AgentkitError:  # it was refused, or the session is over
            return
        if isinstance(self.settings, Settings):
            await self.update(self._in_force())

    # Tools

    @property
    def tools(self) -> "dict[str, Tool[..., object] | FunctionTool]":
        """The session's tools by name."""
        return dict(self.calls.tools)

    def tool_definitions(self) -> tuple[FunctionTool, ...]:
        """Return the session's tools as the model sees them."""
        return self.calls.definitions(examples=self.provider.wants_examples)

    def _with_tools(self, settings: AnySettings | None) -> AnySettings | None:
        if not self.calls.tools:
            return settings
        if settings is not None and not isinstance(settings, Settings):
            return settings  # a transcription session has no responses, so no tools
        own = self.tool_definitions()
        given = settings.tools if settings is not None and isinstance(settings.tools, tuple) else ()
        return replace(settings or Settings(), tools=(*own, *given))

    async def add_tool(self, tool: "Tool[..., object] | FunctionTool") -> None:
        """Offer another tool, as ``set_tools`` does.

        Args:
            tool: The tool; a ``FunctionTool`` has no body, so its calls are answered by ``answer``.

        Raises:
            LocalProtocolError: There is a tool of this name.
        """

        def added(tools: Tools) -> Tools:
            if not tool.name or tool.name in tools:
                raise LocalProtocolError(f"there is a tool called {tool.name!r} already; remove or replace it")
            return {**tools, tool.name: tool}

        await self._change_tools(added)

    async def remove_tool(self, name: str) -> None:
        """Take a tool away, as ``set_tools`` does.

        Raises:
            LocalProtocolError: There is no tool of this name.
        """

        def removed(tools: Tools) -> Tools:
            _known(name, tools)
            return {known: tool for known, tool in tools.items() if known != name}

        await self._change_tools(removed)

    async def replace_tool(self, tool: "Tool[..., object] | FunctionTool") -> None:
        """Put a tool in the place of the one of the same name, as ``set_tools`` does.

        Raises:
            LocalProtocolError: There is no tool of this name.
        """

        def replaced(tools: Tools) -> Tools:
            _known(tool.name or "", tools)
            return {name: tool if name == tool.name else known for name, known in tools.items()}

        await self._change_tools(replaced)

    async def set_tools(self, tools: "Sequence[Tool[..., object] | FunctionTool]") -> None:
        """Offer these tools, and no others of ours, from the next response on: one update for all.

        The next response waits until the server has confirmed them. A call that has begun goes on with the tool that it
        began with; where the server refuses them, the tools stay as they were.

        Raises:
            ServerError: The server refused them.
            RemoteProtocolError: The server did not answer in time.
        """
        wanted = {tool.name: tool for tool in tools if tool.name}
        await self._change_tools(lambda _: wanted)

    async def _change_tools(self, change: Callable[[Tools], Tools]) -> None:
        ours = self.calls
        before = dict(ours.tools)
        wanted = dict(change(before))
        ours.tools = dict(wanted)
        try:
            with self._before_next_response():
                await self.update(Settings(tools=self._declarations()))
        except AgentkitError:  # a caller who is cancelled has asked all the same
            # only what this call did is undone: another one may have come meanwhile
            for name in wanted.keys() - before.keys():
                ours.tools.pop(name, None)
            ours.tools.update({name: tool for name, tool in before.items() if wanted.get(name) is not tool})
            raise

    def _declarations(self) -> tuple[ToolDefinition, ...]:
        """Return our tools, and what else is declared."""
        declared = self._core.settings.tools()
        foreign = [tool for tool in declared if getattr(tool, "name", None) not in self.calls.offered]
        return (*self.tool_definitions(), *foreign)

    def _in_force(self) -> Settings:
        """Return what the server has to know of the tools that there are."""
        return Settings(tools=self._declarations())

    @contextmanager
    def _before_next_response(self) -> Iterator[None]:
        """Hold the next response back."""
        responses = self._core.responses
        responses.changes += 1
        try:
            yield
        finally:
            responses.changes -= 1
            if self.ended is None:
                self.start_soon(self._apply, responses.release())

    def tools_changed(self, toolset: Toolset) -> None:
        """Take over the tools that a toolset gives now, before the next response."""
        if self.ended is not None:
            return
        held = ExitStack()
        held.enter_context(self._before_next_response())
        self._changed_toolsets.add(toolset)
        self.start_soon(self._take_over, toolset, held)

    async def _take_over(self, toolset: Toolset, held: ExitStack) -> None:
        with held:
            async with self._taking_over:
                if toolset in self._changed_toolsets:  # else one that waited before has taken over this change too
                    self._changed_toolsets.discard(toolset)
                    if toolset in self._of_toolsets:  # else it is not offered now
                        await self._take_over_now(toolset)

    async def _take_over_now(self, toolset: Toolset) -> None:
        before = self._of_toolsets.get(toolset, frozenset())

        def taken_over(tools: Tools) -> Tools:
            kept = {name: tool for name, tool in tools.items() if name not in before}
            given = {tool.name: tool for tool in toolset.tools()}
            for name in kept.keys() & given.keys():
                self.notice(
                    "tool_hidden", f"toolset {toolset.name} gives {name}, which there is already; it is left out"
                )
                del given[name]
            self._of_toolsets[toolset] = frozenset(given)
            return {**kept, **given}

        while True:
            try:
                await self._change_tools(taken_over)
            except AgentkitError as exc:
                self._of_toolsets[toolset] = before
                if self.ended is None and self._core.recovery.away and isinstance(exc, RemoteProtocolError):
                    continue  # the next connection is asked, whenever it comes
                raise
            return


def _known(name: str, tools: Tools) -> None:
    if name not in tools:
        raise LocalProtocolError(f"there is no tool called {name!r}; known: {', '.join(tools) or 'none'}")
