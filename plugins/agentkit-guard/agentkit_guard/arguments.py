"""Arguments of tools and other JSON: read strictly once, looked through, and written again in one way.

Rule: what was checked is what runs, so a guard hands on the text that ``canonical`` makes of what it has checked.
"""

import base64
import binascii
import html
import json
import re
from collections.abc import Callable, Iterator
from typing import Final, NoReturn
from urllib.parse import unquote

DEPTH: Final = 3
"""How many encodings within each other are looked through."""
MOST: Final = 1 << 17
"""Characters of readings of one text that are looked at; a text that has more cannot be looked through."""
PLAIN: Final = 32
"""What a reading costs beside its characters."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_\-]{8,}={0,2}")
_ESCAPES: Final = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")


def parse(raw: str) -> dict[str, object]:
    """Read the arguments of a call; an empty text and ``null`` mean none.

    Raises:
        ValueError: They are no JSON object, or one that readers understand differently: a name twice, ``NaN``.
    """
    if not raw.strip():
        return {}
    try:
        value = json.loads(raw, object_pairs_hook=_once, parse_constant=_constant, strict=False)
    except RecursionError as error:
        raise ValueError("they are nested too deep") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("they are not a JSON object")
    return value


def canonical(value: object) -> str:
    """Write JSON in the one way in which it is handed on."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(name for name in names if names.count(name) > 1)!r} is given twice")
    return value


def _constant(text: str) -> NoReturn:
    raise ValueError(f"they hold {text}, which is not JSON")


def change_json(raw: str, change: Callable[[str], str]) -> str:
    """Change the texts in a JSON text, names and numbers as well; one where nothing changed stays as it is.

    A text that is no JSON is changed as a whole.
    """
    changed = False

    def changing(text: str) -> str:
        nonlocal changed
        new = change(text)
        changed = changed or new != text
        return new

    def number(text: str) -> object:
        new = changing(text)
        return new if new != text else json.loads(text) if len(text) < 1000 else text

    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        return {changing(name): change_texts(value, changing) for name, value in found}

    try:
        value = json.loads(raw, object_pairs_hook=pairs, parse_int=number, parse_float=number, strict=False)
    except (ValueError, RecursionError):
        written = unescaped(raw)
        new = change(written)
        return new if new != written else raw
    if not isinstance(value, dict):
        value = change_texts(value, changing)
    return json.dumps(value, ensure_ascii=False) if changed else raw


def change_texts(value: object, change: Callable[[str], str]) -> object:
    """Change every text in a value; dicts were changed when they were read."""
    if isinstance(value, str):
        return change(value)
    return [change_texts(each, change) for each in value] if isinstance(value, list) else value


def change_data(value: object, change: Callable[[str], str]) -> object:
    """Change every text in plain data."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list | tuple):
        return [change_data(each, change) for each in value]
    if isinstance(value, dict):
        return {name: change_data(each, change) for name, each in value.items()}
    return value


def texts_in(value: object) -> Iterator[str]:
    """Yield every text in plain data, names and numbers too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield str(name)
            yield from texts_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts_in(each)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def unescaped(text: str) -> str:
    """Return a text with its escapes of characters read."""
    if "\\" not in text:
        return text
    read = _ESCAPES.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
    return read.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def readings(text: str) -> Iterator[str]:
    """Yield what a text may stand for, where it is encoded: in URLs, HTML, JSON, base64, escapes.

    Raises:
        ValueError: It stands for more than can be looked through, or its encodings are within each other too deep.
    """
    seen, todo, cost = {text}, [(text, 0)], 0
    while todo:
        outer, depth = todo.pop()
        for inner in _decoded(outer):
            if inner in seen:
                continue
            seen.add(inner)
            cost += len(inner) + PLAIN
            if cost > MOST:
                raise ValueError("more is encoded in them than can be looked through")
            if depth == DEPTH:
                raise ValueError("their encodings are within each other too deep")
            yield inner
            todo.append((inner, depth + 1))


def _decoded(text: str) -> Iterator[str]:
    for decode in (unquote, html.unescape, unescaped):
        yield decode(text)
    yield from _from_json(text)
    yield from _from_base64(text)


def _from_json(text: str) -> Iterator[str]:
    if text.lstrip()[:1] in ("{", "[", '"') and text.strip():
        try:
            yield from texts_in(json.loads(text, object_pairs_hook=list))
        except (ValueError, RecursionError):
            return


def _from_base64(text: str) -> Iterator[str]:
    for found in _BASE64.findall(text):
        bare = found.rstrip("=").translate(str.maketrans("-_", "+/"))
        try:
            yield base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True).decode()
        except (binascii.Error, ValueError):
            continue
