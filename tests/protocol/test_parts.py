"""One content part."""

import pytest

from agentkit.events import Audio, InputAudio, InputImage, InputText, OutputAudio, OutputText, Text
from agentkit.protocol.parts import PartState


def test_deltas_are_joined() -> None:
    part = PartState()
    for delta in ("a", "b", "c"):
        part.add(delta)
    assert part.text == "abc"
    assert part.text == "abc"


def test_the_whole_text_repairs_lost_deltas() -> None:
    part = PartState()
    part.add("ac")
    part.set_final("abc")
    assert part.text == "abc"


def test_an_empty_whole_text_erases_nothing() -> None:
    part = PartState()
    part.add("abc")
    part.set_final("")
    assert part.text == "abc"
    assert part.final


def test_text_from_before_goes_in_front_unless_all_is_known() -> None:
    part = PartState()
    part.add("b")
    part.add_before("a")
    assert part.text == "ab"
    part.set_final("abc")
    part.add_before("a")
    assert part.text == "abc"


def test_a_part_is_what_it_was_first_taken_for() -> None:
    part = PartState()
    part.become(OutputAudio())
    part.become(OutputText())
    assert part.view().part == OutputAudio()


@pytest.mark.parametrize(
    "told, expected",
    [
        (Text(text="a"), OutputText(text="a")),
        (Audio(transcript="a"), OutputAudio(transcript="a")),
        (InputText(text="a"), InputText(text="a")),
        (InputAudio(transcript="a"), InputAudio(transcript="a")),
        (InputImage(image_url="data:"), InputImage(image_url="data:")),
    ],
)
def test_short_and_long_names_are_one_kind(told: object, expected: object) -> None:
    part = PartState()
    part.merge(told, final=True)  # type: ignore[arg-type]  # every one is a part
    assert part.view().part == expected


def test_a_part_with_its_audio_is_not_replaced_by_one_without() -> None:
    part = PartState()
    part.merge(InputAudio(audio="AAAA"), final=False)
    part.merge(InputAudio(), final=True)
    assert part.view().part == InputAudio(audio="AAAA")


def test_text_of_an_unfinished_part_is_only_a_beginning() -> None:
    part = PartState()
    part.merge(OutputText(text="a"), final=False)
    part.merge(OutputText(text="other"), final=False)
    part.add("b")
    assert part.text == "ab"
    assert not part.final


def test_a_part_of_which_nothing_is_known_is_text() -> None:
    assert PartState().view().part == OutputText(text="")


def test_a_part_is_what_it_was_told_to_be_last() -> None:
    part = PartState()
    part.become(OutputAudio(audio="AAAA"))
    part.merge(OutputText(text="a"), final=True)
    assert part.view().part == OutputText(text="a")
