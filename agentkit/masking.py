"""Hides secrets in what is written for people: values of secret variables, well-known keys, fields that hold one."""

import json
import os
import re
from collections.abc import Iterable, Mapping

MASK = "***"
MIN_LENGTH = 8
"""A shorter secret would hide ordinary words."""

_SECRET_NAME = re.compile(r"(?i)(key|token|secret|password|passwd|credential)s?$|_pat$")
_WELL_KNOWN = (
    rb"\b(?:sk|ek|pk|rk)[-_][A-Za-z0-9_-]{12,}"
    rb"|\bgh[pousr]_[A-Za-z0-9]{20,}"
    rb"|\bxox[abposr]-[A-Za-z0-9-]{10,}"
    rb"|\bAKIA[A-Z0-9]{16}\b"
    rb"|(?i:\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}"
)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_FIELD = rb'(?i:"(?:authorization|api[-_]?key|x-api-key|client_secret|access_token|password)"\s*:\s*)"(?:[^"\\]|\\.)*"'


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
        exact = sorted({value for value in values if len(value) >= MIN_LENGTH}, key=len, reverse=True)
        parts = [re.escape(form) for value in exact for form in _forms(value)]
        self._field = re.compile(_FIELD)
        self._pattern = re.compile(b"|".join([*parts, _WELL_KNOWN]))

    def bytes(self, data: bytes) -> bytes:
        """Return JSON text with its secrets masked; it stays JSON, for only what stands in quotes is replaced."""
        data = self._field.sub(lambda match: match[0][: match[0].rindex(b":") + 1] + b'"' + MASK.encode() + b'"', data)
        if self._pattern.search(data) is None:
            return data
        return _STRING.sub(lambda match: self._pattern.sub(MASK.encode(), match[0]), data)

    def text(self, text: str) -> str:
        """Return a text, which need not be JSON, with its secrets masked."""
        data = text.encode("utf-8", "replace")
        return self._pattern.sub(MASK.encode(), data).decode("utf-8", "replace")


def _forms(value: str) -> set[bytes]:
    """Return the ways in which JSON may write a text, besides the text itself."""
    return {
        value.encode(),
        *(json.dumps(value, ensure_ascii=ascii_only)[1:-1].encode() for ascii_only in (True, False)),
    }
