"""The journal: what is on disk, who may read it, and what comes back from it."""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

import agentkit
from agentkit import ConfigError, Local, NextCall, Settings, Snapshot, ToolCall, ToolContext, ToolResult
from agentkit.events import (
    Event,
    FunctionCallItem,
    FunctionCallOutputItem,
    ItemCompleted,
    MessageItem,
    Notice,
    ToolFinished,
)
from agentkit.session.journal import Journal, JournalConfig
from agentkit.session.snapshot import replay
from agentkit.testing import FakeServer

pytestmark = pytest.mark.anyio
PATIENCE = 5.0
CALL = ("transfer", '{"amount": 5, "pin": "90210"}')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "journal.jsonl"


def items(path: Path) -> list[Any]:
    return [entry.item for entry in Snapshot.from_journal(path).entries]


@agentkit.tool(secret=["pin"])
async def transfer(amount: int, pin: str) -> str:
    """Transfer money."""
    return f"{amount} transferred with {pin}"


def lines(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def shorten(path: Path, cut: int) -> None:
    path.write_bytes(path.read_bytes()[:-cut])


async def called(server: FakeServer, session: agentkit.Session, call: tuple[str, str] = CALL) -> None:
    with anyio.fail_after(PATIENCE), session.subscribe(ToolFinished) as finished:
        await server.calls("r1", c1=call)
        await anext(finished)


async def test_a_call_is_on_disk_before_its_body_begins_and_its_outcome_before_anybody_is_told(path: Path) -> None:
    seen: list[list[str]] = []

    @agentkit.tool
    async def look(context: ToolContext) -> str:
        """Look at what is on disk."""
        seen.append([next(iter(line)) for line in lines(path)])
        return "done"

    server = FakeServer()
    async with agentkit.open(server, tools=[look], journal=path) as session:
        await called(server, session, ("look", "{}"))
        seen.append([next(iter(line)) for line in lines(path)])
    assert seen == [["v", "settings", "entry", "call"], ["v", "settings", "entry", "call", "outcome"]]


async def test_what_was_said_comes_back_in_its_order_with_its_settings(path: Path) -> None:
    settings = Settings(instructions="Be brief.")
    async with agentkit.open(Local(), settings=settings, journal=path) as session:
        with anyio.fail_after(PATIENCE):
            await session.ask("hello")
        history = session.history.items()
    snapshot = Snapshot.from_journal(path)
    assert [entry.item for entry in snapshot.entries] == history
    assert isinstance(snapshot.settings, Settings)
    assert snapshot.settings.instructions == "Be brief."


async def test_a_call_with_its_outcome_comes_back_with_its_output(path: Path) -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[transfer], journal=path) as session:
        await called(server, session)
    call, output = replay(Snapshot.from_journal(path)).items
    assert isinstance(call, FunctionCallItem)
    assert isinstance(output, FunctionCallOutputItem)
    assert (call.call_id, output.call_id) == ("c1", "c1")
    assert output.output.startswith("5 transferred")


async def test_secret_arguments_are_in_no_line(path: Path) -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[transfer], journal=path) as session:
        await called(server, session)
    assert "90210" not in str(lines(path))
    call = items(path)[0]
    assert msgspec.json.decode(call.arguments) == {"amount": 5, "pin": "***"}


async def test_only_its_owner_may_read_it(path: Path) -> None:
    async with agentkit.open(FakeServer(), journal=path):
        assert stat.S_IMODE((await anyio.Path(path).stat()).st_mode) == 0o600


async def test_what_was_heard_of_an_item_that_was_cut_off_comes_back(path: Path) -> None:
    server = FakeServer()
    async with agentkit.open(server, journal=path) as session:
        server.will_say("It opens at ten and closes at six.", audio=bytes(48_000))
        with anyio.fail_after(PATIENCE):
            await session.ask("When?")
            await session.interrupt(500)
    entry = Snapshot.from_journal(path).entries[-1]
    assert entry.heard_ms == 500
    assert entry.heard_text
    assert "It opens at ten".startswith(entry.heard_text[:5])


