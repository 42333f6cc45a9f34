"""Secret arguments: what is shown of a call in their place, and what they are."""

import json
from collections.abc import Collection, Iterable, Iterator

from agentkit.errors import ToolArgumentsError
from agentkit.masking import MASK
from agentkit.tools.arguments import read_arguments

MIN_LENGTH = 4
"""Shorter values are not looked for in other texts: they would hide ordinary words and numbers."""


def canonical(raw: str) -> str:
    """Write arguments in one way, so that two texts are the same if and only if they say the same."""
    try:
        return json.dumps(read_arguments(raw), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    except ToolArgumentsError:
        return raw


def masked(raw: str, secret: Collection[str], known: Collection[str] | None = None) -> str:
    """Return arguments as they may be shown.

    Args:
        raw: As JSON.
        secret: Which of them are secret.
        known: All that there are, where another may be a misspelt secret one, and so is not shown either.
    """
    if not secret:
        return raw
    try:
        arguments = read_arguments(raw)
    except ToolArgumentsError:
        return MASK
    shown = {
        name: MASK if name in secret or (known is not None and name not in known) else value
        for name, value in arguments.items()
    }
    return json.dumps(shown, ensure_ascii=False)


def unmasked(changed: str, original: str, secret: Collection[str]) -> str:
    """Put secret arguments back into arguments that somebody has changed without seeing them.

    Raises:
        ToolArgumentsError: They are no JSON object.
    """
    arguments = read_arguments(changed)
    known = read_arguments(original) if secret else {}
    for name in secret:
        if arguments.get(name) == MASK and name in known:
            arguments[name] = known[name]
    return json.dumps(arguments, ensure_ascii=False)


def secret_values(raw: str, secret: Collection[str]) -> tuple[str, ...]:
    """Return the texts of secret arguments that are long enough to be looked for elsewhere, longest first."""
    if not secret:
        return ()
    try:
        arguments = read_arguments(raw)
    except ToolArgumentsError:
        return ()
    found = {text for name in secret if name in arguments for text in _texts(arguments[name])}
    return tuple(sorted((text for text in found if len(text) >= MIN_LENGTH), key=len, reverse=True))


def hidden(text: str, values: Iterable[str]) -> str:
    """Return a text without secret values, as they are or as JSON writes them."""
    for value in values:
        for form in {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}:
            text = text.replace(form, MASK)
    return text


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield json.dumps(value)
