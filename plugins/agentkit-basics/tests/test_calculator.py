"""calculate: right, tolerant of spellings, bounded."""

import contextlib
import threading

import pytest
from agentkit_basics.calculator import calculate
from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit import ToolError


@pytest.mark.parametrize(
    "expression, result",
    [
        ("17 * 23", "391"),
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 4 - 3", "3"),
        ("2 ** 3 ** 2", "512"),
        ("-2 ** 2", "-4"),
        ("2 ** -1", "0.5"),
        ("--3", "3"),
        ("+3", "3"),
        ("7 / 2", "3.5"),
        ("6 / 2", "3"),
        ("7 // 2", "3"),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("-7.5 // 2", "-4"),
        ("-7.5 % 2", "0.5"),
        ("0.1 + 0.2", "0.3"),
        ("1 / 3", "0.333333333333333"),
        ("1.50", "1.5"),
        (".5 + 1.", "1.5"),
        ("1e3", "1000"),
        ("1 / 1e30", "1e-30"),
        ("2 ** 100", str(2**100)),
        ("0 ** 0", "1"),
        ("(-1) ** 1001", "-1"),
        ("sqrt(16)", "4"),
        ("sqrt(2)", "1.4142135623731"),
        ("sqrt(0.25)", "0.5"),
        ("abs(-3)", "3"),
        ("abs(-3.5)", "3.5"),
        ("-(2.5)", "-2.5"),
        ("round(2.5)", "3"),
        ("round(2.345, 2)", "2.35"),
        ("round(7)", "7"),
        ("min(3, 1, 2)", "1"),
        ("max(1, 100)", "100"),
        ("factorial(5)", "120"),
        ("5!", "120"),
        ("floor(2.7) + ceil(2.1)", "5"),
        ("2 * pi", "6.28318530717959"),
        ("e", "2.71828182845905"),
        ("2.0 - 1 * 1.0 / 4", "1.75"),
    ],
)
def test_arithmetic_is_right(expression: str, result: str) -> None:
    assert calculate(expression) == result


@pytest.mark.parametrize(
    "expression, result",
    [
        ("17 \u00d7 23", "391"),
        ("17 x 23", "391"),
        ("17 times 23", "391"),
        ("17 multiplied by 23", "391"),
        ("What is 17 * 23?", "391"),
        ("17*23 =", "391"),
        ("10 ÷ 4", "2.5"),
        ("10 divided by 4", "2.5"),
        ("5 \u2212 3", "2"),
        ("2^10", "1024"),
        ("2 to the power of 10", "1024"),
        ("3 squared plus 4 squared", "25"),
        ("2 cubed minus 1", "7"),
        ("√(9)", "3"),
        ("square root of 144", "12"),
        ("the square root of (9 + 16)", "5"),
        ("15% of 80", "12"),
        ("15 percent of 80", "12"),
        ("50%", "0.5"),
        ("200 * 10%", "20"),
        ("17 % 5", "2"),
        ("17 mod 5", "2"),
        ("1,000 + 1", "1001"),
        ("3²", "9"),
    ],
)
def test_spoken_and_typeset_spellings_are_understood(expression: str, result: str) -> None:
    assert calculate(expression) == result


@pytest.mark.parametrize(
    "expression, message",
    [
        ("1 / 0", "divides by zero"),
        ("1 // 0", "divides by zero"),
        ("1 % 0", "divides by zero"),
        ("1.5 / 0", "divides by zero"),
        ("0 ** -1", "divides by zero"),
        ("0.0 ** -1", "divides by zero"),
        ("0.0 / 0", "no result among the real numbers"),
        ("sqrt(-1)", "no real square root"),
        ("(-8) ** 0.5", "no result among the real numbers"),
        ("", "nothing to calculate"),
        ("1 +", "ends too early"),
        ("(1", r"'\)' is missing"),
        ("(1 2", r"'\)' is missing before '2'"),
        ("1 2", "'2' is not expected"),
        (")", r"'\)' is not expected"),
        ("foo(1)", "'foo' is not known; known are abs"),
        ("sqrt 4", r"'\(' is missing before '4'"),
        ("sqrt(1, 2)", "sqrt takes 1 values, not 2"),
        ("round(1, 2, 3)", "round takes 1 to 2 values, not 3"),
        ("round(1.5, 99)", "round takes 0 to 30 places"),
        ("factorial(2.5)", "whole numbers from 0 to 400"),
        ("factorial(-1)", "whole numbers from 0 to 400"),
        ("1 & 2", "'&' cannot stand in an expression"),
        ("$5", r"'\$' cannot stand"),
    ],
)
def test_what_cannot_be_calculated_is_said(expression: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        calculate(expression)


@pytest.mark.parametrize(
    "expression, message",
    [
        ("9 ** 9 ** 9", "beyond 1000 digits"),
        ("10 ** 1000", "beyond 1000 digits"),
        ("(10 ** 999) * 100", "beyond 1000 digits"),
        ("9.5 ** 99999", "beyond 1000 digits"),
        ("1e999 * 1e999", "beyond 1000 digits"),
        ("factorial(401)", "0 to 400"),
        ("5!!!!", "0 to 400"),
        ("1 +" * 300 + "1", "longer than 500 characters"),
        ("(" * 100 + "1" + ")" * 100, "nested more than 50 deep"),
        ("-" * 100 + "1", "nested more than 50 deep"),
        ("2 **" * 60 + "1", "nested more than 50 deep"),
    ],
)
def test_work_is_bounded(expression: str, message: str) -> None:
    with pytest.raises(ToolError, match=message):
        calculate(expression)


@pytest.mark.parametrize(
    "code", ["__import__('os').system('x')", "().__class__", "open('x')", "[1]*9", "lambda: 1", "1 if 1 else 2"]
)
def test_code_is_never_run(code: str) -> None:
    with pytest.raises(ToolError):
        calculate(code)


@given(
    st.one_of(
        st.text(max_size=60),
        st.text(alphabet="0123456789.+-*/%()!,e ", max_size=60),
        st.lists(
            st.sampled_from(
                ["9", "0", "1.5", "1e99", "+", "-", "*", "/", "//", "%", "**", "!", "sqrt", "(", ")", "of"]
            ),
            max_size=25,
        ).map(" ".join),
    )
)
@settings(deadline=None)
def test_any_text_has_a_result_or_a_plain_error(text: str) -> None:
    result = ""
    with contextlib.suppress(ToolError):
        result = calculate(text)
    assert len(result) <= 1_010


def test_it_works_from_a_worker_thread() -> None:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(calculate("1 / 3")))
    thread.start()
    thread.join()
    assert found == ["0.333333333333333"]
