"""Fixes: what is written in the place of a mistake, and what is left to the user."""

import pytest

from agentkit.config import diagnose
from agentkit.config.diagnostics import Edit, Fix
from agentkit.config.fixes import apply

HEAD = "agent: {}\nprovider: {use: local}\n"


def mended(text: str) -> str:
    fixes = [each.fix for each in diagnose(text, environ={"X": "yes"})[1] if each.fix is not None]
    return apply(text, fixes)[0]


@pytest.mark.parametrize(
    "wrong, right",
    [
        ("session: {voise: x}\n", "session: {voice: x}\n"),
        ('session: {"voise": x}\n', 'session: {"voice": x}\n'),
        ("session: {'voise': x}\n", "session: {'voice': x}\n"),
        ("limits: {session_time: 15}\n", "limits: {session_time: 15s}\n"),
        ("limits: {turns: '4'}\n", "limits: {turns: 4}\n"),
        ("session: {speed: '1.5'}\n", "session: {speed: 1.5}\n"),
        ("session: {turn: {interrupt: 'No'}}\n", "session: {turn: {interrupt: false}}\n"),
        ('session: {turn: {interrupt: "true"}}\n', "session: {turn: {interrupt: true}}\n"),
        ("session: {voice: 5}\n", 'session: {voice: "5"}\n'),
        ("session: {voice: true}\n", 'session: {voice: "true"}\n'),
        ("session:\n  output:text\n  voice:x\n", "session:\n  output: text\n  voice: x\n"),
        ("session:\n  output:text\n\n  voice:x\n", "session:\n  output: text\n\n  voice: x\n"),
        ("session: {voice: \u201cx\u201d}\n", 'session: {voice: "x"}\n'),
        ("session:\n  voice: 'it's'\n", 'session:\n  voice: "it\'s"\n'),
        ('session:\n  voice: "a "b""\n', "session:\n  voice: 'a \"b\"'\n"),
        ("session:\n  voice: @x # why\n", 'session:\n  voice: "@x" # why\n'),
        ('session:\n  voice: @"x"\n', "session:\n  voice: '@\"x\"'\n"),
        ("session:\n  voice: `it's \\d`\n", "session:\n  voice: '`it''s \\d`'\n"),
        ("session: {voice: ${X:-a}, output: text}\n", 'session: {voice: "${X:-a}", output: text}\n'),
        ("session: {voice: {{x}}}\n", 'session: {voice: "{{x}}"}\n'),
        ("session:\n  voice: {{x}} y\n", 'session:\n  voice: "{{x}} y"\n'),
        ('session: {voice: "\\d"}\n', 'session: {voice: "\\\\d"}\n'),
        ("session:\n\toutput: text\n", "session:\n  output: text\n"),
    ],
)
def test_what_has_one_way_out_is_written(wrong: str, right: str) -> None:
    assert mended(HEAD + wrong) == HEAD + right


@pytest.mark.parametrize(
    "wrong",
    [
        "session: {voise: x, voice: y}\n",  # both are there
        "limits: {tool_calls_per: 4}\n",  # two names are as near
        "session: {turn: {interrupt: '${X}'}}\n",  # what a variable holds is not in the file
        "limits: {turns: '04x'}\n",
        "limits: {turns: '4.5'}\n",
        "limits: {session_time: -5}\n",  # -5s is no duration either
        "limits: {session_time: '5'}\n",
        "session: {output: audi}\n",  # a value is the user's to choose
        "session: {voice: @one\n    two}\n",  # it goes on in the next line
        "limits:\n  session_time: >-\n    5\n",
        "session:\n  voice: 'it's \"x\"'\n",  # both marks stand in it
        "session:\n  output:text\n  and more\n",
        "session:\n  voice: \u201cone\n    two\u201d\n",
    ],
)
def test_what_has_several_is_left_to_the_user(wrong: str) -> None:
    assert mended(HEAD + wrong) == HEAD + wrong


def test_an_override_and_a_preset_have_no_fix() -> None:
    found = diagnose(HEAD, environ={}, overrides=["session.voise=x"])[1]
    assert [each.fix for each in found] == [None]


def edit(column: int, end: int, text: str, line: int = 1) -> Edit:
    return Edit(line=line, column=column, end_line=line, end_column=end, text=text)


def test_edits_count_lines_as_yaml_does() -> None:
    text = "a\r\nb\rc\u2028d\ne"
    fixes = [Fix(title="t", edits=(edit(1, 2, str(line), line),)) for line in range(1, 6)]
    assert apply(text, fixes) == ("1\r\n2\r3\u20284\n5", 5)


def test_of_two_fixes_that_touch_the_second_waits() -> None:
    fixes = [Fix(title="t", edits=(edit(1, 3, "x"),)), Fix(title="u", edits=(edit(3, 4, "y"), edit(6, 7, "z")))]
    assert apply("abcdefg", fixes) == ("xcdefg", 1)


def test_a_fix_behind_the_end_is_not_made() -> None:
    assert apply("a", [Fix(title="t", edits=(edit(1, 1, "x", 9),))]) == ("a", 0)
