"""Items and content parts: known ones are typed, unknown ones are kept."""

import msgspec
import pytest

from agentkit.events import (
    ITEMS,
    PARTS,
    Audio,
    FunctionCallItem,
    InputAudio,
    InputImage,
    InputText,
    ItemReferencePart,
    MessageItem,
    OutputAudio,
    OutputText,
    Text,
    UnknownItem,
    UnknownPart,
    decode_item,
    decode_part,
)


def test_short_and_long_names_of_output_parts_are_one_family() -> None:
    assert isinstance(decode_part(b'{"type":"text","text":"a"}'), OutputText)
    assert isinstance(decode_part(b'{"type":"audio","transcript":"a"}'), OutputAudio)


def test_every_item_and_part_knows_its_name_on_the_wire() -> None:
    assert {cls.wire_type for cls in ITEMS.values()} == set(ITEMS)
    assert {cls.wire_type for cls in PARTS.values()} == set(PARTS)


def test_an_unknown_part_keeps_its_data() -> None:
    part = decode_part(b'{"type":"input_video","url":"u"}')
    assert part == UnknownPart({"type": "input_video", "url": "u"})
    assert part.wire_type == "input_video"


def test_an_unknown_part_does_not_make_its_item_unknown() -> None:
    item = decode_item(b'{"type":"message","role":"user","content":[{"type":"x"},{"type":"input_text","text":"a"}]}')
    assert isinstance(item, MessageItem)
    assert item.content == (UnknownPart({"type": "x"}), InputText(text="a"))


def test_an_unknown_item_keeps_its_data_and_has_an_id_and_a_status() -> None:
    item = decode_item(b'{"type":"force_message","id":"i","status":"completed","x":1}')
    assert isinstance(item, UnknownItem)
    assert (item.wire_type, item.id, item.status) == ("force_message", "i", "completed")
    assert item.data["x"] == 1


def test_an_object_without_a_type_is_unknown() -> None:
    item = decode_item(b'{"id":5}')
    assert isinstance(item, UnknownItem)
    assert (item.wire_type, item.id, item.status) == ("", None, None)
    assert decode_part(b'{"type":null}') == UnknownPart({"type": None})
    assert decode_part(b'{"type":[]}') == UnknownPart({"type": []})
    assert decode_item(b'{"type":{}}') == UnknownItem({"type": {}})


def test_unknown_objects_compare_by_kind_and_data() -> None:
    assert UnknownItem({"type": "x"}) == UnknownItem({"type": "x"})
    assert UnknownItem({"type": "x"}) != UnknownItem({"type": "y"})
    assert UnknownItem({"type": "x"}) != UnknownPart({"type": "x"})
    assert hash(UnknownItem({"type": "x", "data": []})) == hash(UnknownItem({"type": "x"}))
    assert repr(UnknownItem({"type": "x"})) == "UnknownItem({'type': 'x'})"


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"message"}',
        b'{"type":"function_call","name":5}',
        b"[]",
        b'{"type":"message","role":"user","content":5}',
    ],
)
def test_an_item_of_a_known_type_that_does_not_fit_is_an_error(raw: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_item(raw)


def test_a_part_of_a_known_type_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_part(b'{"type":"text","text":5}')


def test_null_texts_are_empty() -> None:
    assert decode_part(b'{"type":"input_text","text":null}') == InputText(text="")
    assert decode_part(b'{"type":"output_text","text":null}') == OutputText(text="")
    assert decode_item(b'{"type":"message","role":"user","content":null}') == MessageItem(role="user")
    assert decode_item(b'{"type":"function_call","name":"f","arguments":null}') == FunctionCallItem(name="f")


def test_a_message_s_text_is_all_its_texts_and_transcripts() -> None:
    parts = (
        InputText(text="a"),
        InputAudio(transcript="b"),
        InputAudio(),
        InputImage(image_url="data:,"),
        OutputText(text="c"),
        OutputAudio(transcript="d"),
        Text(text="e"),
        Audio(transcript="f"),
        ItemReferencePart(id="i"),
        UnknownPart({"type": "x", "text": "no"}),
    )
    assert MessageItem(role="user", content=parts).text == "abcdef"


def test_items_are_immutable() -> None:
    with pytest.raises(AttributeError):
        InputText(text="a").text = "b"  # type: ignore[misc]  # that is the point
