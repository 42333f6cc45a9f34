"""``hold``: no shape in which a server may tell a text gets around the check, and none blocks what comes after it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from agentkit_guard import Hold, HoldConfig

from agentkit import Reconnect
from agentkit.events import Notice, Reconnected, ResponseDone, TurnCompleted

from .talking import Seen, Server, at, opened

pytestmark = pytest.mark.anyio
Script = Callable[[Server], Awaitable[None]]


def hold(**options: Any) -> Hold:
    return Hold(HoldConfig(**{"deny": ("bomb*",), "message": "No.", **options}))


def message(*texts: str, kind: str = "output_text", **fields: Any) -> dict[str, Any]:
    content = [{"type": kind, "text": text} for text in texts]
    item = {"id": "i1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    return {name: value for name, value in {**item, **fields}.items() if value is not None}


async def tell(server: Server, name: str, item: dict[str, Any]) -> None:
    await server.emit(name, item=item)


async def respond(server: Server, item: dict[str, Any], *, begun: bool = False) -> None:
    output = [item] if begun else []
    await server.emit("response.created", response={"id": "r1", "status": "in_progress", "output": output})
    await server.emit("response.output_item.added", response_id="r1", output_index=0, item=item)
    await server.emit("response.output_item.done", response_id="r1", output_index=0, item=item)
    await server.emit("conversation.item.done", item=item)
    await server.emit("response.done", response={"id": "r1", "status": "completed", "output": [item]})


async def without_deltas(server: Server) -> None:
    await server.emit("response.created", response={"id": "r1", "status": "in_progress", "output": []})
    await tell(server, "conversation.item.added", message("", status="in_progress"))
    await tell(server, "conversation.item.done", message("a bomb"))
    await server.emit("response.done", response={"id": "r1", "status": "completed", "output": [message("a bomb")]})


async def part(server: Server) -> None:
    await server.begins()
    await server.emit("response.content_part.added", **at("r1", "i1"), part={"type": "output_text", "text": "a bomb"})


async def two_parts(server: Server) -> None:
    await server.begins()
    for index, text in enumerate(("a bo", "mb.")):
        await server.emit("response.output_text.delta", **{**at("r1", "i1"), "content_index": index}, delta=text)
    item = message("a bo", "mb.")
    await server.emit("response.output_item.done", response_id="r1", output_index=0, item=item)
    await tell(server, "conversation.item.done", item)
    await server.emit("response.done", response={"id": "r1", "status": "completed", "output": [item]})


async def replaced(server: Server) -> None:
    await server.begins()
    await server.writes("All is a bomb")
    await server.ends("All is a cake.")


SHAPES: dict[str, Script] = {
    "item added": lambda server: tell(server, "conversation.item.added", message("a bomb")),
    "item done": lambda server: tell(server, "conversation.item.done", message("a bomb")),
    "item retrieved": lambda server: tell(server, "conversation.item.retrieved", message("a bomb")),
    "without deltas": without_deltas,
    "response begun": lambda server: respond(server, message("a bomb"), begun=True),
    "response": lambda server: respond(server, message("a bomb")),
    "role": lambda server: respond(server, message("a bomb", role="tool")),
    "user role": lambda server: respond(server, message("a bomb", role="user")),
    "no id": lambda server: respond(server, message("a bomb", id=None)),
    "input text": lambda server: respond(server, message("a bomb", kind="input_text")),
    "unknown part": lambda server: respond(server, message("a bomb", kind="markdown")),
    "unknown item": lambda server: respond(server, {"id": "i1", "type": "poem", "lines": ["a bomb", "a rose"]}),
    "unknown event": lambda server: server.emit("response.text2.delta", delta="a bomb"),
    "part": part,
    "two parts": two_parts,
    "replaced": replaced,
}


@pytest.mark.parametrize("unit", ["sentence", "response"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_what_may_not_pass_is_not_seen_in_any_shape(shape: str, unit: str) -> None:
    server = Server()
    async with opened(server, hold(unit=unit)) as (_, seen):
        await SHAPES[shape](server)
        await seen.all()
        await server.begins("r9", "i9")
        await server.ends("All is well.", response_id="r9", item_id="i9")
        await seen.until(TurnCompleted)
        await _ended(seen, "r9")
    assert "bomb" not in seen.words()


async def _ended(seen: Seen, response_id: str) -> None:
    while response_id not in [event.response.id for event in seen.of(ResponseDone)]:
        await seen.until(ResponseDone)


@pytest.mark.parametrize("unit", ["sentence", "response"])
async def test_what_the_connection_cut_does_not_hold_up_what_comes_over_the_next(unit: str) -> None:
    server = Server()
    async with opened(server, hold(unit=unit), reconnect=Reconnect(attempts=3)) as (session, seen):
        await server.begins()
        await server.tells("Good mor")
        await server.speaks()
        await seen.all()
        await server.drop()
        await seen.until(Reconnected)
        await server.begins("r2", "i2")
        await server.tells("All is well. ", response_id="r2", item_id="i2")
        await server.ends("All is well. ", spoken=True, response_id="r2", item_id="i2")
        turn = await seen.until(TurnCompleted)
        server.will_say("Later.")
        assert (await session.ask("and?", timeout=10)).text == "Later."
    assert turn.text == seen.told == "All is well. "
    assert "Good" not in seen.words()


async def test_a_response_that_never_ends_does_not_hold_up_the_next() -> None:
    server = Server()
    async with opened(server, hold()) as (_, seen):
        await server.begins()
        await server.tells("Good mor")
        await server.begins("r2", "i2")
        await server.tells("All is well. ", response_id="r2", item_id="i2")
        await server.ends("All is well. ", spoken=True, response_id="r2", item_id="i2")
        await seen.until(TurnCompleted)
    assert seen.told == "All is well. "


async def test_what_the_user_says_is_not_held() -> None:
    server = Server()
    async with opened(server, hold()) as (_, seen):
        await tell(server, "conversation.item.added", message("no bombs", kind="input_text", role="user"))
        await seen.all()
        assert "no bombs" in seen.words()
        assert seen.of(Notice) == []
