"""A toolset as a configuration has it: its tools with a prefix and a policy, its messages with their place."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product

from agentkit.config.nodes import Place
from agentkit.config.policies import KEYS, options_of, parameters_of, unfit
from agentkit.config.schema import ToolItem
from agentkit.errors import ConfigError
from agentkit.tools import PolicyOptions, Tool, Toolset, ToolsetUser

AnyTool = Tool[..., object]


class ConfiguredToolset(Toolset):
    """Wraps one toolset for one session.

    What the item says holds for each of its tools that it fits; where it does not, a notice tells, and the tool keeps
    its own policy there.
    """

    def __init__(self, inner: Toolset, item: ToolItem, place: Place, taken: "Sequence[dict[str, Place]]") -> None:
        """Wrap a toolset.

        Args:
            inner: The toolset; held open by this one.
            item: What the file says of it.
            place: Where the file names it.
            taken: Of each agent that has it, the names of its other tools, to which this one's are added when it is
                opened.
        """
        self._inner = inner
        self._item = item
        self._options = options_of(item)
        self._place = place
        self._taken = taken
        self._told: set[str] = set()
        self._unheard: list[str] = []
        self._listeners: list[ToolsetUser] = []
        self.optional = item.optional or inner.optional

    @property
    def name(self) -> str:
        """Its name in messages, with its place."""
        return f"{self._inner.name} ({self._place})"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold the toolset open.

        Raises:
            ConfigError: It cannot be opened, or gives a name that another tool has.
        """
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._inner)
            except (OSError, ValueError, TypeError, RuntimeError) as exc:
                raise self._error(f"{self._inner.name} cannot be opened: {type(exc).__name__}: {exc}") from exc
            for tool, taken in product(self.tools(), self._taken):
                other = taken.setdefault(tool.name, self._place)
                if other is not self._place:
                    message = f"{self._inner.name} gives a tool `{tool.name}`, which there is already, by {other}"
                    raise self._error(message, hint="give it a `prefix:`, or leave the tool out")
            yield

    def tools(self) -> Sequence[AnyTool]:
        """Return the toolset's tools as they are now, with what the file says of them."""
        found: list[AnyTool] = []
        for tool in self._inner.tools():
            try:
                found.append(self._configured(tool))
            except TypeError as exc:
                self._tell(f"the tool `{tool.name}` of {self.name} cannot be used: {exc}")
        return found

    def attach(self, user: ToolsetUser) -> Callable[[], None]:
        """Tell somebody of changes and notices from now on, and of the notices that nobody has heard yet."""
        detach = self._inner.attach(_Relay(self, user))
        self._listeners.append(user)
        unheard, self._unheard = self._unheard, []
        for message in unheard:
            user.notice("policy_unfit", message)

        def leave() -> None:
            self._listeners.remove(user)
            detach()

        return leave

    def _configured(self, tool: AnyTool) -> AnyTool:
        options = PolicyOptions(**self._options)
        for each in unfit(self._item, tool.policy):
            options.pop(KEYS.get(each.key, each.key), None)  # type: ignore[misc]  # a key of the policy
            self._tell(f"`{each.key}` of {self.name} does not hold for its tool `{tool.name}`: {each.message}")
        if self._item.secret is not None:
            options["secret"] = [name for name in self._item.secret if name in parameters_of(tool)]
        renamed = tool.renamed(f"{self._item.prefix}{tool.name}") if self._item.prefix else tool
        return renamed.with_(**options).named_at(str(self._place))

    def _tell(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            for user in self._listeners:
                user.notice("policy_unfit", message)
            if not self._listeners:
                self._unheard.append(message)

    def _error(self, message: str, hint: str | None = None) -> ConfigError:
        place = self._place
        return ConfigError(message, file=place.file, line=place.line, column=place.column, hint=hint)


class _Relay:
    """What the inner toolset tells of itself, as told by the one around it."""

    def __init__(self, outer: ConfiguredToolset, user: ToolsetUser) -> None:
        self._outer = outer
        self._user = user

    def tools_changed(self, toolset: Toolset) -> None:
        """The inner toolset gives other tools now."""
        self._user.tools_changed(self._outer)

    def notice(self, code: str, message: str, *, level: str = "warning", hint: str | None = None) -> None:
        """Tell a person something in one line."""
        self._user.notice(code, message, level=level, hint=hint)
