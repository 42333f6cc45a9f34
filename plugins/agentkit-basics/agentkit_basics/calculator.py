"""The calculator: arithmetic without ``eval``, with bounds on length, depth and size of numbers.

Rule: whole numbers stay exact; everything else is decimal with 50 digits, shown with 15, so 0.1 + 0.2 is 0.3.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import (
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DecimalException,
    DivisionByZero,
    InvalidOperation,
)
from decimal import Overflow as DecimalOverflow
from typing import Final

from agentkit import ToolError, tool

Number = int | Decimal

_MAX_LENGTH: Final = 500
_MAX_DEPTH: Final = 50
_MAX_DIGITS: Final = 1_000
_MAX_BITS: Final = int(_MAX_DIGITS * math.log2(10))
_MAX_FACTORIAL: Final = 400
_SHOWN: Final = 15

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d{1,3})?)|(?P<name>[a-z]+)|(?P<sign>\*\*|//|[-+*/%(),!]))"
)
# Spoken and typeset spellings (signs for times, divide, minus, root, powers), in the order of replacement.
_SPELLINGS: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^\s*(?:what is|what's|calculate|compute|how much is)\b", ""),
        (r"[\s=?]+$", ""),
        (r"[\u00d7\u00b7\u2217]", "*"),
        (r"\u00f7", "/"),
        (r"[\u2212\u2013]", "-"),
        (r"\^", "**"),
        (r"\u221a", "sqrt"),
        (r"\u00b2", "**2"),
        (r"\u00b3", "**3"),
        (r"\b(?:multiplied by|times)\b|(?<=\d)\s*x\s*(?=\d)", "*"),
        (r"\b(?:divided by|over)\b", "/"),
        (r"\bplus\b", "+"),
        (r"\bminus\b", "-"),
        (r"\bmod(?:ulo)?\b", "%"),
        (r"\b(?:to the power of|raised to)\b", "**"),
        (r"\bsquared\b", "**2"),
        (r"\bcubed\b", "**3"),
        (r"\b(?:the )?square root of\s+([\d.]+)", r"sqrt(\1)"),
        (r"\b(?:the )?square root of\b", "sqrt"),
        (r"\bper\s?cent\b", "%"),
        # A percent sign before an operand is the remainder of a division; anywhere else it is a percentage.
        (r"%(?=\s*(?:$|[)*/+,]|of\b|-\s))", "/100"),
        (r"\bof\b", "*"),
    )
)


@tool(examples=("what is {expression}?", "calculate {expression}", "how much is {expression}?"))
def calculate(expression: str) -> str:
    """Work out an arithmetic expression exactly.

    Args:
        expression: Numbers with + - * / // % ** and parentheses; also sqrt, abs, round, min, max, factorial,
            floor, ceil, pi, e, and percentages such as 15% of 80.
    """
    try:
        return _shown(_Parser(expression).parse())
    except (DivisionByZero, ZeroDivisionError) as error:
        raise ToolError("that divides by zero, which has no result") from error
    except DecimalOverflow as error:
        raise _too_large() from error
    except InvalidOperation as error:
        raise ToolError("that has no result among the real numbers") from error
    except DecimalException as error:
        raise ToolError("that cannot be calculated") from error


class _Parser:
    """One pass over the text: each method reads one level of precedence and returns its value."""

    def __init__(self, expression: str) -> None:
        if len(expression) > _MAX_LENGTH:
            raise ToolError(f"the expression is longer than {_MAX_LENGTH} characters")
        text = expression.casefold()
        for pattern, replacement in _SPELLINGS:
            text = pattern.sub(replacement, text)
        # Commas between thousands, unless they could separate the arguments of a function.
        if "(" not in text:
            text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0
        # Its own context: the program's may have other traps and precision.
        self._decimal = Context(prec=50, Emax=_MAX_DIGITS, Emin=-_MAX_DIGITS)
        self._decimal.traps[DivisionByZero] = True
        self._decimal.traps[InvalidOperation] = True
        self._decimal.traps[DecimalOverflow] = True

    def parse(self) -> Number:
        if not self._tokens:
            raise ToolError("there is nothing to calculate: give an expression such as 17 * 23")
        value = self._sum()
        if self._peek():
            raise ToolError(f"{self._peek()!r} is not expected there: write an expression such as 17 * 23")
        return value

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self, *signs: str) -> str:
        token = self._peek()
        if token and token in signs:
            self._next += 1
            return token
        return ""

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise ToolError(f"{sign!r} is missing before {self._peek()!r}" if self._peek() else f"{sign!r} is missing")

    def _sum(self) -> Number:
        value = self._product()
        while sign := self._take("+", "-"):
            value = self._operate(sign, value, self._product())
        return value

    def _product(self) -> Number:
        value = self._unary()
        while sign := self._take("*", "/", "//", "%"):
            value = self._operate(sign, value, self._unary())
        return value

    def _unary(self) -> Number:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ToolError(f"the expression is nested more than {_MAX_DEPTH} deep")
        if sign := self._take("+", "-"):
            value = self._unary()
            value = self._negated(value) if sign == "-" else value
        else:
            value = self._power()
        self._depth -= 1
        return value

    def _negated(self, value: Number) -> Number:
        return -value if isinstance(value, int) else self._decimal.minus(value)

    def _power(self) -> Number:
        value = self._postfix()
        # To the right first, and its exponent may have a sign: 2 ** -1, 2 ** 3 ** 2.
        return self._operate("**", value, self._unary()) if self._take("**") else value

    def _postfix(self) -> Number:
        value = self._atom()
        while self._take("!"):
            value = _factorial(value)
        return value

    def _atom(self) -> Number:
        token = self._peek()
        self._next += 1
        if not token:
            raise ToolError("the expression ends too early: write an expression such as 17 * 23")
        if token == "(":
            value = self._sum()
            self._expect(")")
            return value
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        if token in _FUNCTIONS:
            return self._call(token)
        if token[0].isdigit() or token[0] == ".":
            return int(token) if token.isdigit() else self._decimal.create_decimal(token)
        if token.isalpha():
            known = ", ".join(sorted([*_FUNCTIONS, *_CONSTANTS]))
            raise ToolError(f"{token!r} is not known; known are {known}")
        raise ToolError(f"{token!r} is not expected there: write an expression such as 17 * 23")

    def _call(self, name: str) -> Number:
        self._expect("(")
        arguments = [self._sum()]
        while self._take(","):
            arguments.append(self._sum())
        self._expect(")")
        least, most, function = _FUNCTIONS[name]
        if not least <= len(arguments) <= most:
            count = str(least) if least == most else f"{least} to {most}"
            raise ToolError(f"{name} takes {count} values, not {len(arguments)}")
        return function(self._decimal, arguments)

    def _operate(self, sign: str, left: Number, right: Number) -> Number:
        if isinstance(left, int) and isinstance(right, int):
            exact = _exact(sign, left, right)
            if exact is not None:
                return exact
        context, a, b = self._decimal, self._decimal.create_decimal(left), self._decimal.create_decimal(right)
        if sign == "+":
            return context.add(a, b)
        if sign == "-":
            return context.subtract(a, b)
        if sign == "*":
            return context.multiply(a, b)
        if sign == "/":
            return context.divide(a, b)
        if sign == "**":
            if a == 0 and b < 0:
                raise ZeroDivisionError
            return context.power(a, b)
        whole = context.divide(a, b).to_integral_value(ROUND_FLOOR)
        return whole if sign == "//" else context.subtract(a, context.multiply(b, whole))


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise ToolError(f"{text[position:].strip()[:1]!r} cannot stand in an expression")
        if match["number"] and sum(char.isdigit() for char in match["number"]) > _MAX_LENGTH:
            raise _too_large()
        tokens.append(match[0].strip())
        position = match.end()
    return tokens


def _exact(sign: str, left: int, right: int) -> int | None:
    """Return the whole result of two whole numbers, or None where it is not whole."""
    if sign in {"+", "-"}:
        return _bounded(left + right if sign == "+" else left - right)
    if sign == "*":
        return _bounded(left * right)
    if sign == "**":
        return _whole_power(left, right)
    if right == 0:
        raise ZeroDivisionError
    if sign == "//":
        return left // right
    if sign == "%":
        return left % right
    return left // right if left % right == 0 else None


def _whole_power(base: int, exponent: int) -> int | None:
    if exponent < 0:
        if base == 0:
            raise ZeroDivisionError
        return None
    # Checked before the work, not after it.
    if abs(base) > 1 and exponent * (abs(base).bit_length() - 1) > _MAX_BITS:
        raise _too_large()
    power: int = base**exponent
    return _bounded(power)


def _bounded(value: int) -> int:
    if value.bit_length() > _MAX_BITS:
        raise _too_large()
    return value


def _too_large() -> ToolError:
    return ToolError(f"the numbers grow beyond {_MAX_DIGITS} digits")


def _factorial(value: Number) -> int:
    if not isinstance(value, int) or not 0 <= value <= _MAX_FACTORIAL:
        raise ToolError(f"a factorial is calculated for whole numbers from 0 to {_MAX_FACTORIAL}")
    return math.factorial(value)


def _sqrt(context: Context, values: list[Number]) -> Number:
    value = values[0]
    if value < 0:
        raise ToolError("a negative number has no real square root")
    if isinstance(value, int) and math.isqrt(value) ** 2 == value:
        return math.isqrt(value)
    return context.sqrt(context.create_decimal(value))


def _round(context: Context, values: list[Number]) -> Number:
    places = values[1] if len(values) > 1 else 0
    if not isinstance(places, int) or not 0 <= places <= 30:
        raise ToolError("round takes 0 to 30 places")
    if isinstance(values[0], int):
        return values[0]
    rounded = values[0].quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP, context=context)
    return rounded if places else int(rounded)


def _whole(value: Number, *, up: bool) -> int:
    return math.ceil(value) if up else math.floor(value)


_CONSTANTS: Final[Mapping[str, Number]] = {
    "pi": Decimal("3.1415926535897932384626433832795028841971693993751"),
    "e": Decimal("2.7182818284590452353602874713526624977572470936999"),
}
_FUNCTIONS: Final[Mapping[str, tuple[int, int, Callable[[Context, list[Number]], Number]]]] = {
    "sqrt": (1, 1, _sqrt),
    "abs": (
        1,
        1,
        lambda _, values: values[0].copy_abs() if isinstance(values[0], Decimal) else abs(values[0]),
    ),
    "round": (1, 2, _round),
    "min": (1, 50, lambda _, values: min(values)),
    "max": (1, 50, lambda _, values: max(values)),
    "factorial": (1, 1, lambda _, values: _factorial(values[0])),
    "floor": (1, 1, lambda _, values: _whole(values[0], up=False)),
    "ceil": (1, 1, lambda _, values: _whole(values[0], up=True)),
}


def _shown(value: Number) -> str:
    if isinstance(value, int):
        return str(value)
    short = Context(prec=_SHOWN).create_decimal(value).normalize()
    if -7 < short.adjusted() < _SHOWN:
        return f"{short:f}"
    return f"{short:e}"
