"""The instruments of one session's metrics."""

from collections.abc import Mapping
from typing import TypeAlias

from opentelemetry.metrics import Histogram, MeterProvider, get_meter

from agentkit_observe import otel_names as names
from agentkit_observe.configs import __version__

Attributes: TypeAlias = Mapping[str, str | int | float | bool]


class Metrics:
    """What is measured."""

    def __init__(self, provider: MeterProvider | None) -> None:
        meter = get_meter("agentkit_observe", __version__, meter_provider=provider)

        def seconds(name: str, description: str) -> Histogram:
            return meter.create_histogram(
                name, unit="s", description=description, explicit_bucket_boundaries_advisory=names.SECONDS
            )

        self.operation = seconds(names.OPERATION_DURATION, "How long a response or a tool's call took.")
        self.first_chunk = seconds(names.TIME_TO_FIRST_CHUNK, "From the request to the first text, words or audio.")
        self.first_audio = seconds(names.TIME_TO_FIRST_AUDIO, "From the request to the first audio.")
        self.speech_to_audio = seconds(names.SPEECH_TO_AUDIO, "From the end of the user's speech to the first audio.")
        self.tool = seconds(names.TOOL_DURATION, "How long a tool's call took.")
        self.tokens = meter.create_histogram(
            names.TOKEN_USAGE,
            unit="{token}",
            description="Tokens of a response.",
            explicit_bucket_boundaries_advisory=names.TOKENS,
        )
        self.tools_running = meter.create_up_down_counter(
            names.TOOLS_RUNNING, unit="{call}", description="Tools' calls that run."
        )
        self.sessions = meter.create_up_down_counter(
            names.SESSIONS, unit="{session}", description="Sessions that are open."
        )
        self.reconnects = meter.create_counter(
            names.RECONNECTS, unit="{connection}", description="Connections beyond a session's first."
        )
        self.queue_depth = meter.create_histogram(
            names.QUEUE_DEPTH, unit="{frame}", description="Frames that waited to be written as a response began."
        )
        self.dropped_input = meter.create_counter(
            names.DROPPED_INPUT, unit="By", description="The user's audio that could not be sent."
        )
