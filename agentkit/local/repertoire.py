"""A session's tools as the rules responder knows them: their phrases, their words, and the calls that a text makes.

Rule: a phrase beats shared words, and nothing is called whose required arguments the text does not give.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from agentkit.events import FunctionTool
from agentkit.local.phrases import COMMON, Match, Phrase, Word, is_slot, match, phrase_of, slot_text, words_of
from agentkit.local.slots import Slot, slots_of, value_of

MAX_PHRASES: Final = 16
"""Example phrases of one tool that are looked at."""
MAX_TOOLS: Final = 128
MAX_SEGMENTS: Final = 6
_JOINTS: Final = frozenset({"and", "then", "also"})
_POLITE: Final = frozenset(["please", "thanks"])
_BEFORE: Final = frozenset(["in", "for", "at", "of", "about", "to", "from", "on", "called", "named", "near"])
"""What a value often stands behind."""
_ASKING: Final = frozenset(["compute", "calculate", "work", "out", "evaluate", "solve", "result", "answer", "thanks"])
"""Words that ask for a result, whatever the tool."""
_VERBS: Final = frozenset(["get", "set", "do", "run", "make", "list", "tool", "call", "fetch", "find", "show", "use"])
"""Parts of tool names that say little."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A tool and its arguments."""

    tool: str
    arguments: dict[str, object]
    words: str
    """What the user said for it."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One tool."""

    name: str
    description: str
    slots: dict[str, Slot]
    phrases: tuple[Phrase, ...]
    named: frozenset[str]
    """The words of its name."""
    told: frozenset[str]
    """The words of its description and of its phrases."""

    def fill(self, name: str, text: str) -> object:
        """Return the text as the value of an argument, or ``None`` where it does not fit."""
        slot = self.slots.get(name)
        return None if slot is None else value_of(slot, text)

    @property
    def required(self) -> tuple[Slot, ...]:
        """The arguments that a call must have."""
        return tuple(slot for slot in self.slots.values() if slot.required)


def known(tool: FunctionTool) -> Known:
    """Return what can be told about a tool from its definition.

    Its example phrases are the ``examples`` of its ``parameters``: strings, in which ``{name}`` stands for the value of
    an argument, or objects ``{"phrase": ..., "arguments": {...}}``.
    """
    parameters = tool.parameters if isinstance(tool.parameters, dict) else {}
    slots = slots_of(parameters)
    examples = parameters.get("examples")
    phrases = tuple(
        phrase
        for example in (examples if isinstance(examples, list) else [])[:MAX_PHRASES]
        if (phrase := _phrase(example, slots)) is not None
    )
    description = " ".join((tool.description or "").split())
    told = {_stem(word.norm) for word in words_of(description)}
    for phrase in phrases:
        told |= {_stem(word) for word in phrase.literals}
    name = tool.name or ""
    named = {_stem(word.norm) for word in words_of(_spaced(name))} - _VERBS - COMMON
    return Known(
        name=name,
        description=description,
        slots=slots,
        phrases=phrases,
        named=frozenset(named),
        told=frozenset(told - COMMON - _VERBS),
    )


def calls_for(text: str, tools: Sequence[Known], *, forced: bool = False) -> tuple[list[Call], list[str]]:
    """Return the calls that a text asks for, and its parts for which there is no tool.

    Args:
        text: What the user said.
        tools: What may be called.
        forced: A tool has to be called, so shared words are not needed.
    """
    segments = _segments(words_of(text))
    found: list[tuple[int, list[Call], list[str]]] = [(0, [], [])]
    # found[i]: the best that the first i segments give, fewest parts without a tool first, then most calls.
    for end in range(1, len(segments) + 1):
        best: tuple[int, list[Call], list[str]] | None = None
        for start in range(end):
            words = [word for segment in segments[start:end] for word in segment]
            missed, calls, unmatched = found[start]
            call = _call(words, tools, after=calls[-1] if calls else None, forced=forced)
            if call is None:
                option = (missed + end - start, calls, [*unmatched, slot_text(_trimmed(words))])
            else:
                option = (missed, [*calls, call], unmatched)
            if best is None or (option[0], -len(option[1])) < (best[0], -len(best[1])):
                best = option
        assert best is not None
        found.append(best)
    _, calls, unmatched = found[-1]
    return calls, [part for part in unmatched if part]


def _call(words: Sequence[Word], tools: Sequence[Known], *, after: Call | None, forced: bool) -> Call | None:
    words = _trimmed(words)
    if not words:
        return None
    said = slot_text(words)
    matched = _by_phrase(words, tools)
    if matched is None and after is not None:
        matched = _continued(words, [tool for tool in tools if tool.name == after.tool])
    if matched is not None:
        tool, fit = matched
        return Call(tool=tool.name, arguments=fit.arguments, words=said)
    return _by_words(words, tools, said, forced=forced)


def _by_phrase(words: Sequence[Word], tools: Sequence[Known]) -> tuple[Known, Match] | None:
    best: tuple[Known, Match] | None = None
    for tool in tools:
        for phrase in tool.phrases:
            fit = match(phrase, words, tool.fill)
            if fit is None or any(slot.name not in fit.arguments for slot in tool.required):
                continue
            if best is None or fit.score > best[1].score:
                best = tool, fit
    return best


def _continued(words: Sequence[Word], tools: Sequence[Known]) -> tuple[Known, Match] | None:
    """Match a part that goes on with the tool before it: ``what time is it in Tokyo and in Paris``.

    It has to share words with the phrase's rest, so a name with an "and" inside stays one value.
    """
    spoken = {word.norm for word in words}
    for tool in tools:
        for phrase in tool.phrases:
            head = _head(phrase)
            goes_on = bool(head) and head[-1] in _BEFORE and words[0].norm == head[-1]
            if not goes_on and not (phrase.literals - set(head)) & spoken:
                continue
            for length in range(1, len(head) + 1):
                lead = [Word("", part) for part in head[:length]]
                fit = match(phrase, [*lead, *words], tool.fill)
                if fit is not None and all(slot.name in fit.arguments for slot in tool.required):
                    return tool, fit
    return None


