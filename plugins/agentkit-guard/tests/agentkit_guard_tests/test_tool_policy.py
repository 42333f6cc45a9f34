"""``tool-policy``: what was checked is what runs, and nothing else runs."""

import json
from typing import Any

import pytest
from agentkit_guard import Rule, ToolPolicy, ToolPolicyConfig
from hypothesis import given
from hypothesis import strategies as st

from agentkit import Middleware, NextCall, ToolCall, ToolResult, tool
from agentkit.events import ApprovalRequested, Notice, ToolFinished

from .talking import Server, opened

pytestmark = pytest.mark.anyio


async def tried(
    policy: ToolPolicyConfig, arguments: str, name: str = "pay", as_middleware: bool = False
) -> tuple[list[Any], ToolFinished]:
    """Let the model call a tool, and return what its body got and what became of the call."""
    got: list[Any] = []

    @tool(name=name)
    def body(amount: float = 5, to: str = "", items: list[dict[str, float]] | None = None) -> str:
        """Pay."""
        got.append((amount, to))
        return "paid"

    server = Server()
    async with opened(server, ToolPolicy(policy), tools=[body], as_middleware=as_middleware) as (_, seen):
        await server.calls("r1", c1=(name, arguments))
        await server.next("conversation.item.create")
        finished = await seen.until(ToolFinished)
    return got, finished


def rules(**options: Any) -> ToolPolicyConfig:
    return ToolPolicyConfig(rules=(Rule(**{"argument": "amount", **options}),))


@pytest.mark.parametrize(
    "options, name, allowed",
    [
        ({"allow": ("pay", "get_*")}, "pay", True),
        ({"allow": ("get_*",)}, "get_time", True),
        ({"allow": ("get_*",)}, "pay", False),
        ({"deny": ("delete_*",)}, "delete_all", False),
        ({"allow": ("*",), "deny": ("pay",)}, "pay", False),
        ({"allow": ()}, "pay", False),
        ({"deny": ("delete_*",)}, "Delete_all", True),
    ],
)
async def test_tools_are_allowed_by_name_and_denied_first(options: Any, name: str, allowed: bool) -> None:
    got, finished = await tried(ToolPolicyConfig(**options), "{}", name)
    assert bool(got) is allowed
    assert (finished.status == "ok") is allowed


@pytest.mark.parametrize("as_middleware", [False, True])
async def test_a_refusal_says_why_to_the_model_and_to_a_person(as_middleware: bool) -> None:
    got, finished = await tried(rules(max=100), '{"amount": 101}', as_middleware=as_middleware)
    assert got == []
    assert finished.output == "refused: amount must be at most 100"


@pytest.mark.parametrize(
    "arguments",
    [
        '{"amount": 50, "amount": 5000}',
        '{"amount": 5000, "amount": 50}',
        '{"amount": 50, "\\u0061mount": 5000}',
        '{"amount": "50"}',
        '{"amount": "5e9"}',
        '{"amount": true}',
        '{"amount": NaN}',
        '{"amount": Infinity}',
        '{"amount": 1e999}',
        '{"amount": [50]}',
        '{"amount": {"value": 50}}',
        '"{\\"amount\\": 50}"',
        '[{"amount": 50}]',
        '{"amount": 50} {"amount": 5000}',
        '{"Amount": 50}',
        '{"amount": null}',
        "{}",
        "",
        "null",
        '{"amount": 50',
        "[" * 100_000,
    ],
)
async def test_arguments_that_smuggle_do_not_run(arguments: str) -> None:
    got, finished = await tried(rules(max=100), arguments)
    assert got == []
    assert finished.status == "refused"


@pytest.mark.parametrize(
    "options, value, allowed",
    [
        ({"equals": "shop"}, "shop", True),
        ({"equals": "shop"}, "sh\u043ep", False),
        ({"equals": "shop"}, "\uff53\uff48\uff4f\uff50", False),
        ({"equals": "shop"}, "%73hop", False),
        ({"one_of": ("a", "b")}, "b", True),
        ({"one_of": ("a", "b")}, "B", False),
        ({"matches": "[a-z]{1,8}"}, "shop", True),
        ({"matches": "[a-z]{1,8}"}, "shop\n", False),
        ({"matches": "[a-z]{1,8}"}, "shop; rm", False),
    ],
)
async def test_texts_are_compared_exactly(options: Any, value: str, allowed: bool) -> None:
    got, _ = await tried(rules(argument="to", **options), json.dumps({"to": value}))
    assert bool(got) is allowed


