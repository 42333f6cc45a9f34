"""``--only KEY``: one key of a configuration, with what is around it left out."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from msgspec import structs

from agentkit.cli.exits import Exit, Problem

if TYPE_CHECKING:
    from agentkit.config.origin import Branch, Shown

_PART: Final = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def pick(root: "Branch", key: str, *, defaults: bool) -> "Branch":
    """Return a configuration with nothing but one key.

    Args:
        root: The whole one, defaults included.
        key: ``session.turn.mode``, ``tools[0].timeout`` or ``tools.0.timeout``; a name with dots counts as it stands.
        defaults: Keep the defaults inside of what is picked; where it holds nothing else they are kept anyway.

    Raises:
        Problem: There is no such key, or nothing is said of it.
    """
    parts = [match[1] or match[2] for match in _PART.finditer(key)]
    if not parts:
        raise Problem("--only names a key", hint="--only session.turn")
    return _pick(root, parts, (), defaults=defaults)


def _pick(shown: "Branch", parts: Sequence[str], path: tuple[str | int, ...], *, defaults: bool) -> "Branch":
    from agentkit.config.origin import Branch, said

    # A key may have dots in it, so the longest that is there counts.
    for count in range(len(parts), 0, -1):
        name = ".".join(parts[:count])
        found = next(((key, item) for key, item in shown.items if str(key) == name), None)
        if found is None:
            continue
        key, item = found
        rest = parts[count:]
        kept: Shown
        if not rest:
            kept = item
            if isinstance(item, Branch) and not defaults and said(item).items:
                kept = said(item)
        elif isinstance(item, Branch):
            kept = _pick(item, rest, (*path, key), defaults=defaults)
        else:
            raise Problem(f"`{_named((*path, key))}` is a single value and has no keys")
        return structs.replace(shown, items=((key, kept),))
    raise _missing(shown, parts[0], path)


def _missing(shown: "Branch", name: str, path: tuple[str | int, ...]) -> Problem:
    from agentkit.registry import nearest

    where = f"`{_named(path)}`" if path else "the configuration"
    if shown.is_list:
        count = len(shown.items)
        has = f"{count} item{'s' * (count != 1)}"
        return Problem(f"{where} has {has}, so there is no [{name}]", hint=f"they count from 0 to {count - 1}")
    if name in shown.known:
        if not path and name in ("extends", "preset"):
            return Problem(f"`{name}` is taken in: what it brings stands in its place", hint="agentkit show --origin")
        return Problem(f"nothing is said of `{_named((*path, name))}`, and it has no default", code=Exit.NO)
    keys = [*(str(key) for key, _ in shown.items), *shown.known]
    near = nearest(name, keys)
    hint = f"did you mean `{_named((*path, near[0]))}`?" if near else None
    if hint is None and keys:
        hint = f"its keys are {', '.join(dict.fromkeys(keys))}"
    return Problem(f"{where} has no `{name}`", hint=hint)


def _named(path: tuple[str | int, ...]) -> str:
    from agentkit.config.nodes import path_text

    return path_text(path)
