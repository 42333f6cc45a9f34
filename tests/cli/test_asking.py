"""What a person is asked about calls that wait, one after the other, and what becomes of the answers."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

import agentkit
from agentkit.cli.approvals import Asking, Everything, Nobody, QuestionClosed, exact, shown_arguments
from agentkit.cli.terminal import Look
from agentkit.events import ApprovalDecided, ApprovalRequested
from agentkit.testing import FakeServer
from agentkit.tools import tool

pytestmark = pytest.mark.anyio


class Typist:
    """Answers questions; where it has no answer, it lets the question stand until it is closed."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)
        self.questions: list[str] = []
        self.asked = anyio.Event()
        self._closed = anyio.Event()

    async def question(self, text: str, *, default: str = "") -> str | None:
        self.questions.append(f"{text}{default}")
        if self.answers:
            return self.answers.pop(0)
        self.asked.set()
        self._closed = anyio.Event()
        await self._closed.wait()
        raise QuestionClosed

    def close_question(self) -> None:
        self._closed.set()


@tool(approve="ask")
async def mail(to: str) -> str:
    """Send a mail."""
    return f"mailed {to}"


@asynccontextmanager
async def asked(
    approver: Asking | Everything | Nobody, *names: str
) -> AsyncIterator[tuple[agentkit.Session, list[ApprovalDecided]]]:
    """Let the model call the tool once for each name, and an approver decide; done once all are decided."""
    server = FakeServer()
    decided: list[ApprovalDecided] = []
    async with agentkit.open(server, tools=[mail]) as session, anyio.create_task_group() as tasks:
        approver.attach(session, nothing)
        tasks.start_soon(approver.run)
        with session.subscribe(ApprovalRequested, ApprovalDecided) as events, anyio.fail_after(5):
            await server.calls("r1", **{name: ("mail", f'{{"to": "{name}"}}') for name in names})
            yield session, decided
            async for event in events:
                assert isinstance(event, ApprovalRequested | ApprovalDecided)
                approver.told(event)
                if isinstance(event, ApprovalDecided):
                    decided.append(event)
                    if len(decided) == len(names):
                        break
        tasks.cancel_scope.cancel()


def nothing(level: str, code: str, message: str, *, hint: str | None = None) -> None:
    """Tell nobody."""


def asking(typist: Typist) -> Asking:
    return Asking(typist, lambda text: None, Look(io.StringIO(), environ={}))


async def test_several_calls_are_asked_for_one_after_the_other() -> None:
    typist = Typist("y", "n", "y")
    async with asked(asking(typist), "ann", "bob", "cem") as (_, decided):
        pass
    assert [question.partition(" needs")[0] for question in typist.questions] == [
        'tool mail(to="ann")',
        'tool mail(to="bob")',
        'tool mail(to="cem")',
    ]
    assert {each.call_id: each.approved for each in decided} == {"ann": True, "bob": False, "cem": True}


async def test_a_call_that_is_given_up_is_not_asked_for_any_more() -> None:
    typist = Typist()
    async with anyio.create_task_group() as tasks, asked(asking(typist), "ann", "bob") as (session, decided):

        async def give_up() -> None:
            await typist.asked.wait()
            typist.answers.append("y")
            session.calls.cancel("ann")

        tasks.start_soon(give_up)
    assert [(each.call_id, each.approved, each.by) for each in decided] == [
        ("ann", False, "cancelled"),
        ("bob", True, "person"),
    ]
    assert [question.partition(" needs")[0] for question in typist.questions] == [
        'tool mail(to="ann")',
        'tool mail(to="bob")',
    ]


async def test_a_refusal_of_all_takes_those_that_wait_along() -> None:
    typist = Typist()
    approver = asking(typist)
    refused: list[str] = []
    async with anyio.create_task_group() as tasks, asked(approver, "ann", "bob") as (session, decided):

        async def refuse() -> None:
            await typist.asked.wait()
            while len(session.approvals.pending) < 2:
                await anyio.lowlevel.checkpoint()
            refused.extend(approver.refuse())

        tasks.start_soon(refuse)
    assert refused == ["ann", "bob"]
    assert [(each.approved, each.reason) for each in decided] == [(False, "the user has refused it")] * 2


async def test_the_end_of_input_refuses_all_from_then_on() -> None:
    typist = Typist(None)
    async with asked(asking(typist), "ann") as (session, decided):
        pass
    assert [each.reason for each in decided] == ["nobody can be asked for approval any more"]
    assert session.approvals.answerable is False


async def test_the_arguments_can_be_changed() -> None:
    typist = Typist("e", '{"to": 5}', '{"to": "dan"}')
    async with asked(asking(typist), "ann") as (_, decided):
        pass
    assert typist.questions[1:] == ['arguments > {"to": "ann"}', 'arguments > {"to": 5}']
    assert [(each.approved, each.edited) for each in decided] == [(True, True)]


@pytest.mark.parametrize(
    "text, shown",
    [
        ('{"a": "x\\u202ey", "b": [1, null]}', 'a="x\\u202ey", b=[1,null]'),
        ('{"a": "two  spaces\\nand a line\\u001b[2J"}', 'a="two  spaces\\nand a line\\u001b[2J"'),
        ("not json\x1b[2J", "not json\\u001b[2J"),
        ("[1]", "[1]"),
        ("{}", ""),
    ],
)
def test_arguments_are_shown_with_nothing_left_out_or_unseen(text: str, shown: str) -> None:
    assert shown_arguments(text) == shown
    assert exact(shown_arguments(text)).isprintable()
