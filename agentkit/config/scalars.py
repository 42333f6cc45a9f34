"""One scalar of a file becomes one value: numbers, truth values, texts, choices, durations, sizes, secrets.

Rule: a message never shows what a variable or a secret holds; it shows how the file wrote it.
"""

import enum
import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol, Self, cast, get_args, get_origin

from msgspec import Meta

from agentkit.config.nodes import ListNode, MapNode, Node, ScalarKind, ScalarNode, core_kind
from agentkit.registry import nearest
from agentkit.values import DURATION, SIZE, Secret, parse_duration, parse_size

_WORDS: Final = {
    **dict.fromkeys(("true", "yes", "on", "y"), "true"),
    **dict.fromkeys(("false", "no", "off", "n"), "false"),
}
"""What people and older YAML write for truth values, also in quotes."""
_MAX_DIGITS: Final = 19
_BOUNDS: Final[dict[str, tuple[str, Callable[[float, float], bool]]]] = {
    "ge": ("at least", operator.ge),
    "gt": ("above", operator.gt),
    "le": ("at most", operator.le),
    "lt": ("below", operator.lt),
}


class _Written(Protocol):
    """A class that reads its own written form."""

    @classmethod
    def parse(cls, text: str) -> Self: ...


class ScalarError(Exception):
    """A scalar does not fit its type; the caller knows the place."""

    def __init__(
        self, code: str, message: str, *, hint: str | None = None, instead: str | None = None, quote: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.instead = instead
        """What to write in its place, where there is no choice."""
        self.quote = quote
        """Whether quotes around it are all that is missing."""


def unwrap(expected: object) -> tuple[object, tuple[Meta, ...]]:
    """Take a type out of its annotations and new names."""
    metas: tuple[Meta, ...] = ()
    while True:
        if get_origin(expected) is Annotated:
            expected, *more = get_args(expected)
            metas += tuple(meta for meta in more if isinstance(meta, Meta))
        elif hasattr(expected, "__supertype__"):
            expected = expected.__supertype__
        elif hasattr(expected, "__value__"):
            expected = expected.__value__
        else:
            return expected, metas


def is_scalar_type(core: object) -> bool:
    """Tell whether an unwrapped type is written as one scalar."""
    if core in (bool, int, float, str) or get_origin(core) is Literal:
        return True
    return isinstance(core, type) and (issubclass(core, enum.Enum | Path) or is_parsed(core))


def is_parsed(core: object) -> bool:
    """Tell whether a class reads its own written form."""
    return isinstance(core, type) and callable(getattr(core, "parse", None))


def read_scalar(node: ScalarNode, expected: object, *, name: str) -> object:
    """Return the value of a scalar.

    Args:
        name: How messages call the field.

    Raises:
        ScalarError: It does not fit.
    """
    core, metas = unwrap(expected)
    unit = next((meta.extra["unit"] for meta in metas if meta.extra and "unit" in meta.extra), None)
    value: object
    if unit == DURATION:
        value = _measure(node, expected, name, parse_duration, "s")
    elif unit == SIZE:
        value = _measure(node, expected, name, parse_size, "B")
    elif core is bool:
        value = _bool(node, expected, name)
    elif core is int or core is float:
        value = _number(node, expected, name, whole=core is int)
    elif core is str:
        value = _text(node, expected, name)
    elif get_origin(core) is Literal:
        value = _choice(node, get_args(core), name)
    elif isinstance(core, type) and issubclass(core, enum.Enum):
        value = core(_choice(node, [member.value for member in core], name))
    elif core is Path:
        value = Path(_text(node, expected, name))
    else:
        value = _parsed(node, cast("type[_Written]", core), name)
    _check_bounds(node, value, core, metas, name)
    return value


def describe_type(expected: object) -> str:
    """Name a type in the user's words."""
    core, metas = unwrap(expected)
    for meta in metas:
        unit = (meta.extra or {}).get("unit")
        if unit == DURATION:
            return "a duration such as 5s"
        if unit == SIZE:
            return "a size such as 1MiB"
    if core is bool:
        return "true or false"
    if core is int:
        return "a whole number"
    if core is float:
        return "a number"
    if core is str or core is Path:
        return "a text"
    if core is Secret:
        return "a text (a secret)"
    if get_origin(core) is Literal:
        return one_of(get_args(core))
    if isinstance(core, type) and issubclass(core, enum.Enum):
        return one_of(member.value for member in core)
    if get_origin(core) in (list, tuple, set, frozenset) or core in (list, tuple, set, frozenset):
        return "a list"
    if is_parsed(core):
        return "a text"
    return "a block of keys"


def describe_node(node: Node, *, hidden: bool = False) -> str:
    """Name a value of the file, without showing what must not be seen."""
    if isinstance(node, ListNode):
        return "a list"
    if isinstance(node, MapNode):
        return "a block of keys"
    if node.written is not None:
        return f"the value of `{short(node.written)}`"
    names: dict[ScalarKind, str] = {
        "str": "the text",
        "int": "the number",
        "float": "the number",
        "bool": "the truth value",
        "null": "nothing",
    }
    if node.kind == "null":
        return "nothing"
    return names[node.kind].replace("the", "a") if hidden else f"{names[node.kind]} `{short(node.text)}`"


def one_of(choices: Iterable[object]) -> str:
    """Write choices as a sentence's part."""
    texts = [str(choice) for choice in choices]
    return " or ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def short(text: str) -> str:
    """Cut a text that would fill the screen."""
    text = text.replace("\n", "\\n")
    return text if len(text) <= 60 else text[:59] + "…"


def _kind(node: ScalarNode) -> ScalarKind:
    """Return what a scalar counts as; a variable that is the whole text is typed by what it holds."""
    if not node.whole:
        return node.kind
    kind = core_kind(node.text)
    return "str" if kind == "null" else kind


def _mismatch(
    node: ScalarNode,
    expected: object,
    name: str,
    hint: str | None = None,
    *,
    instead: str | None = None,
    quote: bool = False,
) -> ScalarError:
    message = f"`{name}` must be {describe_type(expected)}, not {describe_node(node)}"
    return ScalarError("AK102", message, hint=hint, instead=instead, quote=quote)


def _measure(node: ScalarNode, expected: object, name: str, parse: Callable[[str], object], unit: str) -> object:
    try:
        return parse(node.text)
    except ValueError as error:
        bare = _kind(node) in ("int", "float") and node.written is None
        written = f"{node.text}{unit}"
        instead = written if bare and node.plain and _parses(parse, written) else None
        hint = f"write {instead}" if instead is not None else str(error)
        raise _mismatch(node, expected, name, hint, instead=instead) from error


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _bool(node: ScalarNode, expected: object, name: str) -> bool:
    if _kind(node) == "bool":
        return node.text.lower() == "true"
    instead = _WORDS.get(node.text.lower()) if node.kind == "str" else None
    hint = f"write {instead}" if instead is not None else None
    raise _mismatch(node, expected, name, hint, instead=instead)


def _number(node: ScalarNode, expected: object, name: str, *, whole: bool) -> int | float:
    kind = _kind(node)
    if kind == "int":
        if len(node.text) > _MAX_DIGITS:
            raise ScalarError("AK105", f"`{name}` is too large a number")
        value = int(node.text, 0 if node.text[:2] in ("0x", "0o") else 10)
        return value if whole else float(value)
    if kind == "float" and not whole:
        number = float(re.sub(r"\.(?=inf|nan)", "", node.text.lower()))
        if not math.isfinite(number):
            raise ScalarError("AK105", f"`{name}` must be a finite number")
        return number
    fitting = ("int",) if whole else ("int", "float")
    quoted = kind == "str" and node.written is None and not node.plain and core_kind(node.text) in fitting
    hint = "take the quotes away" if quoted else None
    raise _mismatch(node, expected, name, hint, instead=node.text if quoted else None)


def _text(node: ScalarNode, expected: object, name: str) -> str:
    if node.kind == "str":
        return node.text
    if node.kind == "null":
        raise _mismatch(node, expected, name)
    read_as = "a truth value" if node.kind == "bool" else "a number"
    raise _mismatch(node, expected, name, f'YAML reads it as {read_as}; quote it: "{short(node.text)}"', quote=True)


def _choice(node: ScalarNode, choices: Sequence[object], name: str) -> object:
    kind = _kind(node)
    for choice in choices:
        wanted: ScalarKind = "bool" if isinstance(choice, bool) else "int" if isinstance(choice, int) else "str"
        # A variable that is the whole text counts as text for a choice of texts, whatever it looks like.
        if (kind == wanted or (node.whole and wanted == "str")) and node.text == _written(choice):
            return choice
    texts = [_written(choice) for choice in choices]
    near = nearest(node.text, texts) if node.written is None else []
    quote = kind != "str" and node.text in texts
    unquote = kind == "str" and node.text in texts
    if quote:
        hint: str | None = f'quote it: "{node.text}"'
    elif unquote:
        hint = "take the quotes away"
    else:
        hint = f"did you mean `{near[0]}`?" if near else None
    message = f"`{name}` must be {one_of(texts)}, not {describe_node(node)}"
    raise ScalarError("AK104", message, hint=hint, instead=node.text if unquote else None, quote=quote)


def _written(choice: object) -> str:
    return str(choice).lower() if isinstance(choice, bool) else str(choice)


def _parsed(node: ScalarNode, cls: type[_Written], name: str) -> object:
    if node.kind != "str":
        hidden = describe_node(node, hidden=True) if cls is Secret else describe_node(node)
        hint = None if node.kind == "null" else "quote it"
        message = f"`{name}` must be {describe_type(cls)}, not {hidden}"
        raise ScalarError("AK102", message, hint=hint, quote=node.kind != "null")
    try:
        return cls.parse(node.text)
    except ValueError as error:
        raise ScalarError(
            "AK102", f"`{name}` cannot be {describe_node(node, hidden=cls is Secret)}", hint=str(error)
        ) from error


def _check_bounds(node: ScalarNode, value: object, core: object, metas: Sequence[Meta], name: str) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        bounds = {
            attribute: getattr(meta, attribute)
            for meta in metas
            for attribute in _BOUNDS
            if getattr(meta, attribute) is not None
        }
        if not all(_BOUNDS[attribute][1](value, bound) for attribute, bound in bounds.items()):
            limits = " and ".join(f"{_BOUNDS[attribute][0]} {bound:g}" for attribute, bound in bounds.items())
            raise ScalarError("AK105", f"`{name}` must be {limits}, not {describe_node(node)}")
    elif isinstance(value, str) and core is str:
        _check_text(node, value, metas, name)


def _check_text(node: ScalarNode, value: str, metas: Sequence[Meta], name: str) -> None:
    for meta in metas:
        if meta.min_length is not None and len(value) < meta.min_length:
            least = f"must have at least {meta.min_length} characters" if meta.min_length > 1 else "may not be empty"
            raise ScalarError("AK105", f"`{name}` {least}")
        if meta.max_length is not None and len(value) > meta.max_length:
            raise ScalarError("AK105", f"`{name}` may have at most {meta.max_length} characters")
        if meta.pattern is not None and re.search(meta.pattern, value) is None:
            raise ScalarError(
                "AK105", f"`{name}` cannot be {describe_node(node)}", hint=f"it must match {meta.pattern}"
            )
