"""The kinds of results and what the model reads of each."""

from agentkit.errors import ToolArgumentsError, ToolError, ToolTimeoutError
from agentkit.tools import ToolResult


def test_an_unknown_tool_gets_the_nearest_names() -> None:
    result = ToolResult.unknown("wether", ["weather", "now", "whether"])
    assert result.output == "unknown tool 'wether'; did you mean whether or weather?"
    assert result.status == "unknown"
    assert isinstance(result.error, ToolError)


def test_an_unknown_tool_that_is_near_to_none_gets_all_names() -> None:
    assert ToolResult.unknown("zzz", ["now", "add"]).output == "unknown tool 'zzz'; the tools are add, now"


def test_an_unknown_tool_gets_at_most_twenty_names() -> None:
    output = ToolResult.unknown("zzz", [f"tool_{number:02}" for number in range(30)]).output
    assert output.endswith("tool_19, …")


def test_an_unknown_tool_where_there_are_none_is_just_unknown() -> None:
    assert ToolResult.unknown("zzz\ud800" + "z" * 5000).output == f"unknown tool {'zzz�' + 'z' * 60!r}"


def test_a_refusal_says_why() -> None:
    result = ToolResult.refused("card numbers are not accepted")
    assert (result.output, result.status) == ("refused: card numbers are not accepted", "refused")
    assert str(result.error) == "card numbers are not accepted"


def test_a_cancelled_call_may_say_why() -> None:
    assert ToolResult.cancelled().output == "cancelled"
    assert ToolResult.cancelled("the user spoke").output == "cancelled: the user spoke"


def test_a_failure_carries_its_error() -> None:
    error = ValueError("x")
    assert ToolResult.failed("no", error=error).error is error
    assert isinstance(ToolResult.failed("no").error, ToolError)
    assert not ToolResult.failed("no").ok


def test_a_timeout_says_how_long_it_was() -> None:
    result = ToolResult.timed_out("weather", 5.0)
    assert result.output == "weather timed out after 5 s"
    assert isinstance(result.error, ToolTimeoutError)


def test_invalid_arguments_keep_their_problems() -> None:
    error = ToolArgumentsError("invalid arguments: a: missing", problems=[("a", "missing")])
    result = ToolResult.invalid(error)
    assert (result.output, result.status, result.error) == ("invalid arguments: a: missing", "invalid", error)
