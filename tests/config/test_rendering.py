"""How problems look: in full, on one line, as JSON."""

import json

from agentkit.config import Diagnostic, diagnose, render_concise, render_full, render_github, render_json

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
   = keys here: name, instructions, variables, greeting, handoff
   = fix available: agentkit check --fix

error[AK102]: `greeting` must be a text, not the number `5`
  --> agent.yaml:5:13
   |
 4 |     Hi
 5 |   greeting: 5
   |             ^ YAML reads it as a number; quote it: "5"
   = fix available: agentkit check --fix

Found 2 errors in 1 file (2 fixable)
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
    assert last == "Found 2 errors in 1 file (2 fixable)"


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
        "notes": ["keys here: name, instructions, variables, greeting, handoff"],
        "fix": {
            "title": "write `instructions`",
            "edits": [{"line": 3, "col": 3, "end_line": 3, "end_col": 14, "text": "instructions"}],
        },
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


def test_the_github_form_is_one_command_each() -> None:
    first, second = render_github(found(TEXT)).splitlines()
    assert first == (
        "::error file=agent.yaml,line=3,col=3,endLine=3,endColumn=14,title=AK101::unknown key `instrutions`"
        "%0Adid you mean `instructions`?%0Akeys here: name, instructions, variables, greeting, handoff"
    )
    assert second.startswith("::error file=agent.yaml,line=5,col=13,endLine=5,endColumn=14,title=AK102::")


def test_what_github_reads_as_its_own_is_escaped() -> None:
    odd = Diagnostic(
        code="AK101", severity="warning", message="50%\n::error::x\x1b", file="a,b:c.yaml", line=1, column=2
    )
    assert render_github([odd]) == (
        "::warning file=a%2Cb%3Ac.yaml,line=1,col=2,title=AK101::50%25%0A::error::x\ufffd\n"
    )


def test_an_end_in_another_line_gives_github_no_column() -> None:
    text = "agent: {}\nprovider: {use: local}\nlimits:\n  turns: >\n    many\n    words\n"
    assert ",line=4,col=10,endLine=7,title=AK102::" in render_github(found(text))


def test_a_long_line_is_cut_and_many_problems_of_one_file_are_counted() -> None:
    _, problems = diagnose("agent: {" + ", ".join(f"zz{number}: 1" for number in range(2000)) + "}\n")
    text = render_full(problems)
    assert text.count("error[AK") == 200
    assert max(map(len, text.splitlines())) < 450
    assert f"... and {len(problems) - 200} more in <text>; --format concise shows all" in text
    assert render_concise(problems).count("\n") == len(problems) + 1
