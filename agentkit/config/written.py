"""Values of a configuration as YAML that reads as the same values again, each with a comment where one is wanted."""

import json
import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from agentkit.config.nodes import core_kind
from agentkit.config.origin import Branch, Leaf, Origin, Shown

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./](?:[\w./@+()~*'!?;<=>$%^|\\{}-]|:(?=[^\s])|,| (?=[^\s#]))*", re.ASCII)
_IN_FLOW: Final = re.compile(r"[,\[\]{}]")
_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "inherit"})
_HARD: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_BLOCK: Final = re.compile("[^\n\t -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_FLOW_WIDTH: Final = 60


class Line(Struct, frozen=True):
    """One line of YAML."""

    text: str
    comment: str = ""
    """Where its value comes from; empty where the line has no value of its own."""


def to_yaml(shown: Branch) -> list[Line]:
    """Return a configuration as lines of YAML; texts that hold several lines stay readable."""
    return list(_map(shown, ""))


def _map(shown: Branch, margin: str) -> Iterator[Line]:
    for key, item in shown.items:
        yield from _under(f"{margin}{_text(str(key), flow=False)}:", item, margin + "  ")


def _under(head: str, item: Shown, margin: str) -> Iterator[Line]:
    """Write what stands behind a key."""
    if isinstance(item, Leaf):
        yield from _leaf(head, item, margin)
    elif not item.items:
        yield Line(f"{head} {'[]' if item.is_list else '{}'}", str(item.origin))
    elif item.is_list:
        flow = _flow(item)
        if flow is not None:
            yield Line(f"{head} {flow[0]}", str(flow[1]))
        else:
            yield Line(head)
            yield from _list(item, margin)
    else:
        yield Line(head)
        yield from _map(item, margin)


def _list(shown: Branch, margin: str) -> Iterator[Line]:
    for _, item in shown.items:
        if isinstance(item, Leaf):
            yield from _leaf(f"{margin}-", item, margin + "  ")
        elif not item.items:
            yield Line(f"{margin}- {'[]' if item.is_list else '{}'}", str(item.origin))
        else:
            inner = _list(item, margin + "  ") if item.is_list else _map(item, margin + "  ")
            for number, line in enumerate(inner):
                start = f"{margin}- " if number == 0 else margin + "  "
                yield Line(start + line.text[len(margin) + 2 :], line.comment)


def _leaf(head: str, leaf: Leaf, margin: str) -> Iterator[Line]:
    if not isinstance(leaf.value, str):
        yield Line(f"{head} {leaf.written}", str(leaf.origin))
        return
    text = _dollars(leaf.value)
    lines = text.split("\n")
    if len(lines) > 1 and _BLOCK.search(text) is None and lines[0][:1] not in ("", " ", "\t"):
        # A literal block: its last line breaks are told by the mark behind the bar.
        mark = "-" if lines[-1] else "" if (len(lines) > 2 and lines[-2]) or len(lines) == 2 else "+"
        if not lines[-1]:
            lines.pop()
        yield Line(f"{head} |{mark}", str(leaf.origin))
        for line in lines:
            yield Line(f"{margin}{line}" if line else "")
        return
    yield Line(f"{head} {_text(text, flow=False)}", str(leaf.origin))


def _flow(shown: Branch) -> tuple[str, Origin] | None:
    """Return a short list of single values from one place on one line."""
    texts: list[str] = []
    origins: set[str] = set()
    for _, item in shown.items:
        if not isinstance(item, Leaf):
            return None
        value = item.value
        texts.append(_text(_dollars(value), flow=True) if isinstance(value, str) else str(item.written))
        origins.add(str(item.origin))
    line = f"[{', '.join(texts)}]"
    first = shown.items[0][1].origin
    return (line, first) if len(origins) == 1 and len(line) <= _FLOW_WIDTH else None


def _text(text: str, *, flow: bool) -> str:
    plain = _PLAIN.fullmatch(text) and core_kind(text) == "str" and text.lower() not in _WORDS
    if plain and not (flow and _IN_FLOW.search(text)):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _HARD.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def _dollars(text: str) -> str:
    """Write the dollars of a text so that none of them begins a variable."""
    return text.replace("$", "$$") if "${" in text or "$$" in text else text
