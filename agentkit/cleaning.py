"""Texts of others without what a terminal would obey."""

import re
from typing import Final

_SEQUENCES: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC and the other strings
    r"|\x1b[ -/]*[0-~]"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_BIDI: Final = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""What writes a line in another order than it was said."""
_CONTROLS: Final = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{_BIDI}]")
_LINE_ENDS: Final = re.compile("\r\n|[\u2028\u2029]")
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_UNSAFE_IN_JSON: Final = re.compile(rf"[\x7f-\x9f\u2028\u2029{_BIDI}]")


def clean(text: str) -> str:
    """Return a text without anything that a terminal would obey; line ends and tabs stay.

    A sequence that arrives in pieces loses its escape character, so its rest shows as plain text.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _SURROGATES.sub("\ufffd", _LINE_ENDS.sub("\n", text))
    return _CONTROLS.sub("", _SEQUENCES.sub("", text))


def escaped_json(json: str) -> str:
    """Escape in JSON text the characters that JSON lets through and a terminal or a script would obey."""
    if json.isascii() and "\x7f" not in json:
        return json
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", json)
