"""Problems are collected once, in the order of the text, and show no secret."""

import re
from pathlib import Path

import pytest

from agentkit.config import CODES, ConfigErrors, Diagnostic, diagnose, summary
from agentkit.config.diagnostics import Problems
from agentkit.config.nodes import Place, Source

PACKAGE = Path(__file__).parents[2] / "agentkit" / "config"


def found(text: str) -> tuple[Diagnostic, ...]:
    return diagnose(text, name="a.yaml", environ={})[1]


def test_every_code_that_is_used_is_described() -> None:
    used = {code for path in PACKAGE.glob("*.py") for code in re.findall(r"\"(AK\d{3})\"", path.read_text("utf-8"))}
    assert used <= set(CODES)


def test_problems_come_in_the_order_of_the_text() -> None:
    lines = [each.line for each in found("limits: {turns: x}\nsession: {speed: y}\nagent: 5\nprovider: {use: 1}\n")]
    assert lines == [1, 2, 3, 4]


def test_an_excerpt_is_the_line_and_the_one_above_it() -> None:
    (problem,) = found("agent: {}\nprovider: {use: local}\nsession:\n  voise: x\n")
    assert problem.excerpt == ((3, "session:"), (4, "  voise: x"))


def test_an_excerpt_leaves_a_blank_line_out() -> None:
    (problem,) = found("agent: {}\nprovider: {use: local}\n\nsesion: {}\n")
    assert problem.excerpt == ((4, "sesion: {}"),)


@pytest.mark.parametrize(
    "line",
    [
        "api_key: canary",
        "api_key: 'canary'",
        'api_key: "can\\"canary"',
        '"api_key": canary',
        "token: canary-",
        "{authorization: canary, password: canary}",
        "client_secret : canary",
        "API_KEY: canary",
    ],
)
def test_what_is_called_a_secret_is_covered_even_in_a_text_that_cannot_be_read(line: str) -> None:
    problems = found(f"agent: {{}}\nx: {line}\n\ty: [\n")
    assert problems
    assert "canary" not in repr(problems)


@pytest.mark.parametrize("line", ["max_output_tokens: many", 'api_key: "${KEY}"', "keys: many"])
def test_what_is_no_secret_stays_readable(line: str) -> None:
    problems = found(f"agent: {{}}\nprovider: {{use: local}}\nsession:\n  {line}\n")
    assert problems[0].excerpt[-1] == (4, f"  {line}")


def test_a_known_secret_is_covered_over_several_lines() -> None:
    text = 'a: "one\n  two" # three\n'
    source = Source("a.yaml", text)
    problems = Problems()
    problems.hide(Place(source, 1, 4, 2, 7))
    problems.add("AK101", "x", at=Place(source, 2, 10))
    (problem,) = problems.finish()
    assert problem.excerpt == ((1, "a: ****"), (2, "****** # three"))


def test_a_place_past_the_end_has_no_excerpt() -> None:
    problems = Problems()
    problems.add("AK001", "x", at=Place(Source("a.yaml", "a: 1"), 9, 1))
    assert problems.finish()[0].excerpt == ()


def test_the_same_problem_at_the_same_place_is_told_once() -> None:
    problems = Problems()
    for _ in range(2):
        problems.add("AK101", "x", at=Place(Source("a.yaml", "a: 1"), 1, 1))
    assert len(problems.finish()) == 1


def problem(severity: str = "error", file: str = "a.yaml") -> Diagnostic:
    return Diagnostic(code="AK101", severity="error" if severity == "error" else "warning", message="m", file=file)


@pytest.mark.parametrize(
    "problems, said",
    [
        ([], "Found no problems"),
        ([problem()], "Found 1 error in 1 file"),
        ([problem(), problem(file="b.yaml")], "Found 2 errors in 2 files"),
        ([problem(), problem("warning"), problem("warning")], "Found 1 error and 2 warnings in 1 file"),
        ([problem("warning")], "Found 1 warning in 1 file"),
    ],
)
def test_the_summary_counts(problems: list[Diagnostic], said: str) -> None:
    assert summary(problems) == said


def test_an_error_needs_an_error() -> None:
    with pytest.raises(ValueError, match="without an error"):
        ConfigErrors([problem("warning")])


def test_an_error_with_one_problem_says_no_more() -> None:
    assert str(ConfigErrors([problem()])) == "a.yaml: m"


KEY = "sk-proj-abcdefABCDEF0123456789xyz"


@pytest.mark.parametrize(
    "text",
    [
        f"agent: {{instructions: hi, {KEY}: 1}}\n",
        f"agent: {{instructions: hi}}\nsession: {{output: {KEY}}}\n",
        f"agent: {{instructions: hi}}\nlimits: {{turns: {KEY}}}\n",
        f"agent: {{instructions: hi}}\nx: [run, --token, {KEY[8:]}]\n",
        f"agent: {{instructions: hi}}\nx: https://me:{KEY[8:]}@host\n",
    ],
)
def test_what_looks_like_a_key_is_shown_nowhere(text: str) -> None:
    problems = found(text)
    assert problems
    assert KEY[8:] not in repr(problems)


def test_extends_on_the_command_line_is_refused() -> None:
    _, problems = diagnose("agent: {instructions: hi}\nprovider: {use: local}\n", overrides=["extends=x.yaml"])
    assert [(each.code, each.message) for each in problems] == [("AK401", "`extends` can only be said in a file")]


def test_inherit_with_nothing_below_is_warned_of() -> None:
    text = "agent: {instructions: hi}\nprovider: {use: local}\nmiddleware: [inherit]\n"
    _, problems = diagnose(text)
    assert [(each.severity, each.message, each.line) for each in problems] == [
        ("warning", "there is nothing to inherit", 3)
    ]
