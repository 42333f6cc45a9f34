"""http-get: the text of a web page, from hosts that the configuration names."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Annotated, Final

from msgspec import Meta, Struct

from agentkit import Factory, Size, Timeout, Tool, ToolError, tool

_SKIPPED: Final = frozenset({"script", "style", "template", "noscript", "svg"})
_BREAKS: Final = frozenset({"p", "br", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article"})


class HttpGetConfig(Struct, frozen=True, kw_only=True):
    """The options of ``http-get``."""

    allow: Annotated[tuple[str, ...], Meta(min_length=1)]
    """The hosts that may be read: ``example.org``, ``*.example.org``, ``*`` for any, ``host:8080``."""
    timeout: Timeout = 10.0
    """How long one page may take, redirects included."""
    max_bytes: Size = 65_536
    """How much of a page is read; the rest is left out, and the result says so."""
    allow_private: bool = False
    """Whether addresses of this machine and of local networks may be read too."""


def _build(config: HttpGetConfig) -> Tool[..., object]:
    @tool(name="http-get", timeout=config.timeout + 5, examples=("read {url}", "fetch {url}"))
    def http_get(url: str) -> dict[str, str | int | bool]:
        """Read the text of a web page or of a JSON address.

        Args:
            url: The whole address, beginning with https:// or http://.
        """
        from agentkit_basics.fetching import Limits, fetch

        limits = Limits(
            allow=config.allow,
            allow_private=config.allow_private,
            timeout=config.timeout,
            max_bytes=config.max_bytes,
        )
        page = fetch(url.strip(), limits)
        if page.status >= 400:
            raise ToolError(f"{page.url} answered {page.status} {printable(page.reason)}".strip())
        text = readable(page.text) if page.content_type in {"text/html", "application/xhtml+xml"} else page.text
        return {
            "text": printable(text),
            "url": page.url,
            "status": page.status,
            "content_type": page.content_type,
            "truncated": page.truncated,
        }

    return http_get


def printable(text: str) -> str:
    """Return a text without control characters other than line breaks and tabs."""
    return "".join(char for char in text if char in "\n\t" or char.isprintable())


def readable(html: str) -> str:
    """Return the words of an HTML page, a line for each block."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.words).splitlines())
    return "\n".join(line for line in lines if line)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self._skipping = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIPPED:
            self._skipping += 1
        elif tag in _BREAKS:
            self.words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SKIPPED:
            self._skipping = max(self._skipping - 1, 0)
        elif tag in _BREAKS:
            self.words.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self.words.append(data)


HTTP_GET: Final = Factory("http-get", _build, HttpGetConfig, "The text of a web page, from hosts you list.")
"""The tool ``http-get``."""
