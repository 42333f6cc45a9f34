import io

import pytest

from agentkit.cli.terminal import Flow, Look, cells, clean, one_line, wants_color


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07red",
        "\x1b]8;;http://example.org\x1b\\red",
        "\x9b31mred",
        "red\x08\x00\x7f",
        "\x1bPq#0\x1b\\red",
        "\x1bcred",
        "red\r",
    ],
)
def test_terminal_codes_are_taken_out(text: str) -> None:
    assert clean(text) == "red"


def test_line_ends_and_tabs_stay() -> None:
    assert clean("a\tb\r\nc\n") == "a\tb\nc\n"


def test_a_sequence_in_pieces_cannot_become_one_again() -> None:
    assert clean("\x1b") + clean("[31mred") == "[31mred"


def test_one_line_joins_lines() -> None:
    assert one_line("a\n  b\x1b[2J\tc") == "a b c"


def test_wide_and_combining_characters_are_counted_in_cells() -> None:
    assert cells("日本e\u0301") == 5


@pytest.mark.parametrize(
    "choice, environ, wanted",
    [
        ("auto", {}, True),
        ("auto", {"NO_COLOR": "1"}, False),
        ("auto", {"NO_COLOR": ""}, True),
        ("auto", {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ("auto", {"TERM": "dumb"}, False),
        ("auto", {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        ("always", {"NO_COLOR": "1"}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_on_a_terminal(choice: str, environ: dict[str, str], wanted: bool) -> None:
    assert wants_color(choice, Tty(), environ) is wanted  # type: ignore[arg-type]  # one of the choices


def test_a_pipe_has_no_colour_unless_forced() -> None:
    assert not wants_color("auto", io.StringIO(), {})
    assert wants_color("auto", io.StringIO(), {"FORCE_COLOR": "1"})


def test_a_pipe_cuts_nothing() -> None:
    assert Look(io.StringIO(), environ={}).cut("x" * 500) == "x" * 500


def test_a_line_is_cut_to_its_room() -> None:
    look = Look(Tty(), environ={})
    assert look.cut("abcdefgh", 5) == "abcd…"
    assert look.cut("日本語日本語", 5) == "日本…"


def test_ascii_is_asked_for_by_a_variable_or_by_the_encoding() -> None:
    latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    assert Look(latin, environ={}).glyph("ok") == "ok"
    assert Look(Tty(), environ={"AGENTKIT_ASCII": "1"}).glyph("ok") == "ok"
    assert Look(Tty(), environ={}).glyph("ok") == "✓"


def test_words_that_come_in_pieces_are_broken_between_words() -> None:
    flow = Flow(12)
    pieces = ["I am ag", "entkit's", " rules\n- a: ", "b c d e f g h i", " jklmnopqrstuvwx y"]
    written = "".join(flow.feed(piece) for piece in pieces) + flow.end()
    assert written == "I am\nagentkit's\nrules\n- a: b c d e\nf g h i\njklmnopqrstuvwx\ny"
    assert flow.column == 1


def test_nothing_is_broken_in_a_pipe() -> None:
    flow = Flow(None)
    assert flow.feed("a long  line of words") + flow.end() == "a long  line of words"
