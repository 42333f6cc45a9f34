"""set_memory and get_memory: in a session and in a file."""

import gc
import json
import sys
import weakref
from pathlib import Path

import pytest
from agentkit_basics.memory import GET_MEMORY, SET_MEMORY, MemoryConfig

from agentkit import ToolCall, ToolContext, ToolError


class Session:
    """As much of a session as a tool may use."""

    async def send_text(self, text: str, *, reply: bool = True, interrupt: bool = False) -> None:
        """Send a message of the user's."""

    async def say(self, text: str) -> None:
        """Let the agent speak a text."""

    async def end(self, reason: str = "") -> None:
        """End the session."""


def session() -> ToolContext:
    return ToolContext(call=ToolCall(call_id="c1", name="set_memory"), session=Session())


def remember(context: ToolContext, key: str, value: str, *, path: Path | None = None) -> object:
    return SET_MEMORY.make(MemoryConfig(path=str(path) if path else None))(key, value, context)


def recall(context: ToolContext, key: str, *, path: Path | None = None) -> dict[str, object]:
    answer = GET_MEMORY.make(MemoryConfig(path=str(path) if path else None))(key, context)
    assert isinstance(answer, dict)
    return answer


def test_what_was_remembered_is_recalled_in_the_same_session() -> None:
    context = session()
    remember(context, "dog", "Rex")
    assert recall(context, "dog") == {"text": "dog: Rex", "key": "dog", "value": "Rex"}


def test_another_session_knows_nothing_of_it() -> None:
    remember(session(), "dog", "Rex")
    assert recall(session(), "dog")["value"] is None


def test_what_a_session_remembered_goes_with_it() -> None:
    context = session()
    remember(context, "dog", "Rex")
    gone = weakref.ref(context.session)
    del context
    gc.collect()
    assert gone() is None


def test_without_a_session_and_a_file_there_is_nothing_to_remember_in() -> None:
    with pytest.raises(ToolError, match="no session to remember in: give both memory tools the option path"):
        remember(ToolContext(call=ToolCall(call_id="c1", name="set_memory")), "dog", "Rex")


@pytest.mark.parametrize("key", ["Dog", "my dog", " MY  dog? ", "the_dog", "user's dog"])
def test_a_key_is_found_however_it_is_written(key: str) -> None:
    context = session()
    remember(context, "my dog", "Rex")
    assert recall(context, key)["value"] == "Rex"


def test_the_last_value_counts() -> None:
    context = session()
    remember(context, "dog", "Rex")
    remember(context, "dog", "Fido")
    assert recall(context, "dog")["value"] == "Fido"


def test_an_inexact_key_gets_the_nearest() -> None:
    context = session()
    remember(context, "dog's name", "Rex")
    remember(context, "favourite colour", "green")
    answer = recall(context, "colour")
    assert (answer["value"], answer["nearest"]) == (None, ["favourite colour"])
    assert answer["text"] == "Nothing is remembered as 'colour'; the nearest are favourite colour."


def test_a_key_with_nothing_near_gets_a_plain_answer() -> None:
    assert recall(session(), "dog")["text"] == "Nothing is remembered as 'dog'."


@pytest.mark.parametrize("key", ["", "  ", "?", "x" * 101])
def test_a_key_of_no_use_is_refused(key: str) -> None:
    with pytest.raises(ToolError, match="1 to 100 characters"):
        remember(session(), key, "Rex")


def test_a_long_value_is_refused() -> None:
    with pytest.raises(ToolError, match="longer than 2000 characters"):
        remember(session(), "dog", "x" * 2_001)


def test_a_full_memory_says_so_but_still_changes_what_it_holds() -> None:
    context = session()
    for number in range(1_000):
        remember(context, f"n{number}", "x")
    with pytest.raises(ToolError, match="memory is full"):
        remember(context, "dog", "Rex")
    remember(context, "n1", "y")
    assert recall(context, "n1")["value"] == "y"


def test_a_file_keeps_the_memory_between_sessions(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "memory.json"
    remember(session(), "dog", "Réx", path=file)
    assert recall(session(), "dog", path=file)["value"] == "Réx"
    assert json.loads(file.read_text(encoding="utf-8")) == {"dog": "Réx"}


def test_a_file_that_does_not_exist_is_an_empty_memory(tmp_path: Path) -> None:
    file = tmp_path / "memory.json"
    assert recall(session(), "dog", path=file)["value"] is None
    assert not file.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="files have other rights there")
def test_a_new_file_is_the_owners_alone_and_one_that_is_there_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "memory.json"
    remember(session(), "dog", "Rex", path=path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    remember(session(), "dog", "Max", path=path)
    assert path.stat().st_mode & 0o777 == 0o640
    assert json.loads(path.read_text()) == {"dog": "Max"}


def test_writing_leaves_no_other_file_behind(tmp_path: Path) -> None:
    remember(session(), "dog", "Rex", path=tmp_path / "memory.json")
    assert [path.name for path in tmp_path.iterdir()] == ["memory.json"]


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"dog": ', "is no valid JSON and was left as it is"),
        ("\udcff", "is no valid JSON"),
        ("[" * 100_000, "is no valid JSON"),
        ('["dog"]', "must hold an object of texts and was left as it is"),
        ('{"dog": 1}', "must hold an object of texts"),
    ],
)
def test_a_corrupt_file_is_reported_and_left_as_it_is(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "memory.json"
    raw = text.encode("utf-8", "surrogateescape")
    file.write_bytes(raw)
    with pytest.raises(ToolError, match=message):
        remember(session(), "dog", "Rex", path=file)
    with pytest.raises(ToolError, match=message):
        recall(session(), "dog", path=file)
    assert file.read_bytes() == raw


def test_a_file_that_is_a_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot be read"):
        recall(session(), "dog", path=tmp_path)


def test_a_place_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolError, match=r"cannot be (read|written)"):
        remember(session(), "dog", "Rex", path=tmp_path / "file" / "memory.json")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "memory.json"
    file.write_bytes(b" " * 8_000_001)
    with pytest.raises(ToolError, match="larger than 8000000 bytes"):
        recall(session(), "dog", path=file)
