"""The user's audio: which item it becomes, whatever else is going on, and how much of it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentkit.events import AudioFormat, InputAudioBufferAppend, InputAudioBufferClear, InputAudioBufferCommit
from agentkit.protocol import Limits
from agentkit.protocol.audio import CHUNK_COST, Format
from agentkit.protocol.listening import SPEECHES, InputAudio

if TYPE_CHECKING:
    from tests.protocol.conftest import Drive

COMMITTED, CLEARED = "input_audio_buffer.committed", "input_audio_buffer.cleared"
STARTED, STOPPED = "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"
EMPTY = "input_audio_buffer_commit_empty"
VAD: dict[str, object] = {"type": "server_vad"}
KEEP = 1 << 20


@pytest.fixture
def keeping(new_drive: type[Drive]) -> Drive:
    """A session whose client commits, and keeps the user's audio."""
    drive = new_drive(limits=Limits(keep_input_bytes=KEEP))
    drive.session()
    return drive


def says(drive: Drive, sound: str, ms: int = 200) -> None:
    """The user says a sound: each has a byte of its own."""
    drive.send(InputAudioBufferAppend(audio=sound.encode() * (ms * 48)))


def heard(drive: Drive, item_id: str) -> list[tuple[str, int]]:
    """Return the sounds in an item's audio, and the milliseconds of each."""
    view = drive.core.input.view(item_id)
    data = view.read().decode() if view is not None else ""
    return [(sound, data.count(sound) // 48) for sound in dict.fromkeys(data)]


def commit(drive: Drive) -> str:
    """Commit, and return the commit's event id."""
    drive.send(InputAudioBufferCommit())
    return drive.sent[-1].event_id or ""


# Which item it becomes


def test_a_commit_s_audio_is_the_item_s_that_is_named(keeping: Drive) -> None:
    says(keeping, "a")
    commit(keeping)
    keeping.user_item("typed")
    keeping.server(COMMITTED, item_id="spoken")
    assert heard(keeping, "spoken") == [("a", 200)]
    assert heard(keeping, "typed") == []


def test_commits_that_are_answered_late_keep_their_own_audio(keeping: Drive) -> None:
    for sound in "abc":
        says(keeping, sound)
        commit(keeping)
    says(keeping, "d")
    for item_id in ("u1", "u2", "u3"):
        keeping.server(COMMITTED, item_id=item_id)
    assert [heard(keeping, item_id) for item_id in ("u1", "u2", "u3")] == [[("a", 200)], [("b", 200)], [("c", 200)]]
    assert keeping.core.input.pending_ms == 200


def test_an_item_begins_and_ends_within_what_was_appended_at_once() -> None:
    audio = InputAudio(KEEP)
    audio.use(Format("audio/pcmu", 1000))  # a byte a millisecond
    audio.append(b"aaaabbbbcccc")
    audio.speech("u1", began_ms=2, ended_ms=6)
    audio.emptied("u1")
    audio.speech("u2", began_ms=6, ended_ms=11)
    audio.emptied("u2")
    first, second = audio.view("u1"), audio.view("u2")
    assert first is not None
    assert second is not None
    assert (first.read(), second.read()) == (b"aabb", b"bbccc")


def test_what_was_cleared_belongs_to_no_item(keeping: Drive) -> None:
    says(keeping, "a")
    keeping.send(InputAudioBufferClear())
    says(keeping, "b")
    commit(keeping)
    keeping.server(CLEARED)
    keeping.server(COMMITTED, item_id="u1")
    assert heard(keeping, "u1") == [("b", 200)]


def test_what_the_server_dropped_by_itself_belongs_to_no_item(keeping: Drive) -> None:
    says(keeping, "a")
    keeping.server(CLEARED)
    says(keeping, "b")
    commit(keeping)
    keeping.server(COMMITTED, item_id="u1")
    assert heard(keeping, "u1") == [("b", 200)]


def test_an_item_named_in_the_place_of_a_clear_takes_nothing(keeping: Drive) -> None:
    says(keeping, "a")
    keeping.send(InputAudioBufferClear())
    keeping.server(COMMITTED, item_id="u1")
    assert heard(keeping, "u1") == []


def test_an_item_of_nothing_has_no_audio(keeping: Drive) -> None:
    keeping.server(COMMITTED, item_id="u1")
    assert keeping.core.input.view("u1") is None


def test_an_item_that_is_committed_twice_keeps_its_first_audio(keeping: Drive) -> None:
    says(keeping, "a")
    keeping.server(COMMITTED, item_id="u1")
    says(keeping, "b")
    keeping.server(COMMITTED, item_id="u1")
    assert heard(keeping, "u1") == [("a", 200)]


# Refused commits


@pytest.mark.parametrize("named", [True, False], ids=["by-id", "without-an-id"])
def test_what_a_refused_commit_took_goes_with_the_next(keeping: Drive, named: bool) -> None:
    says(keeping, "a")
    refused = commit(keeping)
    keeping.error(EMPTY, refused if named else None)
    says(keeping, "b")
    commit(keeping)
    keeping.server(COMMITTED, item_id="u1")
    assert heard(keeping, "u1") == [("a", 200), ("b", 200)]


def test_what_a_refused_commit_took_goes_with_the_next_that_is_on_its_way_already(keeping: Drive) -> None:
    says(keeping, "a")
    refused = commit(keeping)
    says(keeping, "b")
    commit(keeping)
    keeping.error("invalid_value", refused)
    keeping.server(COMMITTED, item_id="u1")
    says(keeping, "c")
    commit(keeping)
    keeping.server(COMMITTED, item_id="u2")
    assert [heard(keeping, item_id) for item_id in ("u1", "u2")] == [[("a", 200), ("b", 200)], [("c", 200)]]


def test_what_a_refused_commit_took_is_lost_in_a_clear_that_follows(keeping: Drive) -> None:
    says(keeping, "a")
    refused = commit(keeping)
    keeping.send(InputAudioBufferClear())
    says(keeping, "b")
    commit(keeping)
    keeping.error("invalid_value", refused)
    keeping.server(CLEARED)
    keeping.server(COMMITTED, item_id="u1")
    assert heard(keeping, "u1") == [("b", 200)]


def test_a_commit_that_is_refused_out_of_order_leaves_the_others_theirs(keeping: Drive) -> None:
    says(keeping, "a")
    commit(keeping)
    says(keeping, "b")
    keeping.error("invalid_value", commit(keeping))
    keeping.server(COMMITTED, item_id="u1")
    says(keeping, "c")
    commit(keeping)
    keeping.server(COMMITTED, item_id="u2")
    assert [heard(keeping, item_id) for item_id in ("u1", "u2")] == [[("a", 200)], [("b", 200), ("c", 200)]]


def test_a_refused_clear_answers_no_commit(keeping: Drive) -> None:
    says(keeping, "a")
    keeping.send(InputAudioBufferClear())
    keeping.error("invalid_value", keeping.sent[-1].event_id)
    says(keeping, "b")
    commit(keeping)
    keeping.server(COMMITTED, item_id="u1")
    assert heard(keeping, "u1") == [("b", 200)]


def test_a_refusal_of_nothing_changes_nothing(keeping: Drive) -> None:
    says(keeping, "a")
    keeping.error(EMPTY)
    keeping.server(COMMITTED, item_id="u1")
    assert heard(keeping, "u1") == [("a", 200)]


def test_a_commit_that_met_turn_detection_does_not_answer_for_the_server_s_own(keeping: Drive) -> None:
    says(keeping, "a", 100)
    refused = commit(keeping)
    keeping.session(VAD, updated=True)
    keeping.error(EMPTY, refused)
    assert keeping.suppressed == ["benign"]
    says(keeping, "b")
    keeping.server(COMMITTED, item_id="u1")
    assert keeping.core.input.pending == 0


# The server's turn detection


def test_what_turn_detection_heard_is_the_item_s(keeping: Drive) -> None:
    keeping.session(VAD, updated=True)
    for sound in "abcde":
        says(keeping, sound, 100)
    keeping.server(STARTED, item_id="u1", audio_start_ms=100)
    keeping.server(STOPPED, item_id="u1", audio_end_ms=350)
    keeping.server(COMMITTED, item_id="u1")
    assert heard(keeping, "u1") == [("b", 100), ("c", 100), ("d", 50)]


def test_the_next_item_begins_where_turn_detection_heard_it(keeping: Drive) -> None:
    keeping.session(VAD, updated=True)
    for sound in "abcd":
        says(keeping, sound, 100)
    keeping.server(STARTED, item_id="u1", audio_start_ms=0)
    keeping.server(STOPPED, item_id="u1", audio_end_ms=150)
    keeping.server(STARTED, item_id="u2", audio_start_ms=250)
    keeping.server(COMMITTED, item_id="u1")
    keeping.server(STOPPED, item_id="u2", audio_end_ms=400)
    keeping.server(COMMITTED, item_id="u2")
    assert heard(keeping, "u1") == [("a", 100), ("b", 50)]
    assert heard(keeping, "u2") == [("c", 50), ("d", 100)]


@pytest.mark.parametrize(
    "told, begins", [({"audio_start_ms": 100}, "b"), ({"audio_end_ms": 200}, "a"), ({"audio_start_ms": -50}, "a")]
)
def test_where_turn_detection_says_half_the_rest_is_what_there_is(
    keeping: Drive, told: dict[str, int], begins: str
) -> None:
    keeping.session(VAD, updated=True)
    says(keeping, "a", 100)
    says(keeping, "b", 100)
    keeping.server(STARTED if "audio_start_ms" in told else STOPPED, item_id="u1", **told)
    keeping.server(COMMITTED, item_id="u1")
    assert heard(keeping, "u1") == [(sound, 100) for sound in "ab" if sound >= begins]


def test_speech_whose_item_is_not_named_leaves_the_item_the_buffer(keeping: Drive) -> None:
    keeping.session(VAD, updated=True)
    says(keeping, "a")
    keeping.server(STARTED, item_id=None, audio_start_ms=100)
    keeping.server(COMMITTED, item_id="u1")
    assert heard(keeping, "u1") == [("a", 200)]


def test_only_the_last_speeches_are_remembered() -> None:
    audio = InputAudio(KEEP)
    audio.append(bytes(4800))
    for number in range(SPEECHES + 1):
        audio.speech(f"u{number}", began_ms=50)
    audio.emptied("u0")
    assert (view := audio.view("u0")) is not None
    assert view.ms == 100
    audio.append(bytes(4800))
    audio.speech("u1", began_ms=150)
    audio.emptied("u1")
    assert (view := audio.view("u1")) is not None
    assert view.ms == 50


# Another format


def test_a_change_of_format_leaves_the_audio_of_items_as_it_was(keeping: Drive) -> None:
    says(keeping, "a")
    commit(keeping)
    keeping.server(COMMITTED, item_id="u1")
    keeping.session(updated=True, format={"type": "audio/pcmu"})
    view = keeping.core.input.view("u1")
    assert view is not None
    assert (view.format, view.ms) == (AudioFormat(type="audio/pcm", rate=24000), 200)
    assert heard(keeping, "u1") == [("a", 200)]


def test_a_commit_answered_after_a_change_of_format_takes_nothing_of_what_came_since(keeping: Drive) -> None:
    says(keeping, "a", 1000)
    commit(keeping)
    keeping.session(updated=True, format={"type": "audio/pcmu"})
    keeping.send(InputAudioBufferAppend(audio=b"b" * 800))
    keeping.server(COMMITTED, item_id="u1")
    assert keeping.core.input.view("u1") is None
    assert keeping.core.input.pending_ms == 100


def test_a_clear_answered_after_a_change_of_format_is_still_that_clear_s_answer(keeping: Drive) -> None:
    says(keeping, "a")
    keeping.send(InputAudioBufferClear())
    keeping.session(updated=True, format={"type": "audio/pcmu"})
    keeping.send(InputAudioBufferAppend(audio=b"b" * 800))
    keeping.server(CLEARED)
    assert keeping.core.input.pending_ms == 100


def test_speech_over_a_change_of_format_keeps_what_came_in_the_new_one(keeping: Drive) -> None:
    keeping.session(VAD, updated=True)
    says(keeping, "a", 1000)
    keeping.server(STARTED, item_id="u1", audio_start_ms=900)
    keeping.session(VAD, updated=True, format={"type": "audio/pcmu"})
    keeping.send(InputAudioBufferAppend(audio=b"b" * 1600))
    keeping.server(STOPPED, item_id="u1", audio_end_ms=1100)
    keeping.server(COMMITTED, item_id="u1")
    view = keeping.core.input.view("u1")
    assert view is not None
    assert (view.read(), view.ms) == (b"b" * 800, 100)
    assert keeping.core.input.position_ms == 1200


def test_the_same_format_again_drops_nothing(keeping: Drive) -> None:
    says(keeping, "a")
    keeping.session(updated=True)
    commit(keeping)
    keeping.server(COMMITTED, item_id="u1")
    assert heard(keeping, "u1") == [("a", 200)]


# How much is kept


def test_nothing_is_kept_where_nobody_wants_it(drive: Drive) -> None:
    drive.session(VAD, updated=True)
    says(drive, "a")
    drive.server(STARTED, item_id="u1", audio_start_ms=0)
    drive.server(COMMITTED, item_id="u1")
    drive.core.input.bind("u2", b"data")
    assert drive.core.input.kept == 0
    assert drive.core.input.view("u1") is drive.core.input.view("u2") is None


def test_of_what_is_in_no_item_the_oldest_goes_first() -> None:
    audio = InputAudio(2 * (2 * (960 + CHUNK_COST)))
    for sound in (b"a", b"b", b"c"):
        audio.append(sound * 960)
    assert audio.kept == 2 * (960 + CHUNK_COST)
    audio.emptied("u1")
    assert (view := audio.view("u1")) is not None
    assert view.read() == b"b" * 960 + b"c" * 960
    assert audio.position_ms == 60


def test_of_the_items_the_oldest_goes_first() -> None:
    audio = InputAudio(2 * (2 * (960 + CHUNK_COST)))
    for number in range(3):
        audio.append(bytes(960))
        audio.emptied(f"u{number}")
    assert [audio.view(f"u{number}") is not None for number in range(3)] == [False, True, True]
    assert audio.kept == 2 * (960 + CHUNK_COST)


def test_an_item_that_is_larger_than_all_that_may_be_kept_is_not() -> None:
    audio = InputAudio(100)
    audio.bind("u1", bytes(100))
    assert audio.view("u1") is None
    assert audio.kept == 0


def test_a_deleted_item_leaves_no_audio_behind(keeping: Drive) -> None:
    says(keeping, "a")
    keeping.server(COMMITTED, item_id="u1")
    assert keeping.core.input.kept > 0
    keeping.server("conversation.item.deleted", item_id="u1")
    keeping.server("conversation.item.deleted", item_id="u1")
    assert keeping.core.input.view("u1") is None
    assert keeping.core.input.kept == 0


def test_the_view_of_an_item_outlives_what_is_kept(keeping: Drive) -> None:
    says(keeping, "a")
    keeping.server(COMMITTED, item_id="u1")
    state = keeping.core.conversation.get("u1")
    assert state is not None
    view = keeping.core.view(state)
    keeping.server("conversation.item.deleted", item_id="u1")
    assert view.audio is not None
    assert (view.audio.ms, len(view.audio.read())) == (200, 9600)


# Anything


@given(
    st.lists(
        st.integers(1, 5).map(lambda size: ("append", size))
        | st.sampled_from([("commit", True), ("commit", True), ("commit", False), ("clear", True), ("answer", True)]),
        max_size=40,
    )
)
def test_each_item_has_the_audio_that_the_server_made_it_of(steps: list[tuple[str, int]]) -> None:
    audio, made, said, buffer = InputAudio(KEEP), dict[str, bytes](), 0, b""
    wire: list[tuple[str, str, int, bytes]] = []
    for number, (step, argument) in enumerate([*steps, *[("answer", True)] * len(steps)]):
        event_id = f"e{number}"
        match step:
            case "append":
                chunk = bytes((said + index) % 256 for index in range(argument))
                said += argument
                audio.append(chunk)
                wire.append((step, event_id, argument, chunk))
            case "commit" | "clear":
                audio.emptied_by_us(event_id, commit=step == "commit")
                wire.append((step, event_id, argument, b""))
            case "answer":
                while wire:
                    told, told_id, accepted, chunk = wire.pop(0)
                    buffer += chunk
                    if told == "commit" and accepted:
                        made[told_id], buffer = buffer, b""
                        audio.emptied(told_id)
                    elif told == "commit":
                        audio.refused(told_id)
                    elif told == "clear":
                        buffer = b""
                        audio.emptied()
                    else:
                        continue
                    break
    views = {item_id: audio.view(item_id) for item_id in made}
    assert {item_id: view.read() if view is not None else b"" for item_id, view in views.items()} == made
