"""The library's own log records about failures that notices tell of: for who looks for them only.

They cite what a server wrote, as it wrote it, so they are not for a log that is kept.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_LOUD: Final = ("client", "mcp.client.stdio", "mcp.client.streamable_http", "mcp.shared.jsonrpc_dispatcher")
"""The loggers that it gives tracebacks to; the first could be somebody else's as well."""


class _Lower(logging.Filter):
    def __init__(self, home: Path) -> None:
        super().__init__()
        self._home = home

    def filter(self, record: logging.LogRecord) -> bool:
        if self._home in Path(record.pathname).parents:
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return True


@contextmanager
def quiet_library() -> Iterator[None]:
    """Lower what the library logs: a line that is no message would put a traceback on the terminal."""
    found = find_spec("mcp")
    assert found is not None
    assert found.origin is not None
    lower = _Lower(Path(found.origin).parent)
    loud = [logging.getLogger(name) for name in _LOUD]
    for each in loud:
        each.addFilter(lower)
    try:
        yield
    finally:
        for each in loud:
            each.removeFilter(lower)
