"""The mirror of the conversation: one id, one item, in the server's order, whatever the order of events."""

import itertools

import pytest

from agentkit.events import AnyItem, FunctionCallItem, InputAudio, InputText, MessageItem, OutputText, UnknownItem
from agentkit.protocol.conversation import PARKED, PARKED_CHARS, REMEMBERED, Conversation
from agentkit.protocol.items import call_of


def message(item_id: str | None, text: str = "", *, role: str = "user", status: str | None = None) -> MessageItem:
    part = InputText(text=text) if role == "user" else OutputText(text=text)
    return MessageItem(id=item_id, role=role, status=status, content=(part,) if text else ())


def order(conversation: Conversation) -> list[str]:
    ids = [state.id for state in conversation]
    backwards = [item.id for item in conversation.last(len(ids))]
    assert backwards == ids, "the list is linked differently in its two directions"
    assert len(conversation) == len(ids)
    return ids


def filled(*pairs: tuple[str, str | None]) -> Conversation:
    conversation = Conversation()
    for item_id, previous in pairs:
        conversation.put(message(item_id), previous_item_id=previous)
    return conversation


def test_items_without_a_place_are_in_the_order_of_arrival() -> None:
    assert order(filled(("a", None), ("b", None), ("c", None))) == ["a", "b", "c"]


@pytest.mark.parametrize("arrival", list(itertools.permutations("abcd")))
def test_the_order_is_the_servers_in_every_order_of_arrival(arrival: tuple[str, ...]) -> None:
    previous = {"a": "root", "b": "a", "c": "b", "d": "c"}
    assert order(filled(*((item, previous[item]) for item in arrival))) == ["a", "b", "c", "d"]


def test_an_item_put_in_between_comes_directly_after_its_predecessor() -> None:
    assert order(filled(("a", None), ("b", "a"), ("c", "a"))) == ["a", "c", "b"]


def test_items_around_one_that_moves_move_with_it() -> None:
    conversation = filled(("x", "w"), ("y", "x"), ("z", "x"))
    assert order(conversation) == ["x", "z", "y"]
    conversation.put(message("w"))
    assert order(conversation) == ["w", "x", "z", "y"]


def test_an_item_goes_to_the_beginning() -> None:
    assert order(filled(("a", None), ("b", None), ("c", "root"))) == ["c", "a", "b"]
    assert order(filled(("a", "root"))) == ["a"]


def test_the_first_word_on_a_place_stands() -> None:
    conversation = filled(("a", None), ("b", None), ("c", "a"))
    conversation.put(message("c"), previous_item_id="b")
    assert order(conversation) == ["a", "c", "b"]


def test_a_place_that_is_told_later_moves_the_item() -> None:
    conversation = filled(("a", None), ("b", None), ("c", None))
    conversation.put(message("c"), previous_item_id="a")
    assert order(conversation) == ["a", "c", "b"]


def test_an_event_about_a_known_item_may_tell_its_place() -> None:
    conversation = filled(("a", None), ("b", None))
    conversation.adopt("b", message("b"), previous_item_id="root")
    assert order(conversation) == ["b", "a"]


def test_contradicting_places_lose_nothing() -> None:
    assert sorted(order(filled(("a", "b"), ("b", "a")))) == ["a", "b"]
    assert sorted(order(filled(("a", "c"), ("b", "a"), ("c", "b")))) == ["a", "b", "c"]
    assert order(filled(("a", "a"))) == ["a"]


def test_an_item_behind_a_deleted_one_takes_its_place() -> None:
    conversation = filled(("a", None), ("b", "a"), ("z", "b"))
    conversation.delete("b")
    conversation.put(message("c"), previous_item_id="b")
    assert order(conversation) == ["a", "c", "z"]
    conversation.delete("a")
    conversation.put(message("d"), previous_item_id="a")
    assert order(conversation) == ["d", "c", "z"]


