"""Hides secrets in what is written for people: values of secret variables, well-known keys, secret arguments of tools.

Rule: JSON stays JSON, for only what stands in quotes is replaced. Where it cannot be told what is secret, all is.
"""

import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

import msgspec

MASK = "***"
MIN_LENGTH = 8
"""A shorter secret would hide ordinary words."""
MIN_LEARNT = 4
"""The same for a secret that is learnt while a session runs, which is one for certain."""
MAX_LEARNT = 1000
"""Secrets that are learnt; the oldest is forgotten first."""
MAX_CALLS = 4096
"""Ids of calls whose tools are remembered."""

_SECRET_NAME = re.compile(r"(?i)(key|token|secret|password|passwd|credential)s?$|_pat$")
_WELL_KNOWN = re.compile(
    r"\b(?:sk|ek|pk|rk)[-_][A-Za-z0-9_-]{12,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}"
    r"|\bxox[abposr]-[A-Za-z0-9-]{10,}"
    r"|\bAKIA[A-Z0-9]{16}\b"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]+)?"
    r"|(?i:\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}",
    re.ASCII,
)
_USERINFO = re.compile(r"""(?<=://)[^\s/?#@:"'\\]*:[^\s/?#"'\\]+(?=@)""")
_CERTAIN = 40
"""What looks like a key and has no digit is one from this length on; shorter, it may be words."""
_WELL_KNOWN_BYTES = re.compile(_WELL_KNOWN.pattern.encode())
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_FIELD = re.compile(
    rb'(?i:"(?:authorization|api[-_]?key|x-api-key|client_secret|access_token|password)"\s*:\s*)"(?:[^"\\]|\\.)*"'
)
_CALL = b"function_call"
_ARGUMENTS = "response.function_call_arguments."
_INVALID = "invalid arguments"
"""How an output begins that says what is wrong with a call's arguments."""

V = TypeVar("V")


class Masker:
    """Knows which texts must not be shown."""

    def __init__(self, secrets: Iterable[str] = (), environ: Mapping[str, str] | None = None) -> None:
        """Collect what is secret.

        Args:
            secrets: Texts that must not be shown; those shorter than eight characters are left alone.
            environ: Variables; the values of those whose names say that they hold a key, token or password count too.
        """
        variables = os.environ if environ is None else environ
        values = {value for name, value in variables.items() if _SECRET_NAME.search(name)} | set(secrets)
        self._given = {value: _forms(value) for value in values if len(value) >= MIN_LENGTH}
        self._learnt: dict[str, frozenset[str]] = {}
        self._sort()

    def add(self, secret: str) -> None:
        """Learn another text that must not be shown; one shorter than four characters is left alone."""
        if len(secret) < MIN_LEARNT or secret in self._given or secret in self._learnt:
            return
        self._learnt[secret] = _forms(secret)
        if len(self._learnt) > MAX_LEARNT:
            del self._learnt[next(iter(self._learnt))]
        self._sort()

    def _sort(self) -> None:
        forms = {form for known in (self._given, self._learnt) for forms in known.values() for form in forms}
        self._exact = sorted(forms, key=len, reverse=True)
        """The longest first, so that one which is part of another leaves nothing of it."""
        self._exact_bytes = [form.encode("utf-8", "surrogatepass") for form in self._exact]

    def bytes(self, data: bytes) -> bytes:
        """Return JSON text with its secrets masked; it stays JSON, for only what stands in quotes is replaced."""
        data = _FIELD.sub(lambda match: match[0][: match[0].rindex(b":") + 1] + b'"' + MASK.encode() + b'"', data)
        # What is written with escapes is only known once it is read.
        suspect = b"\\" in data or any(form in data for form in self._exact_bytes) or _WELL_KNOWN_BYTES.search(data)
        return _STRING.sub(lambda match: _masked(match[0], self), data) if suspect else data

    def text(self, text: str) -> str:
        """Return a text, which need not be JSON, with its secrets masked."""
        for form in self._exact:
            if form in text:
                text = text.replace(form, MASK)
        return _WELL_KNOWN.sub(MASK, text)


def cover(text: str) -> str:
    """Return a text with what looks like a key, and who may use an address, covered; it keeps its length.

    Words that only look alike, and variables (``${NAME}``), stay.
    """
    if "://" in text:
        text = _USERINFO.sub(lambda match: match[0] if "${" in match[0] else "*" * len(match[0]), text)
    return _WELL_KNOWN.sub(_key_covered, text)


def _key_covered(match: re.Match[str]) -> str:
    certain = len(match[0]) >= _CERTAIN or any(char.isdigit() for char in match[0])
    return "*" * len(match[0]) if certain else match[0]


def _masked(token: bytes, masker: Masker) -> bytes:
    """Return one string of a JSON text, quotes included, with its secrets masked."""
    try:
        text: str = json.loads(token, strict=False) if b"\\" in token else token[1:-1].decode()
    except ValueError:  # no JSON: it is masked as it stands
        return masker.text(token.decode("utf-8", "replace")).encode("utf-8", "replace")
    masked = masker.text(text)
    return token if masked == text else json.dumps(masked, ensure_ascii=False).encode("utf-8", "backslashreplace")