async def test_the_users_words_come_back_though_they_came_after_the_item(path: Path) -> None:
    server = FakeServer()
    async with agentkit.open(server, journal=path) as session:
        audio = {"id": "u1", "type": "message", "role": "user", "status": "completed"}
        with anyio.fail_after(PATIENCE), session.subscribe(ItemCompleted) as completed:
            await server.emit("conversation.item.added", item={**audio, "content": [{"type": "input_audio"}]})
            said = {"item_id": "u1", "content_index": 0, "transcript": "Is it open?"}
            await server.emit("conversation.item.input_audio_transcription.completed", **said)
            await server.says("r1", "Yes.")
            await anext(completed)
            await anext(completed)
    assert [item.text for item in items(path)] == ["Is it open?", "Yes."]


async def test_an_item_that_was_deleted_does_not_come_back(path: Path) -> None:
    server = FakeServer()
    async with agentkit.open(server, journal=path) as session:
        with anyio.fail_after(PATIENCE), session.subscribe(ItemCompleted) as completed:
            await server.says("r1", "One.")
            await server.emit("conversation.item.deleted", item_id="item_r1")
            await server.says("r2", "Two.")
            await anext(completed)
            await anext(completed)
    assert [item.text for item in items(path)] == ["Two."]


async def test_a_conversation_that_goes_on_in_the_same_file_comes_back_once(path: Path) -> None:
    async with agentkit.open(Local(), journal=path) as session:
        with anyio.fail_after(PATIENCE):
            await session.ask("first")
    async with agentkit.open(Local(), journal=path) as session:
        await session.resume(Snapshot.from_journal(path))
        with anyio.fail_after(PATIENCE):
            await session.ask("second")
    found = items(path)
    assert [item.text for item in found if item.role == "user"] == ["first", "second"]
    assert len(found) == 4


@pytest.mark.parametrize("cut", [1, 2, 40])
async def test_a_line_that_was_cut_short_is_left_out_and_the_file_goes_on(path: Path, cut: int) -> None:
    server = FakeServer()
    async with agentkit.open(server, tools=[transfer], journal=path) as session:
        await called(server, session)
    shorten(path, cut)
    async with agentkit.open(FakeServer(), journal=path):
        pass
    snapshot = Snapshot.from_journal(path)
    known = [call.call_id for call in replay(snapshot).unknown]
    assert known == ([] if cut == 1 else ["c1"])


async def test_a_call_that_cannot_be_written_down_does_not_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []

    @agentkit.tool
    async def act() -> None:
        """Do something."""
        runs.append(1)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    server = FakeServer()
    async with agentkit.open(server, tools=[act], journal=path) as session:
        with session.subscribe(Notice, ToolFinished) as events, anyio.fail_after(PATIENCE):
            monkeypatch.setattr("agentkit.session.journal.os.write", full)
            await server.calls("r1", c1=("act", "{}"))
            told: Sequence[Event] = [await anext(events), await anext(events)]
        monkeypatch.undo()
    assert runs == []
    (finished,) = [event for event in told if isinstance(event, ToolFinished)]
    (notice,) = [event for event in told if isinstance(event, Notice)]
    assert finished.status == "refused"
    assert (notice.code, notice.level) == ("journal_failed", "error")
    assert "No space left" in notice.message


def short(monkeypatch: pytest.MonkeyPatch, missing: int) -> None:
    """Let the next write to the journal leave its last bytes out, as a disk that is full does."""
    write = os.write

    def once(file: int, data: bytes) -> int:
        monkeypatch.setattr("agentkit.session.journal.os.write", write)
        return write(file, data[: len(data) - missing])

    monkeypatch.setattr("agentkit.session.journal.os.write", once)