def test_an_item_behind_one_that_was_deleted_before_it_came_stays_where_it_is() -> None:
    conversation = filled(("a", None))
    conversation.delete("gone")
    conversation.put(message("b"), previous_item_id="gone")
    conversation.put(message("c"), previous_item_id="b")
    assert order(conversation) == ["a", "b", "c"]


def test_an_item_deleted_while_it_waits_for_its_predecessor_does_not_come_back() -> None:
    conversation = filled(("a", None), ("c", "b"))
    conversation.delete("c")
    conversation.put(message("b"))
    assert order(conversation) == ["a", "b"]


@pytest.mark.parametrize("item_id", ["", "root"])
def test_odd_ids_are_survived(item_id: str) -> None:
    conversation = filled(("a", None))
    conversation.put(message(item_id))
    conversation.put(message("b"), previous_item_id=item_id)
    conversation.delete(item_id)
    conversation.delete(item_id)
    conversation.delete("a")
    conversation.put(message("c"), previous_item_id=item_id)
    assert sorted(order(conversation)) == ["b", "c"]


def test_deleting_the_ends_and_the_middle_keeps_the_rest_linked() -> None:
    conversation = filled(("a", None), ("b", None), ("c", None), ("d", None))
    for item, rest in (("b", ["a", "c", "d"]), ("d", ["a", "c"]), ("a", ["c"]), ("c", [])):
        state = conversation.delete(item)
        assert state is not None
        assert order(conversation) == rest


def test_f41_a_deleted_item_does_not_come_back() -> None:
    conversation = filled(("a", None))
    conversation.delete("a")
    assert conversation.put(message("a")) == (None, False)
    assert conversation.adopt("a", message("a")) is None
    assert conversation.transcript("a", 0, "late") is None
    assert conversation.transcript_delta("a", 0, "late") is None
    assert conversation.was_deleted("a")
    assert conversation.strays == 4
    assert order(conversation) == []


def test_deleting_what_is_unknown_is_a_stray() -> None:
    conversation = Conversation()
    assert conversation.delete("x") is None
    assert conversation.strays == 1


def test_deleted_ids_are_forgotten_in_time() -> None:
    conversation = Conversation()
    for number in range(REMEMBERED + 1):
        conversation.delete(f"i{number}")
    assert not conversation.was_deleted("i0")
    assert conversation.was_deleted("i1")


def test_an_item_without_an_id_is_a_stray() -> None:
    conversation = Conversation()
    assert conversation.put(message(None)) == (None, False)
    assert conversation.strays == 1


def test_an_item_becomes_final_once() -> None:
    conversation = Conversation()
    assert conversation.put(message("a", status="in_progress"))[1] is False
    assert conversation.put(message("a"), done="completed")[1] is True
    assert conversation.put(message("a", status="completed"), done="completed")[1] is False


def test_another_kind_of_item_under_a_known_id_changes_nothing() -> None:
    conversation = filled(("a", None))
    conversation.put(FunctionCallItem(id="a", name="tool", call_id="c"))
    assert isinstance(conversation.snapshot()[0], MessageItem)
    assert conversation.strays == 1


def test_what_an_item_is_thought_to_be_gives_way_to_what_the_server_says() -> None:
    conversation = Conversation()
    conversation.adopt("a", message("a", role="assistant"))
    conversation.put(FunctionCallItem(id="a", name="tool", call_id="c"))
    item = conversation.snapshot()[0]
    assert isinstance(item, FunctionCallItem)
    assert item.name == "tool"


def test_what_the_server_says_of_a_guessed_item_stands() -> None:
    conversation = Conversation()
    conversation.adopt("a", message("a", role="assistant"))
    conversation.put(message("a", role="assistant"))
    conversation.put(FunctionCallItem(id="a", name="tool", call_id="c"))
    assert isinstance(conversation.snapshot()[0], MessageItem)


# Transcripts