def _head(phrase: Phrase) -> list[str]:
    """Return a phrase's words before its first slot."""
    head: list[str] = []
    for part in phrase.parts:
        if is_slot(part):
            break
        head.append(part)
    return head


def _by_words(words: Sequence[Word], tools: Sequence[Known], said: str, *, forced: bool) -> Call | None:
    """Choose a tool by the words that it shares with the text, where the text gives what it needs."""
    best: tuple[float, Call] | None = None
    for tool in tools:
        shared = {word.norm for word in words if _stem(word.norm) in tool.named | tool.told}
        filled = _arguments(tool, words, shared)
        if filled is None:
            continue
        arguments, places = filled
        given = {words[place].norm for place in places} | _ASKING
        weighty = {word.norm for word in words if word.norm not in COMMON}
        hits = sum(2 if _stem(word) in tool.named else 1 for word in shared)
        explained = len(weighty & (shared | given)) / len(weighty) if weighty else 0.0
        typed = any(slot.kind == "expression" and slot.name in arguments for slot in tool.required)
        if not forced and not (explained == 1 and (hits or typed)) and not (hits >= 2 and explained >= 0.6):
            continue
        score = hits + explained + typed
        if best is None or score > best[0]:
            best = score, Call(tool=tool.name, arguments=arguments, words=said)
    return best[1] if best is not None else None


def _arguments(tool: Known, words: Sequence[Word], shared: set[str]) -> tuple[dict[str, object], set[int]] | None:
    """Return the arguments that the words give and the places of those words; ``None`` where one is missing."""
    found: dict[str, object] = {}
    taken: set[int] = set()
    for slot in sorted(tool.slots.values(), key=lambda slot: slot.kind == "string"):
        span = _span(slot, words, shared, taken)
        if span is not None:
            found[slot.name] = value_of(slot, slot_text(words[span[0] : span[1]]))
            taken.update(range(*span))
        elif slot.required:
            return None
    return found, taken


def _span(slot: Slot, words: Sequence[Word], shared: set[str], taken: set[int]) -> tuple[int, int] | None:
    if slot.kind in ("string", "array"):
        return _quoted_or_last(words, shared, taken)
    for length in range(min(len(words), 1 if slot.kind in ("integer", "number", "boolean") else 12), 0, -1):
        for start in range(len(words) - length + 1):
            span = range(start, start + length)
            if not taken & set(span) and value_of(slot, slot_text(words[start : start + length])) is not None:
                return start, start + length
    return None


def _quoted_or_last(words: Sequence[Word], shared: set[str], taken: set[int]) -> tuple[int, int] | None:
    """Return the words after the last preposition, if nothing there is what the tool was chosen by."""
    for start in range(len(words) - 1, 0, -1):
        rest = range(start, len(words))
        if taken & set(rest) or words[start].norm in shared:
            return None
        if words[start - 1].norm in _BEFORE:
            return start, len(words)
    return None


def _segments(words: Sequence[Word]) -> list[list[Word]]:
    """Take a text apart where it may join several requests; the joining words begin the later part."""
    segments: list[list[Word]] = [[]]
    for index, word in enumerate(words):
        ended = index > 0 and words[index - 1].raw.endswith(("?", ";", ".", "!"))
        if segments[-1] and (word.norm in _JOINTS or ended) and len(segments) < MAX_SEGMENTS:
            segments.append([])
        segments[-1].append(word)
    return segments if segments != [[]] else []


def _trimmed(words: Sequence[Word]) -> Sequence[Word]:
    """Leave out the joining words at the beginning and the polite ones at the end."""
    start, end = 0, len(words)
    while start < end and words[start].norm in _JOINTS:
        start += 1
    while start < end and words[end - 1].norm in _POLITE:
        end -= 1
    return words[start:end]


def _phrase(example: object, slots: dict[str, Slot]) -> Phrase | None:
    if isinstance(example, dict):
        text, arguments = example.get("phrase"), example.get("arguments")
        if not isinstance(text, str):
            return None
        phrase = phrase_of(text, arguments if isinstance(arguments, dict) else None)
        return msgspec.structs.replace(phrase, text=text)
    if not isinstance(example, str):
        return None
    phrase = phrase_of(example if "{" in example else _with_slots(example, slots))
    return msgspec.structs.replace(phrase, text=example)


def _with_slots(example: str, slots: dict[str, Slot]) -> str:
    """Put slots where a plain example seems to have values: what fits a type, a name, an address."""
    for slot in slots.values():
        words = words_of(example)
        span = None
        if slot.kind not in ("string", "array", "object"):
            span = _span(slot, words, set(), set())
        elif slot.kind == "string" and sum(each.kind == "string" for each in slots.values()) == 1:
            span = _name_in(words)
        if span is not None:
            value = slot_text(words[span[0] : span[1]])
            example = example.replace(value, f"{{{slot.name}}}", 1)
    return example


def _name_in(words: Sequence[Word]) -> tuple[int, int] | None:
    """Return the first run of capitalised words after the beginning, or an address."""
    for start in range(1, len(words)):
        if "://" in words[start].raw or words[start].raw[:1].isupper():
            end = start + 1
            while end < len(words) and words[end].raw[:1].isupper():
                end += 1
            return start, end
    return None


def _spaced(name: str) -> str:
    return "".join(" " if char in "_-." else f" {char}" if char.isupper() else char for char in name)


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
