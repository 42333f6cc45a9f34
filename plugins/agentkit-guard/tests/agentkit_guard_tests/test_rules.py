"""The engine of the rules: what is let out of a text in pieces does not depend on the pieces."""

import pytest
from agentkit_guard import rules
from agentkit_guard.folding import Fold, Folded, fold_text
from agentkit_guard.kinds import KINDS, luhn
from agentkit_guard.rules import Screen, rules_for
from hypothesis import example, given
from hypothesis import strategies as st

PARTS = [
    "4111 1111 1111 1111", "4111-1111", "1111", "5500005555555559", " ", "12", "+49 30 1234567", "030 1234567", ".",
    "bob@example.com", "bob", "@", "example.org", "sk-abcdefghijklmnopqrstuvwx", "sk-", "GB82WEST12345698765432",
    "DE89 3704 0044 0532 0130 00", "DE89", "\u00e9", "\u200b", "\uff14", "kill", "kil", "k1ll", "bomb making", "bomb",
    "making", "\u0430", "m\u0430king", "\n", "123-45-6789", "(", "+ 4", "\u6bd2", "\u6bd2\u54c1", "medic", "medical",
    "\x00", "\u180b", ", ", "\u2022", "        ", "4111,1111,1111,1111", "\u2776",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PARTS) | st.text("0123456789 -+(.@abk", max_size=6), max_size=12).map("".join)
SCREENS: dict[str, Screen] = {
    **{str(kind): Screen([detector()]) for kind, detector in KINDS.items()},
    "all": Screen([detector() for detector in KINDS.values()]),
    "phrases": Screen(rules_for(["kill", "bomb making", "medic*", "\u6bd2\u54c1"], [], use_leet=True)),
    "patterns": Screen(rules_for([], [r"b\w{1,6}b"], longest=10)),
    "cut": Screen(rules_for(["kill", "bomb making"], []), cut=True),
}


@pytest.mark.parametrize("name", SCREENS)
@given(text=TEXTS, cuts=st.lists(st.integers(0, 200), max_size=12))
@example(text="4111 1111 1111 1111", cuts=[1, 5, 9])
def test_what_is_let_out_does_not_depend_on_where_a_text_is_cut(name: str, text: str, cuts: list[int]) -> None:
    screen = SCREENS[name]
    whole, stream, out, begin = screen.apply(text), screen.stream(), "", 0
    for end in [*sorted(cut % (len(text) + 1) for cut in cuts), len(text)]:
        out += stream.feed(text[begin:end])
        begin = end
        assert whole.startswith(out)
        assert out.startswith(screen.apply(text[:end], final=False))
    assert out + stream.feed("", final=True) == whole


@pytest.mark.parametrize("name", KINDS)
def test_a_long_text_is_not_held_back_without_bound(name: str) -> None:
    stream = SCREENS[name].stream()
    held = 0
    for count in range(3000):
        stream.feed("7 ")
        held = max(held, 2 * (count + 1) - stream.decided)
    assert held < 100


@pytest.mark.parametrize(
    "text",
    [
        "bomb making", "BOMB  Making", "b\u043emb m\u0430king", "bo\u00admb mak\u200bing", "\uff42omb-making",
        "b\u00f6mb making",
        "\U0001d41bomb, making", "\U0001f171omb making", "\u0412OMB MAKING",
    ],
)  # fmt: skip
def test_a_phrase_is_found_in_letters_that_look_the_same(text: str) -> None:
    assert Screen(rules_for(["bomb making"], [])).finds(text)


@pytest.mark.parametrize("text", ["bombs making", "a bomb is making", "bombmaking", "making bomb"])
def test_only_whole_words_in_their_order_are_a_phrase(text: str) -> None:
    assert Screen(rules_for(["bomb making"], [])).finds(text) is None


def test_leet_is_read_only_where_that_is_asked_for() -> None:
    assert Screen(rules_for(["bomb"], [], use_leet=True)).finds("b0mb")
    assert Screen(rules_for(["bomb"], [])).finds("b0mb") is None


def test_a_stem_means_every_word_that_begins_so() -> None:
    screen = Screen(rules_for(["medic*"], []), replacement="-")
    assert screen.apply("medical advice, Medicine, remedic") == "- advice, -, remedic"


def test_a_language_without_spaces_is_looked_through_anywhere() -> None:
    assert Screen(rules_for(["\u6bd2\u54c1"], []), replacement="-").apply("\u4e70\u6bd2\u54c1\u5417") == "\u4e70-\u5417"


@pytest.mark.parametrize(
    "between", [",", ", ", ":", " \u00b7 ", "\u2022", "|", "    ", "\n\n", " - ", "\x00", "\u180b", "\u2065", "\u0e31"]
)
def test_a_card_is_known_whatever_stands_between_its_groups(between: str) -> None:
    assert SCREENS["card"].finds(between.join(["4111", "1111", "1111", "1111"])) == "card"


def test_a_list_of_numbers_is_no_card() -> None:
    assert luhn("1234567890123452")
    assert SCREENS["card"].finds("1234, 5678, 9012, 3452") is None


@pytest.mark.parametrize("one", ["\u2460", "\u2776", "\u2780", "\u278a", "\u24f5", "\u0967"])
def test_digits_of_every_form_are_digits(one: str) -> None:
    assert SCREENS["card"].finds(f"4{one * 15}") == "card"


@pytest.mark.parametrize("unseen", ["\x00", "\x1f", "\x7f", "\u0489", "\u180e", "\ufff0", "\U000e0002", "\u0591"])
def test_what_cannot_be_seen_hides_no_word(unseen: str) -> None:
    assert SCREENS["phrases"].finds(f"ki{unseen}ll") == "removed"


def test_a_pattern_with_marks_finds_the_text_with_marks() -> None:
    assert Screen(rules_for([], ["\u0915\u0941\u0924"])).finds("\u0915\u0941\u0924")


@pytest.mark.parametrize("begin, piece", [("medic", "a"), ("bomb", " "), ("bomb", "\u200b")])
def test_a_stretch_without_an_end_is_looked_at_in_proportion_to_its_length(
    begin: str, piece: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0

    def counting(text: str, fold: Fold) -> Folded:
        nonlocal looked
        looked += len(text)
        return fold_text(text, fold)

    monkeypatch.setattr(rules, "fold_text", counting)
    costs = []
    for count in (5_000, 20_000):
        stream, looked = SCREENS["phrases"].stream(), 0
        for each in [begin, *piece * count]:
            stream.feed(each)
        costs.append(looked)
    assert costs[1] < 6 * costs[0]