class Short(agentkit.Middleware):
    """Lets the line of the first call be cut short."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, missing: int) -> None:
        self._monkeypatch = monkeypatch
        self._missing = missing

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        if call.call_id == "c1":
            short(self._monkeypatch, self._missing)
        return await call_next(call)


async def called_twice(path: Path, short: Short) -> tuple[list[str], list[str]]:
    """Have two calls of which the first is cut short in the journal; return how they ended, and the bodies that ran."""
    runs: list[str] = []

    @agentkit.tool
    async def act(number: int, context: ToolContext) -> None:
        """Do something."""
        runs.append(context.call.call_id)

    server = FakeServer()
    ends: list[str] = []
    async with agentkit.open(server, tools=[act], middleware=[short], journal=path) as session:
        with session.subscribe(ToolFinished) as finished, anyio.fail_after(PATIENCE):
            for number in (1, 2):
                await server.calls(f"r{number}", **{f"c{number}": ("act", f'{{"number": {number}}}')})
                ends.append((await anext(finished)).status)
    return ends, runs


def calls_on_disk(path: Path) -> list[bytes]:
    """Return the lines of calls that are whole."""
    return [line for line in path.read_bytes().splitlines() if line.startswith(b'{"call"') and line.endswith(b"}}")]


@pytest.mark.parametrize("missing", [2, 30])
async def test_a_call_that_is_written_down_in_part_does_not_run_and_the_next_line_is_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    ends, runs = await called_twice(path, Short(monkeypatch, missing))
    assert (ends, runs) == (["refused", "ok"], ["c2"])
    assert len(calls_on_disk(path)) == 1
    assert [item.call_id for item in items(path)] == ["c1", "c2", "c2"]  # the model's calls, and one outcome


async def test_a_line_that_misses_nothing_but_its_end_is_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends, runs = await called_twice(path, Short(monkeypatch, 1))
    assert (ends, runs) == (["ok", "ok"], ["c1", "c2"])
    assert [next(iter(line)) for line in lines(path) if "call" in line or "outcome" in line] == ["call", "outcome"] * 2


async def test_a_journal_whose_first_line_is_cut_short_is_told_before_anything_is_dialled(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch, 3)
    with pytest.raises(ConfigError, match=r"journal cannot write .* only 5 of 7 bytes"):
        async with agentkit.open(FakeServer(), journal=path):
            pass


async def test_a_call_that_a_guard_refuses_is_on_disk_with_that_outcome(path: Path) -> None:
    class Guard(agentkit.Middleware):
        async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
            return ToolResult.refused("not today")

    server = FakeServer()
    async with agentkit.open(server, tools=[transfer], guards=[Guard()], journal=path) as session:
        await called(server, session)
    _, output = items(path)
    assert isinstance(output, FunctionCallOutputItem)
    assert "not today" in output.output


async def test_a_place_that_cannot_be_written_is_told_before_anything_is_dialled(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="journal cannot write"):
        async with agentkit.open(FakeServer(), journal=tmp_path / "file" / "journal"):
            pass


async def test_the_layer_can_be_made_of_its_options(path: Path) -> None:
    async with agentkit.open(FakeServer(), middleware=[Journal.from_config(JournalConfig(path=str(path)))]):
        pass
    assert Snapshot.from_journal(path).entries == ()


def test_a_journal_of_a_later_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b'{"v":99}\n')
    with pytest.raises(ValueError, match=r"line 1: it is of version 99.*update"):
        Snapshot.from_journal(tmp_path / "j")


@pytest.mark.parametrize("line", [b'{"heard": 5}', b'{"entry": {"item": 5}}', b"[]"])
def test_a_file_that_is_no_journal_is_refused_with_the_line(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "j").write_bytes(b'{"v":1}\n' + line + b"\n")
    with pytest.raises(ValueError, match="line 2"):
        Snapshot.from_journal(tmp_path / "j")


async def test_resuming_tells_the_user_of_each_call_whose_outcome_is_not_known(tmp_path: Path) -> None:
    item = {"type": "function_call", "id": "i1", "call_id": "c1", "name": "transfer", "arguments": "{}"}
    (tmp_path / "j").write_bytes(b'{"v":1}\n{"call":%s}\n' % msgspec.json.encode(item))
    async with agentkit.open(Local()) as session:
        with session.subscribe(Notice) as notices, anyio.fail_after(PATIENCE):
            assert await session.resume(Snapshot.from_journal(tmp_path / "j")) == ()
            notice = await anext(notices)
        call, output = session.history.items()
    assert notice.code == "outcome_unknown"
    assert "transfer" in notice.message
    assert isinstance(call, FunctionCallItem)
    assert isinstance(output, FunctionCallOutputItem)
    assert "not known" in output.output


def test_messages_keep_their_roles(tmp_path: Path) -> None:
    entry = b'{"entry":{"item":{"type":"message","id":"a","role":"system","content":[]}}}\n'
    (tmp_path / "j").write_bytes(b'{"v":1}\n' + entry)
    (item,) = items(tmp_path / "j")
    assert isinstance(item, MessageItem)
    assert item.role == "system"