def test_rb_04_a_transcript_before_its_item_is_the_items() -> None:
    conversation = Conversation()
    conversation.transcript("u", 0, "hi")
    conversation.put(MessageItem(id="u", role="user", status="completed", content=(InputAudio(),)))
    assert [state.text for state in conversation] == ["hi"]


def test_rb_04_a_transcript_after_its_item_is_the_items() -> None:
    conversation = Conversation()
    conversation.put(MessageItem(id="u", role="user", status="completed", content=(InputAudio(),)))
    conversation.transcript("u", 0, "hi")
    assert conversation.snapshot() == [
        MessageItem(id="u", role="user", status="completed", content=(InputAudio(transcript="hi"),))
    ]


def test_f38_deltas_of_a_transcript_are_parked_until_their_item_comes() -> None:
    conversation = Conversation()
    conversation.transcript_delta("u", 0, "he")
    conversation.transcript_delta("u", 0, "l")
    assert order(conversation) == []
    conversation.put(message("other"))
    conversation.put(MessageItem(id="u", role="user", content=(InputAudio(),)))
    conversation.transcript_delta("u", 0, "lo")
    assert conversation.get("u") is not None
    assert conversation.snapshot()[1] == MessageItem(id="u", role="user", content=(InputAudio(transcript="hello"),))


def test_a_parked_delta_does_not_change_a_whole_transcript() -> None:
    conversation = Conversation()
    conversation.transcript_delta("u", 0, "he")
    conversation.transcript("u", 0, "hello")
    conversation.put(MessageItem(id="u", role="user", content=(InputAudio(),)))
    assert [state.text for state in conversation] == ["hello"]


def test_a_delta_after_the_whole_transcript_is_a_stray() -> None:
    conversation = Conversation()
    conversation.transcript("u", 0, "hello")
    assert conversation.transcript_delta("u", 0, "lo") is None
    assert conversation.strays == 1


def test_a_transcript_of_an_item_told_without_content_is_audios() -> None:
    conversation = filled(("u", None), ("v", None))
    conversation.transcript("u", 0, "hi")
    conversation.transcript_delta("v", 0, "ho")
    assert [item.content for item in conversation.snapshot() if isinstance(item, MessageItem)] == [
        (InputAudio(transcript="hi"),),
        (InputAudio(transcript="ho"),),
    ]


def test_what_is_parked_is_bounded() -> None:
    conversation = Conversation()
    for number in range(PARKED + 1):
        conversation.transcript_delta(f"u{number}", 0, "x")
    conversation.transcript_delta("long", 0, "x" * (PARKED_CHARS + 1))
    conversation.put(message("u0"))
    conversation.put(message("u1"))
    assert [state.text for state in conversation] == ["", "x"]
    assert conversation.strays == 2


def test_what_is_parked_goes_with_its_item() -> None:
    conversation = Conversation()
    conversation.transcript_delta("u", 0, "x")
    conversation.transcript_delta("v", 0, "y")
    conversation.delete("u")
    conversation.put(message("v"))
    assert [state.text for state in conversation] == ["y"]


# Reading


def test_what_was_read_does_not_change_later() -> None:
    conversation = filled(("a", None))
    before = conversation.snapshot()
    conversation.put(message("a", "new"))
    assert before == [message("a")]
    assert conversation.last(1) == conversation.last(10) == [message("a", "new")]


def test_a_call_is_read_with_its_arguments() -> None:
    conversation = Conversation()
    call = FunctionCallItem(id="c", name="tool", call_id="x", arguments="{}", status="completed")
    state, _ = conversation.put(call)
    other, _ = conversation.put(message("m"))
    assert state is not None
    assert other is not None
    assert call_of(state) == call
    assert call_of(other) is None


def test_an_unknown_item_is_kept_as_it_came() -> None:
    item: AnyItem = UnknownItem({"type": "new", "id": "n", "x": 1})
    conversation = Conversation()
    conversation.put(item)
    assert conversation.snapshot() == [item]