class WireMasker:
    """Masks what one session says: all that a ``Masker`` knows, and the secret arguments of its tools' calls.

    The values of secret arguments are learnt, so that an output or an answer which repeats one in a piece is masked
    too. One that was said before it became an argument cannot be known.
    """

    def __init__(
        self, secret_arguments: Callable[[], Mapping[str, Collection[str]]], masker: Masker | None = None
    ) -> None:
        """Begin with a session.

        Args:
            secret_arguments: Tells the tools of the moment that have secret arguments, and their names.
            masker: What is secret besides; left out, what the environment holds.
        """
        self.masker = masker if masker is not None else Masker()
        self._ask = secret_arguments
        self._secret: dict[str, frozenset[str]] = {}
        """By tool; one that was taken away may still have a call under way."""
        self._tools: dict[str, str] = {}
        """The tool of each call, by its item's id and by its call id."""
        self._calls: dict[str, bool] = {}
        """By call id, of calls with secret arguments: whether what is secret in them could be told apart."""

    def frame(self, raw: bytes) -> bytes:
        """Return a frame with its secrets masked, to be called for each in their order; JSON stays JSON."""
        if (_CALL in raw or b"\\u" in raw) and self._known():
            try:
                event: object = msgspec.json.decode(raw)
                if self._mask(event):
                    raw = msgspec.json.encode(event)
            except (ValueError, RecursionError):
                return MASK.encode() if _CALL in raw else self.masker.bytes(raw)
        return self.masker.bytes(raw)

    def arguments(self, tool: str, arguments: str, *, call_id: str | None) -> str:
        """Return the arguments of a tool's call, as JSON, with those masked that are secret; and learn them."""
        self._known()
        return self.masker.text(self._arguments(tool, arguments, call_id))

    def output(self, call_id: str, output: str) -> str:
        """Return what came of a call, masked.

        What says that arguments are invalid quotes them, cut anywhere: where some are secret it is masked whole.
        """
        clear = self._calls.get(call_id)
        if clear is False or (clear is True and output.startswith(_INVALID)):
            return MASK
        return self.masker.text(output)

    def text(self, text: str) -> str:
        """Return any other text with its secrets masked."""
        return self.masker.text(text)

    def _known(self) -> bool:
        """Take in what the tools say now, and tell whether any has secret arguments."""
        for tool, names in self._ask().items():
            if names:
                self._secret[tool] = self._secret.get(tool, frozenset()) | frozenset(names)
        return bool(self._secret)

    def _mask(self, value: object) -> bool:
        """Mask the calls in a decoded frame, in place; return whether anything was changed."""
        if isinstance(value, list):
            return sum(map(self._mask, value)) > 0  # all of them, so not any()
        if not isinstance(value, dict):
            return False
        kind = value.get("type")
        if kind == "function_call":
            tool = _text(value.get("name"))
            for key in ("id", "call_id"):
                self._remember(_text(value.get(key)), tool)
            return self._replace(value, tool, _text(value.get("call_id")))
        if kind == "function_call_output":
            call_id, output = _text(value.get("call_id")), _text(value.get("output"))
            if call_id is None or output is None:
                return False
            value["output"] = self.output(call_id, output)
            return True
        if isinstance(kind, str) and kind.startswith(_ARGUMENTS):
            ids = (_text(value.get(key)) for key in ("item_id", "call_id"))
            tool = _text(value.get("name")) or next((self._tools[each] for each in ids if each in self._tools), None)
            if tool is not None and tool not in self._secret:
                return False
            if value.get("delta"):
                value["delta"] = MASK
            self._replace(value, tool, _text(value.get("call_id")))
            return True
        return sum(map(self._mask, value.values())) > 0

    def _remember(self, call: str | None, tool: str | None) -> None:
        if call is not None and tool is not None:
            _keep(self._tools, call, tool)

    def _replace(self, value: dict[str, object], tool: str | None, call_id: str | None) -> bool:
        before = value.get("arguments")
        if before is None:
            return False
        value["arguments"] = self._arguments(tool, before, call_id) if isinstance(before, str) else MASK
        return value["arguments"] != before

    def _arguments(self, tool: str | None, arguments: str, call_id: str | None) -> str:
        """Mask the arguments of a call; all of them where the tool is not known, or they are no proper object."""
        if not arguments or (tool is not None and tool not in self._secret):
            return arguments
        fields = _object(arguments) if tool is not None else None
        if call_id is not None:
            _keep(self._calls, call_id, fields is not None)
        if tool is None or fields is None:
            return MASK
        for name in self._secret[tool] & fields.keys():
            self._learn(fields[name])
            fields[name] = MASK
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))

    def _learn(self, value: object) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                self._learn(inner)
        elif isinstance(value, list):
            for inner in value:
                self._learn(inner)
        elif isinstance(value, str):
            self.masker.add(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            self.masker.add(json.dumps(value))


def _keep(known: dict[str, V], key: str, value: V) -> None:
    """Remember one more, and no more than so many."""
    known[key] = value
    if len(known) > MAX_CALLS:
        del known[next(iter(known))]


def _object(arguments: str) -> dict[str, object] | None:
    """Return the arguments of a call; None where they are no JSON object, or say a name twice."""
    try:
        fields: object = json.loads(arguments, strict=False, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name is there twice")
    return fields


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _forms(value: str) -> frozenset[str]:
    """Return a text as it is, and as it stands in JSON, in JSON within JSON and in Python's errors."""
    once = {_quoted(value, ascii_only) for ascii_only in (True, False)}
    twice = {_quoted(form, ascii_only) for form in once for ascii_only in (True, False)}
    return frozenset({value, repr(value)[1:-1]} | once | twice)


def _quoted(text: str, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]
