"""What telling of a delta must not do: read the audio so far, join the text so far, or tell what nobody hears."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from agentkit import RealtimeClient
from agentkit.client import Item, RealtimeAPI
from agentkit.events.views import PartView
from agentkit.protocol.audio import ItemAudio

if TYPE_CHECKING:
    from tests.client.conftest import Server

pytestmark = pytest.mark.anyio
DELTAS = 50


class Counted:
    """Counts the calls of a function."""

    def __init__(self) -> None:
        self.calls = 0

    def of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            return function(*args, **kwargs)

        return counted


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Counts how often the audio of an item is read."""
    counted = Counted()
    monkeypatch.setattr(ItemAudio, "read", counted.of(ItemAudio.read))
    return counted


@pytest.fixture
def joins(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Counts how often the text of a part is joined."""
    counted = Counted()
    original: property = vars(PartView)["text"]
    monkeypatch.setattr(PartView, "text", property(counted.of(lambda part: original.__get__(part))))
    return counted


async def talk(server: Server, client: RealtimeClient) -> None:
    await server.begins()
    await server.adds("i1")
    for _ in range(DELTAS):
        await server.tells("output_audio_transcript", "word ")
        await server.speaks(bytes(4800))
    await server.handled(client)


async def test_a_delta_is_told_without_reading_the_audio_or_the_text_so_far(
    server: Server, reads: Counted, joins: Counted
) -> None:
    client = RealtimeClient(provider=server)
    heard: list[int] = []
    words: list[str] = []

    @client.on("conversation.updated")
    def updated(event: Any) -> None:
        assert event.item.id == "i1"
        assert event.item.status == "in_progress"
        if event.delta and event.delta.audio is not None:
            heard.append(len(event.delta.audio))
        elif event.delta:
            words.append(event.delta.transcript)

    async with client:
        await talk(server, client)
    assert (sum(heard), len(words)) == (2400 * DELTAS, DELTAS)
    assert (reads.calls, joins.calls) == (0, 0)


async def test_the_audio_is_read_once_where_somebody_asks_for_it(server: Server, reads: Counted) -> None:
    client = RealtimeClient(provider=server)
    kept: list[Any] = []
    client.on("conversation.updated", kept.append)
    async with client:
        await talk(server, client)
        assert reads.calls == 0
        formatted = kept[-1].item.formatted
        for _ in range(3):
            assert len(formatted.audio) == 2400 * DELTAS
        assert reads.calls == 1
        assert len(kept[-3].item.formatted.audio) == 2400 * (DELTAS - 1)
        assert reads.calls == 2


async def test_a_list_of_the_items_reads_no_audio(server: Server, reads: Counted, joins: Counted) -> None:
    async with RealtimeClient(provider=server) as client:
        await talk(server, client)
        assert [item.id for item in client.conversation.get_items()] == ["i1"]
    assert (reads.calls, joins.calls) == (0, 0)


async def test_payloads_that_nobody_listens_to_are_not_made(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    items, decoded = Counted(), Counted()
    monkeypatch.setattr("agentkit.client.telling.Item", items.of(Item))
    monkeypatch.setattr(RealtimeAPI, "log", decoded.of(RealtimeAPI.log))
    client = RealtimeClient(provider=server)
    async with client:
        await talk(server, client)
        assert (items.calls, decoded.calls) == (0, 1)  # the one frame is the marker
        client.on("conversation.updated", lambda event: None)
        await server.speaks(bytes(4800))
        await server.handled(client)
    assert (items.calls, decoded.calls) == (1, 2)
