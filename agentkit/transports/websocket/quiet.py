"""The logger given to websockets: its debug records hold the handshake's headers, and so the key."""

from __future__ import annotations

import logging


class _AboveDebug(logging.LoggerAdapter[logging.Logger]):
    """Says that debug is off, whatever the application's level is."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name is logging's
        return level > logging.DEBUG and super().isEnabledFor(level)


LOGGER = _AboveDebug(logging.getLogger("agentkit.transports.websocket"), {})
"""Warnings and errors pass; debug records are never made."""
