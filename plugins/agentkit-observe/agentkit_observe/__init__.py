"""See what a session does: transcripts, recordings, OpenTelemetry and a watchdog, a file each.

Rule: what a middleware needs is imported when it is made, for numpy and OpenTelemetry are slow to load.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from agentkit import Factory, Middleware, hookimpl
from agentkit_observe.configs import OtelConfig, RecorderConfig, TranscriptConfig, WatchdogConfig

if TYPE_CHECKING:
    from agentkit_observe.otel import Otel
    from agentkit_observe.recorder import Recorder
    from agentkit_observe.transcript import Transcript
    from agentkit_observe.watchdog import Watchdog

__all__ = ["OtelConfig", "RecorderConfig", "TranscriptConfig", "WatchdogConfig", "register_middleware"]


@hookimpl
def register_middleware() -> Iterable[Factory[Middleware]]:
    """Return the middleware of this plugin."""
    return [
        Factory("transcript", _transcript, TranscriptConfig, "Write the conversation to a file."),
        Factory("recorder", _recorder, RecorderConfig, "Record every event, and both sides' audio."),
        Factory("otel", _otel, OtelConfig, "Traces and metrics by OpenTelemetry."),
        Factory("watchdog", _watchdog, WatchdogConfig, "Tell what takes too long, and why."),
    ]


def _transcript(config: TranscriptConfig) -> "Transcript":
    from agentkit_observe.transcript import Transcript

    return Transcript(config)


def _recorder(config: RecorderConfig) -> "Recorder":
    from agentkit_observe.recorder import Recorder

    return Recorder(config)


def _otel(config: OtelConfig) -> "Otel":
    from agentkit_observe.otel import Otel

    return Otel(config)


def _watchdog(config: WatchdogConfig) -> "Watchdog":
    from agentkit_observe.watchdog import Watchdog

    return Watchdog(config)