async def test_escapes_are_read_before_they_are_compared() -> None:
    got, _ = await tried(rules(argument="to", equals="shop"), '{"to": "\\u0073hop"}')
    assert got == [(5.0, "shop")]


async def test_an_argument_that_is_left_out_is_allowed_only_where_the_rule_says_so() -> None:
    assert (await tried(rules(max=100), "{}"))[0] == []
    assert (await tried(rules(max=100, missing="allow"), "{}"))[0] == [(5.0, "")]


@pytest.mark.parametrize(
    "items, allowed",
    [
        ([{"price": 5}, {"price": 9}], True),
        ([{"price": 5}, {"price": 11}], False),
        ([{"cost": 5}], False),
        ("[]", False),
    ],
)
async def test_a_path_leads_to_every_element(items: Any, allowed: bool) -> None:
    got, _ = await tried(rules(argument="items[*].price", max=10), json.dumps({"items": items}))
    assert bool(got) is allowed


async def test_a_rule_is_for_the_tools_that_it_names() -> None:
    policy = ToolPolicyConfig(rules=(Rule(tool="transfer_*", argument="amount", max=1),))
    assert (await tried(policy, '{"amount": 50}', "pay"))[0]
    assert not (await tried(policy, '{"amount": 50}', "transfer_all"))[0]


@given(
    st.dictionaries(
        st.sampled_from(["amount", "to", "x", "\u00e4"]),
        st.recursive(
            st.none() | st.booleans() | st.integers(-200, 200) | st.floats(allow_nan=False) | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=4,
        ),
        max_size=4,
    )
)
def test_what_runs_is_what_was_checked(arguments: dict[str, Any]) -> None:
    handed: list[str] = []

    async def body(call: ToolCall) -> ToolResult:
        handed.append(call.raw_arguments)
        return ToolResult.of("ok")

    policy = ToolPolicy(rules(max=100))
    policy.session = _Nobody()  # type: ignore[assignment]  # only notices are told
    call = ToolCall(call_id="c1", name="pay", raw_arguments=json.dumps(arguments))
    try:
        policy.wrap_tool_call(call, body).send(None)
    except StopIteration:
        pass
    amount = arguments.get("amount")
    allowed = isinstance(amount, int | float) and not isinstance(amount, bool) and amount <= 100
    assert [json.loads(raw) for raw in handed] == ([arguments] if allowed else [])


class _Nobody:
    def notice(self, *_: object, **__: object) -> None:
        """Tell nobody."""


@pytest.mark.parametrize(
    "options, message",
    [
        ({"argument": "a"}, "says nothing"),
        ({"argument": "a..b", "max": 1}, "no path"),
        ({"argument": "a", "matches": "("}, "no regular expression"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rule(**options)


async def test_a_person_is_told_of_a_refusal() -> None:
    server = Server()
    async with opened(server, ToolPolicy(ToolPolicyConfig(deny=("wipe",)))) as (_, seen):
        await server.calls("r1", c1=("wipe", "{}"))
        notice = await seen.until(Notice)
    assert "wipe may not be called here" in notice.message


async def test_what_is_handed_on_is_written_in_one_way() -> None:
    handed: list[str] = []

    class Inner(Middleware):
        async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
            handed.append(call.raw_arguments)
            return ToolResult.of("ok")

    server = Server()
    async with opened(server, ToolPolicy(rules(max=100)), Inner()):
        await server.calls("r1", c1=("pay", '{ "\\u0061mount" : 5.0,\n "x": "\\u00e9" }'))
        await server.next("conversation.item.create")
    assert handed == ['{"amount":5.0,"x":"\u00e9"}']


@pytest.mark.parametrize("amount, paid", [(50, [50.0]), (5000, [])])
async def test_arguments_that_a_person_edits_are_checked_once_more(amount: int, paid: list[float]) -> None:
    got: list[float] = []

    @tool(approve="ask")
    def pay(amount: float) -> str:
        """Pay."""
        got.append(amount)
        return "paid"

    server = Server()
    async with opened(server, ToolPolicy(rules(max=100)), tools=[pay]) as (session, seen):
        await server.calls("r1", c1=("pay", '{"amount": 10}'))
        await seen.until(ApprovalRequested)
        session.approvals.approve("c1", arguments={"amount": amount})
        finished = await seen.until(ToolFinished)
    assert got == paid
    assert finished.status == ("ok" if paid else "refused")
