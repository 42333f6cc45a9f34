"""Tools that the server runs itself: approvals, late ends, and the response that follows."""

import pytest

from agentkit.events import ConversationItemCreate, McpApprovalResponseItem, MessageItem, Notice, ResponseCreate
from agentkit.protocol import AskForServer, Effect, ServerCallBegan, ServerCallEnded
from tests.protocol.conftest import Drive


def mcp_call(item_id: str = "m1", **fields: object) -> dict[str, object]:
    return {"id": item_id, "type": "mcp_call", "server_label": "docs", "name": "find", "arguments": "{}", **fields}


def request(item_id: str = "q1") -> dict[str, object]:
    item = {"id": item_id, "type": "mcp_approval_request", "server_label": "docs", "name": "find"}
    return {**item, "arguments": '{"q": 1}'}


class Hosting:
    """A core with a response that is asked for, and what it said of the server's tools."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.told: list[Effect] = []
        drive.session()
        drive.run(drive.core.respond("ask"))
        drive.created("r1")

    def server(self, wire_type: str, **fields: object) -> None:
        self.keep(self.drive.server(wire_type, **fields))

    def keep(self, effects: list[Effect]) -> None:
        kinds = (AskForServer, ServerCallBegan, ServerCallEnded)
        self.told += [effect for effect in effects if isinstance(effect, kinds)]

    def begins(self, item_id: str = "m1", **fields: object) -> None:
        self.server("response.output_item.added", response_id="r1", item=mcp_call(item_id, **fields))

    def ends(self, item_id: str = "m1", **fields: object) -> None:
        result = {"output": "found", **fields}
        self.server("response.output_item.done", response_id="r1", item=mcp_call(item_id, **result))

    @property
    def creates(self) -> int:
        return sum(isinstance(event, ResponseCreate) for event in self.drive.sent)

    @property
    def ended(self) -> list[str]:
        return [turn.status for turn in self.drive.ended]


@pytest.fixture
def hosting(new_drive: type[Drive]) -> Hosting:
    return Hosting(new_drive())


def test_a_call_that_ends_in_its_response_is_followed_by_one_more(hosting: Hosting) -> None:
    hosting.begins()
    hosting.server("response.mcp_call_arguments.done", response_id="r1", item_id="m1", arguments='{"q": 1}')
    hosting.server("response.mcp_call.in_progress", item_id="m1")
    hosting.server("response.mcp_call.completed", item_id="m1")
    hosting.ends(arguments='{"q": 1}')
    assert hosting.creates == 1
    hosting.drive.done("r1")
    assert hosting.creates == 2
    assert hosting.told == [
        ServerCallBegan("m1", "docs.find", '{"q": 1}'),
        ServerCallEnded("m1", "docs.find", "found", None),
    ]
    assert hosting.ended == []


def test_a_call_that_ends_after_its_response_is_waited_for(hosting: Hosting) -> None:
    hosting.begins()
    hosting.drive.done("r1")
    assert (hosting.creates, hosting.ended) == (1, [])
    hosting.ends()
    assert hosting.creates == 2
    hosting.drive.created("r2")
    hosting.drive.done("r2")
    assert hosting.ended == ["completed"]


def test_two_calls_are_followed_by_one_response(hosting: Hosting) -> None:
    hosting.begins("m1")
    hosting.begins("m2")
    hosting.drive.done("r1")
    hosting.ends("m1")
    assert hosting.creates == 1
    hosting.ends("m2")
    hosting.ends("m2")
    assert hosting.creates == 2
    assert [type(each).__name__ for each in hosting.told] == ["ServerCallBegan", "ServerCallEnded"] * 2


def test_an_end_without_a_result_is_taken_after_a_while(hosting: Hosting) -> None:
    hosting.begins()
    hosting.drive.done("r1")
    hosting.server("response.mcp_call.failed", item_id="m1")
    assert hosting.creates == 1
    hosting.keep(hosting.drive.fire("mcp-end"))
    assert hosting.creates == 2
    assert hosting.told[-1] == ServerCallEnded("m1", "docs.find", "", None)
    hosting.server("response.mcp_call.failed", item_id="m1")
    hosting.keep(hosting.drive.fire("mcp"))
    assert hosting.creates == 2


@pytest.mark.parametrize("error", ["it broke", {"type": "http", "message": "it broke"}])
def test_a_call_that_failed_says_why(hosting: Hosting, error: object) -> None:
    hosting.begins()
    hosting.ends(output=None, error=error)
    assert hosting.told[-1] == ServerCallEnded("m1", "docs.find", "", "it broke")


def test_a_failure_without_words_is_told_as_it_is(hosting: Hosting) -> None:
    hosting.begins()
    hosting.ends(output=None, error={"type": "http", "code": 500})
    assert "500" in str(hosting.told[-1])


def test_a_call_of_which_nothing_more_is_told_is_given_up(hosting: Hosting) -> None:
    hosting.begins()
    hosting.drive.done("r1")
    hosting.drive.fire("mcp")
    assert (hosting.creates, hosting.ended) == (1, ["completed"])
    notice = hosting.drive.emitted[-1]
    assert isinstance(notice, Notice)
    assert notice.code == "mcp_call_lost"
    assert "docs.find" in notice.message
    hosting.ends()
    assert hosting.creates == 1


def test_a_call_that_has_begun_and_is_given_up_has_an_end(hosting: Hosting) -> None:
    hosting.begins()
    hosting.server("response.mcp_call.in_progress", item_id="m1")
    hosting.drive.done("r1")
    hosting.keep(hosting.drive.fire("mcp"))
    hosting.ends()
    began, ended = hosting.told
    assert isinstance(began, ServerCallBegan)
    assert isinstance(ended, ServerCallEnded)
    assert (ended.item_id, ended.name, ended.output) == ("m1", "docs.find", "")
    assert "has not told the end" in (ended.error or "")


def test_a_call_that_has_not_begun_and_is_given_up_is_no_call_to_anybody(hosting: Hosting) -> None:
    hosting.begins()
    hosting.drive.done("r1")
    hosting.keep(hosting.drive.fire("mcp"))
    assert hosting.told == []


def test_a_call_of_no_known_response_is_answered_in_a_turn_of_its_own(hosting: Hosting) -> None:
    hosting.drive.done("r1")
    hosting.server("conversation.item.added", item=mcp_call("m9"))
    hosting.server("conversation.item.done", item=mcp_call("m9", output="found"))
    assert hosting.creates == 2
    hosting.drive.created("r2")
    hosting.drive.done("r2")
    assert hosting.ended == ["completed", "completed"]


def test_events_of_calls_that_nobody_announced_are_let_be(hosting: Hosting) -> None:
    hosting.server("response.mcp_call_arguments.done", response_id="r1", item_id="x", arguments="{}")
    hosting.server("response.mcp_call.in_progress", item_id="x")
    hosting.server("response.mcp_call.completed", item_id="x")
    assert hosting.drive.core.timer("mcp-end x") == []
    assert hosting.drive.core.timer("mcp x") == []
    assert hosting.told == []


# Approvals


@pytest.mark.parametrize("in_response", [True, False])
def test_a_question_is_asked_once_and_the_turn_of_the_response_that_is_being_made_waits(
    hosting: Hosting, in_response: bool
) -> None:
    if in_response:
        hosting.server("response.output_item.added", response_id="r1", item=request())
    hosting.server("conversation.item.added", item=request())
    hosting.server("conversation.item.done", item=request())
    assert hosting.told == [AskForServer("q1", "docs", "find", '{"q": 1}')]
    hosting.drive.done("r1")
    assert hosting.ended == []


def answer(hosting: Hosting) -> McpApprovalResponseItem:
    created = [event for event in hosting.drive.sent if isinstance(event, ConversationItemCreate)][-1]
    assert isinstance(created.item, McpApprovalResponseItem)
    return created.item


def test_an_approved_call_follows_and_belongs_to_the_same_turn(hosting: Hosting) -> None:
    hosting.server("response.output_item.added", response_id="r1", item=request())
    hosting.drive.done("r1")
    hosting.drive.run(hosting.drive.core.decided("q1", approved=True))
    assert answer(hosting) == McpApprovalResponseItem(approval_request_id="q1", approve=True)
    hosting.server("conversation.item.added", item=mcp_call(approval_request_id="q1"))
    assert (hosting.creates, hosting.ended) == (1, [])
    hosting.server("conversation.item.done", item=mcp_call(approval_request_id="q1", output="found"))
    assert hosting.creates == 2
    hosting.drive.created("r2")
    hosting.drive.done("r2")
    assert hosting.ended == ["completed"]
    assert hosting.drive.ended[0].calls == ["m1"]


def test_a_refused_call_is_told_and_the_agent_goes_on(hosting: Hosting) -> None:
    hosting.server("response.output_item.added", response_id="r1", item=request())
    hosting.drive.done("r1")
    hosting.drive.run(hosting.drive.core.decided("q1", approved=False, reason="not now"))
    assert answer(hosting) == McpApprovalResponseItem(approval_request_id="q1", approve=False, reason="not now")
    assert hosting.creates == 2
    hosting.drive.created("r2")
    hosting.drive.done("r2")
    assert hosting.drive.ended[0].calls == []


def test_an_approved_call_that_never_comes_is_given_up(hosting: Hosting) -> None:
    hosting.server("response.output_item.added", response_id="r1", item=request())
    hosting.drive.done("r1")
    hosting.drive.run(hosting.drive.core.decided("q1", approved=True))
    hosting.drive.fire("mcp")
    assert hosting.ended == ["completed"]
    assert hosting.drive.run(hosting.drive.core.timer("mcp q1")) == []


# The connection is lost


def told_in_words(hosting: Hosting) -> list[str]:
    """Lose the connection, and return what the next one is told of it."""
    core = hosting.drive.core
    hosting.drive.run(core.recovery.lose())
    before = len(hosting.drive.sent)
    hosting.drive.session()
    hosting.drive.run(core.recovery.resume([]))
    created = [event.item for event in hosting.drive.sent[before:] if isinstance(event, ConversationItemCreate)]
    return [item.text for item in created if isinstance(item, MessageItem)]


@pytest.mark.parametrize("given_up", [False, True])
def test_an_approved_call_that_had_not_begun_is_told_to_the_next_connection_once(
    hosting: Hosting, given_up: bool
) -> None:
    hosting.server("response.output_item.added", response_id="r1", item=request())
    hosting.drive.done("r1")
    hosting.drive.run(hosting.drive.core.decided("q1", approved=True))
    if given_up:
        hosting.drive.fire("mcp")
    (words,) = told_in_words(hosting)
    assert words.startswith('The tool docs.find was approved to be called with {"q": 1} before; its outcome is not')
    assert told_in_words(hosting) == []


def test_an_approved_call_that_had_begun_is_told_to_the_next_connection_once(hosting: Hosting) -> None:
    hosting.server("response.output_item.added", response_id="r1", item=request())
    hosting.drive.done("r1")
    hosting.drive.run(hosting.drive.core.decided("q1", approved=True))
    hosting.server("conversation.item.added", item=mcp_call(approval_request_id="q1"))
    (words,) = told_in_words(hosting)
    assert words.startswith("The tool docs.find was called with {} before")


@pytest.mark.parametrize("decided", [True, False])
def test_a_call_that_nobody_has_approved_is_not_told_to_the_next_connection(hosting: Hosting, decided: bool) -> None:
    hosting.server("response.output_item.added", response_id="r1", item=request())
    hosting.drive.done("r1")
    if decided:
        hosting.drive.run(hosting.drive.core.decided("q1", approved=False))
    assert told_in_words(hosting) == []


# Listing


@pytest.mark.parametrize("known", [True, False])
def test_a_listing_that_failed_is_told(hosting: Hosting, known: bool) -> None:
    if known:
        item = {"id": "l1", "type": "mcp_list_tools", "server_label": "docs", "tools": []}
        hosting.server("conversation.item.added", item=item)
    hosting.server("mcp_list_tools.failed", item_id="l1")
    notice = hosting.drive.emitted[-1]
    assert isinstance(notice, Notice)
    assert ("docs" in notice.message) == known
