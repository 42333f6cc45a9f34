"""Values for a tool's arguments out of words, by the arguments' JSON Schema."""

import re
from typing import Final

import msgspec

_UNITS: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_TENS: Final = "thirty forty fifty sixty seventy eighty ninety hundred"
_NUMBERS: Final = {word: str(number) for number, word in enumerate(_UNITS.split())} | {
    word: str(number) for number, word in zip(range(30, 101, 10), _TENS.split(), strict=True)
}
_YES: Final = frozenset(["yes", "true", "on", "enable", "enabled"])
_NO: Final = frozenset(["no", "false", "off", "disable", "disabled"])
_OPERATORS: Final = {
    "plus": "+",
    "minus": "-",
    "times": "*",
    "multiplied by": "*",
    "divided by": "/",
    "to the power of": "**",
    "percent": "%",
    "squared": "** 2",
    "cubed": "** 3",
    "modulo": "%",
    "mod": "%",
    "x": "*",
}
_FUNCTIONS: Final = frozenset(
    ["sqrt", "sin", "cos", "tan", "log", "ln", "exp", "abs", "round", "min", "max", "floor", "ceil", "pi", "e"]
)
_MATH: Final = frozenset(["expression", "arithmetic", "formula", "equation"])
_WORD = re.compile(r"[a-z]+|[^a-z]+")
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_BETWEEN = re.compile(r"(?<=\d) ?[x\u00d7] ?(?=\d)")
_ROOT = re.compile(r"(?:the )?square root of (\d{1,15}(?:\.\d{1,15})?)")
MAX_VALUE: Final = 1_000


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One argument of a tool."""

    name: str
    kind: str
    """``integer``, ``number``, ``boolean``, ``enum``, ``expression``, ``string``, ``array`` or ``object``."""
    required: bool = False
    choices: tuple[object, ...] = ()
    item: "Slot | None" = None
    """What an array holds."""


def slots_of(parameters: object) -> dict[str, Slot]:
    """Return the arguments that a schema declares."""
    if not isinstance(parameters, dict):
        return {}
    properties, required = parameters.get("properties"), parameters.get("required")
    definitions = parameters.get("$defs")
    return {
        str(name): _slot(
            str(name),
            schema,
            definitions if isinstance(definitions, dict) else {},
            required=isinstance(required, list) and name in required,
        )
        for name, schema in (properties.items() if isinstance(properties, dict) else ())
    }


def value_of(slot: Slot, text: str) -> object:
    """Return the text as a value of the slot's type, or ``None`` where it is none."""
    text = text.strip()
    if not text or len(text) > MAX_VALUE:
        return None
    match slot.kind:
        case "integer" | "number":
            return _number(text, whole=slot.kind == "integer")
        case "boolean":
            folded = text.casefold()
            return True if folded in _YES else False if folded in _NO else None
        case "enum":
            return _choice(text, slot.choices)
        case "expression":
            return expression_of(text)
        case "array" if slot.item is not None:
            pieces = text.replace(", and ", ", ").replace(" and ", ", ").split(",")
            values = [value_of(slot.item, piece) for piece in pieces]
            return None if any(value is None for value in values) else values
        case "string":
            return text
    return None


def expression_of(text: str) -> str | None:
    """Return spoken or written arithmetic as an expression, or ``None`` where it is none."""
    text = f" {' '.join(text.casefold().split())} "
    text = _THOUSANDS.sub("", text.replace("\u2212", "-").replace("\u00f7", "/").replace("\u00b7", "*"))
    text = _ROOT.sub(r"sqrt(\1)", _BETWEEN.sub(" * ", text))
    for words, operator in _OPERATORS.items():
        text = text.replace(f" {words} ", f" {operator} ")
    pieces = [_NUMBERS.get(piece, piece) for piece in _WORD.findall(text.strip(" =?"))]
    found = "".join(pieces)
    others = {piece for piece in pieces if piece.isalpha()} - _FUNCTIONS
    words_ok = not others or (others == {"of"} and "%" in found)
    signs_ok = all(char in "0123456789.+-*/%^(), " for piece in pieces if not piece.isalpha() for char in piece)
    busy = any(operator in found.lstrip("+- ") for operator in "+-*/%^") or "(" in found
    if words_ok and signs_ok and busy and any(char.isdigit() for char in found):
        return found.strip()
    return None


def _slot(name: str, schema: object, definitions: dict[object, object], *, required: bool = False) -> Slot:
    schema = _resolved(schema, definitions)
    choices = schema.get("enum")
    if "const" in schema:
        choices = [schema["const"]]
    if isinstance(choices, list):
        return Slot(name=name, kind="enum", required=required, choices=tuple(choices))
    kind = schema.get("type", "string")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "string")
    item = _slot(name, schema.get("items"), definitions) if kind == "array" else None
    if kind == "string":
        told = f"{name.replace('_', ' ')} {schema.get('title', '')} {schema.get('description', '')}".casefold()
        if _MATH & set(re.findall(r"[a-z]+", told[:500])):
            kind = "expression"
    return Slot(name=name, kind=str(kind), required=required, item=item)


def _resolved(schema: object, definitions: dict[object, object]) -> dict[str, object]:
    """Follow a reference, and take the first branch that is not null."""
    # A schema may refer to itself; deeper ones than this are not for words.
    for _ in range(4):
        if not isinstance(schema, dict):
            return {}
        branches = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(branches, list):
            schema = next((each for each in branches if each != {"type": "null"}), {})
        elif isinstance(reference := schema.get("$ref"), str):
            schema = definitions.get(reference.rpartition("/")[2])
        else:
            return schema
    return {}


def _number(text: str, *, whole: bool) -> object:
    text = _THOUSANDS.sub("", _NUMBERS.get(text.casefold(), text))
    if not _NUMBER.fullmatch(text):
        return None
    if whole:
        return int(text) if "." not in text else None
    return float(text) if "." in text else int(text)


def _choice(text: str, choices: tuple[object, ...]) -> object:
    """Return the choice that the text names, in full or by its last part (``Tokyo`` for ``Asia/Tokyo``)."""
    wanted = _plain(text)
    by_end = None
    for choice in choices:
        if _plain(str(choice)) == wanted:
            return choice
        if by_end is None and _plain(str(choice).rpartition("/")[2]) == wanted:
            by_end = choice
    return by_end


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("_", " ").replace("-", " ").split())
