"""One tool call as a session makes it: checked, through the layers, in its time, by its policy."""

from pathlib import Path

import anyio
import anyio.lowlevel
import msgspec
import pytest
from trio.testing import MockClock

import agentkit
from agentkit import Factory, Middleware, NextCall, Tool, ToolCall, ToolContext, ToolError, ToolResult, tool
from agentkit.testing import call_tool

pytestmark = pytest.mark.anyio


@tool
async def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


class Options(msgspec.Struct, frozen=True, kw_only=True):
    greeting: str = "Hello"


def greeter(options: Options) -> Tool[..., object]:
    @tool(name="greet")
    async def greet(name: str) -> str:
        """Greet somebody."""
        return f"{options.greeting}, {name}."

    return greet


class Plugin:
    """A plugin with a tool and a factory of one."""

    @agentkit.hookimpl
    def register_tools(self) -> list[object]:
        return [add, Factory("greet", greeter, Options)]


PLUGINS = {"mine": Plugin()}


async def test_arguments_by_name_reach_the_body() -> None:
    finished = await call_tool(add, a=1, b=2)
    assert (finished.ok, finished.output, finished.result) == (True, "3", 3)


async def test_arguments_as_a_mapping_reach_the_body() -> None:
    assert (await call_tool(add, {"a": 1}, b=2)).result == 3


async def test_the_json_of_a_model_is_checked_as_it_is() -> None:
    finished = await call_tool(add, '{"a": "one"')
    assert finished.status == "invalid"
    assert "not valid JSON" in finished.output


async def test_json_and_names_do_not_go_together() -> None:
    with pytest.raises(TypeError, match="as JSON and by name"):
        await call_tool(add, "{}", a=1)


async def test_arguments_that_do_not_fit_are_told_to_the_model() -> None:
    finished = await call_tool(add, a="one")
    assert finished.status == "invalid"
    assert "`a`" in finished.output or "a:" in finished.output


async def test_a_function_is_made_a_tool() -> None:
    def double(n: int) -> int:
        """Double."""
        return 2 * n

    assert (await call_tool(double, n=2)).result == 4


async def test_a_failure_of_the_body_is_the_result() -> None:
    @tool
    async def fail() -> str:
        """Fail."""
        raise ToolError("the shop is closed")

    finished = await call_tool(fail)
    assert (finished.status, finished.output) == ("error", "the shop is closed")


class Shout(Middleware):
    """Make every result loud."""

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        result = await call_next(call)
        return ToolResult.of(f"{result.output}!")


class Deny(Middleware):
    """Refuse every call."""

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        return ToolResult.refused("not today")


async def test_the_layers_are_passed() -> None:
    assert (await call_tool(add, a=1, middleware=[Shout()])).output == "2!"


async def test_the_guards_are_passed() -> None:
    assert (await call_tool(add, a=1, guards=[Deny()])).status == "refused"


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])
async def test_the_time_limit_of_the_tool_holds() -> None:
    @tool(timeout=30)
    async def hang() -> str:
        """Hang."""
        await anyio.sleep_forever()
        return ""

    began = anyio.current_time()
    assert (await call_tool(hang)).status == "timeout"
    assert anyio.current_time() - began == pytest.approx(30)


async def test_a_tool_that_may_be_repeated_is_repeated() -> None:
    runs = []

    @tool(effects="reads", retries=2)
    async def flaky() -> str:
        """Work the second time."""
        runs.append(1)
        if len(runs) < 2:
            raise RuntimeError("not yet")
        return "done"

    assert (await call_tool(flaky)).output == "done"
    assert len(runs) == 2


async def test_a_tool_in_the_background_is_waited_for() -> None:
    @tool(background=True)
    async def cook() -> str:
        """Cook."""
        await anyio.lowlevel.checkpoint()
        return "served"

    finished = await call_tool(cook)
    assert (finished.background, finished.result) == (True, "served")


async def test_a_person_does_not_agree_where_the_test_says_so() -> None:
    runs = []

    @tool(approve="ask")
    async def order() -> str:
        """Order."""
        runs.append(1)
        return "ordered"

    assert "the test says no" in (await call_tool(order, approve=False)).output
    assert runs == []


@pytest.mark.parametrize("approve, status", [(True, "ok"), (False, "refused")])
async def test_a_person_agrees_or_does_not(approve: bool, status: str) -> None:
    @tool(effects="dangerous")
    async def wipe() -> str:
        """Wipe everything."""
        return "wiped"

    assert (await call_tool(wipe, approve=approve)).status == status


async def test_the_context_reaches_the_tool() -> None:
    @tool
    async def whoami(context: ToolContext) -> str:
        """Tell who asks."""
        return str(context.data)

    assert (await call_tool(whoami, context="Ada")).output == "Ada"


async def test_a_tool_of_a_plugin_is_found_by_its_name() -> None:
    assert (await call_tool("add", a=1, plugins=PLUGINS)).result == 2


async def test_a_factory_makes_the_tool_from_its_options() -> None:
    assert (await call_tool("greet", name="Ada", plugins=PLUGINS)).output == "Hello, Ada."
    named = await call_tool("greet", name="Ada", options={"greeting": "Good day"}, plugins=PLUGINS)
    assert named.output == "Good day, Ada."


async def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        await call_tool(Factory("greet", greeter, Options), options={"greeting": 1}, name="Ada")


async def test_options_for_a_tool_that_takes_none_are_refused() -> None:
    with pytest.raises(TypeError, match="takes no options"):
        await call_tool(add, options={"x": 1}, a=1)


async def test_a_name_that_no_plugin_gives_is_an_error_with_the_nearest() -> None:
    with pytest.raises(agentkit.UnknownNameError, match="did you mean `greet`"):
        await call_tool("greeet", plugins=PLUGINS)


AGENT = """\
agent: {}
provider: {use: compatible, with: {url: "wss://realtime.example/v1"}}
tools:
  - {use: add, name: plus}
"""


async def test_the_tools_of_a_configuration_are_known_by_their_names_there(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(AGENT)
    assert (await call_tool("plus", a=1, config=file, plugins=PLUGINS)).result == 2


async def test_a_name_that_the_configuration_has_not_is_an_unknown_tool(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(AGENT)
    assert (await call_tool("minus", a=1, config=file, plugins=PLUGINS)).status == "unknown"


@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["trio"])
async def test_a_limit_that_ends_the_session_meanwhile_is_an_error() -> None:
    @tool(timeout=30)
    async def hang() -> str:
        """Hang."""
        await anyio.sleep_forever()
        return ""

    with pytest.raises(agentkit.SessionClosedError, match="before the call finished"):
        await call_tool(hang, limits=agentkit.SessionLimits(session_time=5))
