"""Handing the conversation over from one agent of a session to another.

Rule: an agent is the instructions, the voice and the tools that are in force; the conversation, the layers and the
connection stay. The next response waits until the server has confirmed what the next agent has, and a call that a
response has made is one of the tools that this response was offered.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import MappingProxyType
from typing import Final, TypeAlias

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from agentkit.errors import AgentkitError, LocalProtocolError, RemoteProtocolError, ServerError, ToolError
from agentkit.events import (
    AnySettings,
    AudioOutput,
    AudioSettings,
    CustomVoice,
    HandedOver,
    ResponseSettings,
    ServerMcpTool,
    Settings,
    ToolDefinition,
    ToolFinished,
)
from agentkit.protocol import StartTool, TurnState
from agentkit.session.called import Outcome
from agentkit.session.members import Given, HandoffAgent, Member, Offered, members_of
from agentkit.session.offering import UPDATE_SECONDS, Offering
from agentkit.session.tooling import SAY
from agentkit.session.updates import UpdateWaiter
from agentkit.tools import Tool, ToolContext, ToolResult, Toolset

Voice: TypeAlias = str | CustomVoice | UnsetType | None

RESPONSES: Final = 64
"""Responses before a hand-over whose tools are remembered."""


class _Switching(UpdateWaiter):
    """One who waits until the conversation was handed over."""

    switched: bool | None = None
    """Whether it was; None while that is not known."""


class HandingOver(Offering):
    """A session's agents."""

    _members: Mapping[str, Member] = MappingProxyType({})
    _present: Member | None = None
    """The one that the conversation is with; None where there are no agents."""
    _opened: frozenset[Toolset] = frozenset()
    """The toolsets that could be opened."""
    _instructions: str | UnsetType | None = ""
    """What an agent has that has no instructions of its own."""
    _voice: Voice = UNSET
    """What an agent has that has no voice of its own."""
    _greetings: dict[str, str]
    """By call id of the hand-over: what is said next."""
    _offered: dict[str, dict[str, Offered]]
    """By response id, of responses that had begun when another agent took over: what they were offered."""
    _until_confirmed: dict[str, Offered] | None = None
    """What every response is still offered, while the server has not confirmed what the next agent has."""
    _voice_told = False

    def take_agents(self, agents: Sequence[HandoffAgent], common: Sequence[Given], first: str | None) -> None:
        """Take the agents of the session, before it is opened.

        Args:
            agents: The agents; with none, the session is that of one agent, and hands nothing over.
            common: The tools that each of them has.
            first: The name of the one that begins; None for the first of them.

        Raises:
            TypeError: One is no agent, or two tools of one have the same name.
            ValueError: Two agents have one name, one hands over to itself or to nobody, or there is no such first one.
        """
        self._greetings, self._offered = {}, {}
        self._members = members_of(agents, common, self._asked_by_model)
        if first is not None and first not in self._members:
            raise ValueError(f"no agent is called {first!r}; known: {', '.join(self._members) or 'none'}")
        if not self._members:
            return
        self._present = self._members[first] if first is not None else next(iter(self._members.values()))
        self.calls.tools = dict(self._present.tools)

    @property
    def agent(self) -> str | None:
        """The name of the agent that the conversation is with; None where the session was given no agents."""
        return self._present.agent.name if self._present is not None else None

    @property
    def agents(self) -> tuple[HandoffAgent, ...]:
        """The agents that the session was given."""
        return tuple(member.agent for member in self._members.values())

    @property
    def secret_arguments(self) -> dict[str, frozenset[str]]:
        """The arguments that are secret by the names of the tools that have such, those of all agents."""
        found: dict[str, frozenset[str]] = {}
        others = [member for member in self._members.values() if member is not self._present]
        for tools in (self.calls.tools, *(self._tools_of(member, _any)[0] for member in others)):
            for name, tool in tools.items():
                if isinstance(tool, Tool) and tool.policy.secret:
                    found[name] = found.get(name, frozenset()) | tool.policy.secret
        return found

    async def hand_over(self, agent: str, *, greet: bool = True, timeout: float = UPDATE_SECONDS) -> None:
        """Hand the conversation over to another agent; nothing happens where it is with that one already.

        One ``session.update`` brings its instructions, tools and voice, and the next response waits for it. What was
        begun goes on: a response, and its calls with the tools that it was offered.

        Args:
            agent: Its name.
            greet: Let it say its greeting, where it has one.
            timeout: Seconds that the server may take to confirm.

        Raises:
            LocalProtocolError: There is no such agent.
            ServerError: The server refused its settings; the conversation stays with the agent before.
            RemoteProtocolError: The server did not answer in time; the same.
        """
        target = self._members.get(agent)
        if target is None:
            known = ", ".join(self._members) or "none, as the session was given no agents"
            raise LocalProtocolError(f"no agent is called {agent!r}; known: {known}")
        await self._switch(target, timeout, greeting=target.agent.greeting if greet else None)

    async def _asked_by_model(self, member: Member, target: Member, context: ToolContext) -> object:
        """Hand over because the model has called the tool for it."""
        name, greeting = target.agent.name, target.agent.greeting
        try:
            switched = await self._switch(target, UPDATE_SECONDS, asked_by=member)
        except AgentkitError as exc:
            raise ToolError(f"the conversation could not be handed over to {name}: {exc}") from exc
        if not switched:
            return ToolResult.refused(f"the conversation was handed over to {self.agent} already")
        if not greeting:
            return f"The conversation was handed over to {name}."
        self._greetings[context.call.call_id] = greeting
        return {"handed_over_to": name, "say": greeting}

    async def _switch(
        self, target: Member, seconds: float, *, asked_by: Member | None = None, greeting: str | None = None
    ) -> bool:
        """Put an agent in the place of the one before.

        A task of the session does it: where the one who waits is cancelled, it is done, or undone, all the same.

        Args:
            target: Who takes over.
            seconds: How long the server may take to confirm.
            asked_by: Who hands over by a call, which waits for another connection where there is none; only while the
                conversation is with that one.
            greeting: What is said then.

        Returns:
            Whether the conversation is with another agent now.

        Raises:
            AgentkitError: It is not; everything is as it was.
        """
        self._check_open()
        switching = _Switching()

        async def switch() -> None:
            failed: BaseException = self._closed_error()  # where this task is cancelled: the session is over
            try:
                switching.switched = await self._switch_now(target, seconds, asked_by)
            except Exception as exc:  # noqa: BLE001  # raised again by the one who waits
                failed = exc
            finally:
                switching.finish(None if switching.switched is not None else failed)
            if switching.switched and greeting:
                self._say_soon(greeting)

        self.start_soon(switch)
        with self._before_next_response():  # what the one who waits does then comes before it too: a call's output
            await switching.wait()
        return bool(switching.switched)

    async def _switch_now(self, target: Member, seconds: float, asked_by: Member | None) -> bool:
        while True:
            try:
                return await self._try_to_switch(target, seconds, asked_by)
            except RemoteProtocolError:
                if asked_by is None or self.ended is not None or not self._core.recovery.away:
                    raise  # else the next connection is asked, whenever it comes

    async def _try_to_switch(self, target: Member, seconds: float, asked_by: Member | None) -> bool:
        async with self._taking_over:
            before = self._present
            assert before is not None
            if before is target or (asked_by is not None and asked_by is not before):
                return False
            event = HandedOver(agent=target.agent.name, previous=before.agent.name)
            undo = self._put_in_force(before, target)
            with self._before_next_response():
                try:
                    await self._ask_for(target, seconds)
                except BaseException:
                    undo()
                    raise
                await self._emit(event)
            return True

    def _put_in_force(self, before: Member, target: Member) -> Callable[[], None]:
        """Offer what the next agent has; returns what puts everything back, but what others have changed meanwhile."""
        offered, of_toolsets = dict(self.calls.tools), self._of_toolsets
        wanted, given = self._tools_of(target, self._left_out)
        of_sets = frozenset().union(*of_toolsets.values())
        before.tools = {name: tool for name, tool in offered.items() if name not in of_sets}
        self._until_confirmed = offered
        self.calls.tools, self._of_toolsets, self._present = dict(wanted), given, target

        def undo() -> None:
            now = self.calls.tools
            kept = {name: tool for name, tool in offered.items() if name in now or name not in wanted}
            added = {name: tool for name, tool in now.items() if wanted.get(name) is not tool}
            self.calls.tools, self._of_toolsets, self._present = {**kept, **added}, of_toolsets, before
            self._until_confirmed = None

        return undo

    async def _ask_for(self, target: Member, seconds: float) -> None:
        offered = self._until_confirmed

        def ended(error: BaseException | None) -> None:
            if error is None and offered is not None and offered is self._until_confirmed:
                self._remember(offered)

        try:
            await self._update(self._settings_of(target), seconds, ended)
        except ServerError as exc:
            if exc.code != "cannot_update_voice":
                raise
            await self._update(self._settings_of(target), seconds, ended)  # it is known now that the voice is fixed

    def _remember(self, offered: dict[str, Offered]) -> None:
        """Remember what the responses that have begun were offered: every further one is the next agent's."""
        self._until_confirmed = None
        responses = self._core.responses
        for response_id in (*responses.active, *responses.beside):
            self._offered.setdefault(response_id, offered)
        while len(self._offered) > RESPONSES:
            del self._offered[next(iter(self._offered))]

    # What an agent has

    def _settings_of(self, member: Member) -> Settings:
        own = member.agent.instructions
        return Settings(
            instructions=self._instructions if own is None else own,
            tools=self._declarations(),
            audio=_spoken(self._voice_of(member)),
        )

    def _voice_of(self, member: Member) -> Voice:
        """Return the voice to ask for; UNSET where there is none to ask for, or where it is too late to."""
        voice = member.agent.voice or self._voice
        if voice is UNSET or not self._core.settings.voice_fixed:
            return voice
        if voice != _voice(self.settings) and not self._voice_told:
            self._voice_told = True
            message = f"{member.agent.name} speaks with the voice that there is: it cannot change after it was heard"
            self.notice("voice_fixed", message, hint="give all agents one voice, or start a new session to change it")
        return UNSET

    def _tools_of(
        self, member: Member, doubled: Callable[[Member, Toolset, str], None]
    ) -> tuple[dict[str, Offered], dict[Toolset, frozenset[str]]]:
        """Return an agent's tools as they are now, and which each toolset gives; a name that is taken is left out."""
        tools, given = dict(member.tools), {}
        for toolset in member.toolsets:
            if toolset in self._opened:
                found: dict[str, Offered] = {tool.name: tool for tool in toolset.tools()}
                for name in sorted(tools.keys() & found.keys()):
                    doubled(member, toolset, name)
                    del found[name]
                tools |= found
                given[toolset] = frozenset(found)
        return tools, given

    def _left_out(self, member: Member, toolset: Toolset, name: str) -> None:
        message = f"toolset {toolset.name} gives {name}, which {member.agent.name} has already; it is left out"
        self.notice("tool_hidden", message)

    def _declarations(self) -> tuple[ToolDefinition, ...]:
        if self._present is None:
            return super()._declarations()
        labels = {tool.server_label for member in self._members.values() for tool in member.hosted}
        declared = super()._declarations()
        others = (tool for tool in declared if not (isinstance(tool, ServerMcpTool) and tool.server_label in labels))
        return (*others, *self._present.hosted)

    def _in_force(self) -> Settings:
        return super()._in_force() if self._present is None else self._settings_of(self._present)

    # How the session begins

    async def enter_toolsets(self, stack: AsyncExitStack, toolsets: Iterable[Toolset]) -> None:
        """Open the toolsets of all agents, once each, and take the tools of the one that begins.

        Raises:
            ConfigError: Another session has opened one of them, and would close it.
            TypeError: A tool has a name that its agent has already.
        """
        if self._present is None:
            await super().enter_toolsets(stack, [*toolsets])
            return
        for toolset in dict.fromkeys(each for member in self._members.values() for each in member.toolsets):
            self.calls.tools = {}  # its names have to be free only where it is offered
            await super().enter_toolsets(stack, [toolset])
        self._opened = frozenset(self._of_toolsets)
        for member in self._members.values():
            self._tools_of(member, _refuse)
        self.calls.tools, self._of_toolsets = self._tools_of(self._present, _refuse)

    def _with_tools(self, settings: AnySettings | None) -> AnySettings | None:
        if self._present is None:
            return super()._with_tools(settings)
        begun = self.settings
        asked = settings if isinstance(settings, Settings) else Settings()
        told = begun if isinstance(begun, Settings) else Settings()
        self._instructions = asked.instructions if asked.instructions is not UNSET else told.instructions or ""
        voice = _voice(asked)
        self._voice = _voice(told) if voice is UNSET else voice
        agent = self._present.agent
        if agent.instructions is not None:
            asked = replace(asked, instructions=agent.instructions)
        if agent.voice is not None:
            audio = asked.audio if asked.audio is not UNSET else AudioSettings()
            output = audio.output if audio.output is not UNSET else AudioOutput()
            asked = replace(asked, audio=replace(audio, output=replace(output, voice=agent.voice)))
        given = asked.tools if isinstance(asked.tools, tuple) else ()
        return replace(asked, tools=(*self.tool_definitions(), *given, *self._present.hosted))

    # Calls

    def _start_tool(self, start: StartTool) -> None:
        offered = None
        if self._present is not None:
            offered = self._offered.get(start.response_id or "", self._until_confirmed)
        if offered is None:
            super()._start_tool(start)
            return
        now, self.calls.tools = self.calls.tools, offered
        try:
            super()._start_tool(start)
        finally:
            self.calls.tools = now

    async def _call_finished(self, finished: ToolFinished, outcome: Outcome) -> None:
        """Hand a call's outcome on; after a hand-over alone the next agent says its greeting, in the same turn."""
        greeting = self._greetings.pop(finished.call_id, None) if self._present is not None else None
        turns = self._turns_to_greet(finished.call_id) if greeting is not None else []
        if not turns:
            await super()._call_finished(finished, outcome)
            return
        for turn in turns:
            turn.shares += 1
        await super()._call_finished(finished, replace(outcome, reply="silent"))
        if self.ended is None:
            settings = ResponseSettings(instructions=f"{SAY}{greeting}", tool_choice="none")
            await self._apply(self._core.responses.propose(turns, settings))

    def _turns_to_greet(self, call_id: str) -> list[TurnState]:
        """Return the turns in which a hand-over was made; none where the model has more to say than a greeting."""
        call, responses = self._core.calls.get(call_id), self._core.responses
        response = responses.find(call.response_id) if call is not None and call.response_id is not None else None
        if response is None or response.beside or response.calls or response.outstanding - {call_id}:
            return []
        gone_on = response.silent or response.stopping or response.status == "cancelled"
        return [] if gone_on or responses.user_speaking or responses.auto_expected else list(response.turns)


def _refuse(member: Member, toolset: Toolset, name: str) -> None:
    raise TypeError(f"toolset {toolset.name} gives {name}, which agent {member.agent.name} has already")


def _any(member: Member, toolset: Toolset, name: str) -> None:
    """Let two tools have one name, for the secrets of both count."""


def _voice(settings: object) -> Voice:
    """Return the voice that settings name; UNSET where they name none."""
    audio = settings.audio if isinstance(settings, Settings) else UNSET
    return audio.output.voice if audio is not UNSET and audio.output is not UNSET else UNSET


def _spoken(voice: Voice) -> AudioSettings | UnsetType:
    return UNSET if voice is UNSET else AudioSettings(output=AudioOutput(voice=voice))
