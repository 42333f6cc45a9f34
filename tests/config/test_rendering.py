"""How problems look: in full, on one line, as JSON."""

import json

from agentkit.config import Diagnostic, diagnose, render_concise, render_full, render_json

TEXT = """\
provider: {use: local}
agent:
  instrutions: |
    Hi
  greeting: 5
"""


def found(text: str, *overrides: str) -> tuple[Diagnostic, ...]:
    return diagnose(text, name="agent.yaml", environ={}, overrides=overrides)[1]


def test_the_full_form_shows_the_line_a_caret_and_the_hint() -> None:
    assert render_full(found(TEXT)) == (
        """\
error[AK101]: unknown key `instrutions`
  --> agent.yaml:3:3
   |
 2 | agent:
 3 |   instrutions: |
   |   ^^^^^^^^^^^ did you mean `instructions`?
   = keys here: name, instructions, variables, greeting

error[AK102]: `greeting` must be a text, not the number `5`
  --> agent.yaml:5:13
   |
 4 |     Hi
 5 |   greeting: 5
   |             ^ YAML reads it as a number; quote it: "5"

Found 2 errors in 1 file
"""
    )


def test_a_source_without_lines_shows_the_hint_beside_the_place() -> None:
    assert render_full(found("agent: {}\nprovider: {use: local}\n", "session.speed=9")) == (
        "error[AK105]: `speed` must be at least 0.25 and at most 1.5, not the number `9`\n"
        "  --> --set session.speed\n\n"
        "Found 1 error in 1 file\n"
    )


def test_a_hint_without_an_excerpt_has_a_line_of_its_own() -> None:
    shown = render_full(found("agent: {}\nprovider: {use: local}\n", "session.output=adio"))
    assert "--> --set session.output\n     did you mean `audio`?\n" in shown


def test_the_concise_form_is_one_line_each() -> None:
    first, second, last = render_concise(found(TEXT)).splitlines()
    assert first == "agent.yaml:3:3: error[AK101] unknown key `instrutions` (did you mean `instructions`?)"
    assert second.startswith("agent.yaml:5:13: error[AK102] `greeting` must be a text, not the number `5` (YAML reads")
    assert last == "Found 2 errors in 1 file"


def test_the_json_form_is_one_document() -> None:
    document = json.loads(render_json(found(TEXT)))
    assert document["v"] == 1
    assert document["diagnostics"][0] == {
        "code": "AK101",
        "severity": "error",
        "message": "unknown key `instrutions`",
        "file": "agent.yaml",
        "line": 3,
        "col": 3,
        "end_line": 3,
        "end_col": 14,
        "key": "agent.instrutions",
        "hint": "did you mean `instructions`?",
        "notes": ["keys here: name, instructions, variables, greeting"],
    }


def test_colour_is_there_only_when_asked_for() -> None:
    problems = found(TEXT)
    assert "\x1b[1;31merror[AK101]\x1b[0m" in render_full(problems, color=True)
    assert "\x1b" not in render_full(problems)


def test_a_terminal_is_never_written_past_its_width() -> None:
    text = "agent: {name: " + "x" * 300 + ", voice: y}\nprovider: {use: local}\nsession: {" + "z" * 200 + ": 1}\n"
    shown = render_full(found(text), width=60)
    assert max(map(len, shown.splitlines())) <= 60
    assert "^^^^^" in shown


def test_a_pipe_gets_whole_lines() -> None:
    assert "z" * 200 + ": 1}" in render_full(found("session: {" + "z" * 200 + ": 1}\n"))


def test_a_caret_stands_below_wide_characters() -> None:
    shown = render_full(found("agent: {name: 語, voise: x}\nprovider: {use: local}\n")).splitlines()
    line = next(index for index, text in enumerate(shown) if "voise: x" in text)
    before = shown[line].partition("voise")[0]
    assert shown[line + 1].index("^") == len(before) + before.count("語")


def test_control_characters_of_a_file_reach_no_terminal() -> None:
    problems = found('agent: {}\nprovider: {use: local}\nsession: {output: "\\e[31m\\a"}\n')
    for shown in (render_full(problems), render_concise(problems)):
        assert "\x1b" not in shown
        assert "\a" not in shown


def test_a_tab_in_a_line_keeps_the_caret_in_place() -> None:
    shown = render_full(found("agent: {}\nprovider:\t{use: local, x: 1}\n")).splitlines()
    line = next(index for index, text in enumerate(shown) if "provider" in text and "x: 1" in text)
    assert shown[line + 1].index("^") == shown[line].index("x: 1")
