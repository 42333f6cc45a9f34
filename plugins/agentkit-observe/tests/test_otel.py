"""OpenTelemetry: which spans there are, what they say, and what they do not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from agentkit_observe import otel_names as names
from agentkit_observe.configs import OtelConfig
from agentkit_observe.otel import Otel
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.trace import StatusCode, get_current_span
from trio.testing import MockClock

from agentkit import ToolError, tool
from agentkit.events import SessionEnded

if TYPE_CHECKING:
    from conftest import Open

pytestmark = pytest.mark.anyio
in_virtual_time = pytest.mark.parametrize(
    "anyio_backend", [("trio", {"clock": MockClock(autojump_threshold=0)})], ids=["virtual"]
)


class Telemetry:
    """What came out of the SDK."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meters = MeterProvider([self._reader])

    def layer(self, *, payloads: bool = False, provider: str | None = None) -> Otel:
        config = OtelConfig(payloads=payloads, provider=provider)
        return Otel(config, tracer_provider=self.tracers, meter_provider=self.meters)

    def span(self, name: str) -> ReadableSpan:
        [span] = [span for span in self._spans.get_finished_spans() if span.name == name]
        return span

    def about(self, name: str) -> dict[str, Any]:
        return dict(self.span(name).attributes or {})

    def parent(self, name: str) -> str | None:
        parent = self.span(name).parent
        spans = {span.context.span_id: span.name for span in self._spans.get_finished_spans()}
        return spans[parent.span_id] if parent is not None else None

    def points(self, name: str) -> list[Any]:
        data = self._reader.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def everything(self) -> str:
        return "".join(span.to_json() for span in self._spans.get_finished_spans())


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@tool
async def lookup(word: str) -> str:
    """Look a word up."""
    get_current_span().set_attribute("seen", "inside")
    return f"{word}: found"


@tool
async def broken(word: str) -> str:
    """Fail."""
    raise ToolError(f"no {word}")


USAGE = {
    "total_tokens": 30,
    "input_tokens": 20,
    "output_tokens": 10,
    "input_token_details": {"cached_tokens": 5},
}


async def test_session_connection_and_response_are_spans_one_within_the_other(
    opened: Open, telemetry: Telemetry
) -> None:
    async with opened(telemetry.layer()) as it:
        await it.server.begins()
        await it.server.ends("Hello.", output_modalities=["audio"], usage=USAGE)
        await it.handled()
        session_id = it.session.id
    assert telemetry.parent("session") is None
    assert telemetry.parent("connection") == "session"
    assert telemetry.parent("chat gpt-realtime") == "session"
    assert telemetry.about("chat gpt-realtime") == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "fake",
        "gen_ai.system": "fake",
        "gen_ai.request.model": "gpt-realtime",
        "gen_ai.conversation.id": session_id,
        "gen_ai.response.id": "r1",
        "gen_ai.response.finish_reasons": ("completed",),
        "gen_ai.output.type": "speech",
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 10,
        "gen_ai.usage.cache_read.input_tokens": 5,
        "agentkit.status": "completed",
    }
    assert telemetry.about("session")["agentkit.status"] == "closed"


async def test_a_tools_call_is_a_span_within_its_response_and_around_its_body(
    opened: Open, telemetry: Telemetry
) -> None:
    async with opened(telemetry.layer(), tools=(lookup,)) as it:
        await it.server.calls("r1", c1=("lookup", '{"word":"sun"}'))
        await it.server.next("conversation.item.create")
        await it.handled()
    assert telemetry.parent("execute_tool lookup") == "chat gpt-realtime"
    about = telemetry.about("execute_tool lookup")
    assert about["gen_ai.tool.name"] == "lookup"
    assert about["gen_ai.tool.call.id"] == "c1"
    assert about["gen_ai.operation.name"] == "execute_tool"
    assert about["seen"] == "inside"
    assert "error.type" not in about
    [point] = telemetry.points("agentkit.tool.duration")
    assert point.count == 1


async def test_a_tool_that_fails_is_an_error_of_its_kind(opened: Open, telemetry: Telemetry) -> None:
    async with opened(telemetry.layer(), tools=(broken,)) as it:
        await it.server.calls("r1", c1=("broken", '{"word":"sun"}'), c2=("nothing", "{}"), c3=("broken", "{"))
        for _ in range(3):
            await it.server.next("conversation.item.create")
        await it.handled()
    kinds = {point.attributes["error.type"] for point in telemetry.points("agentkit.tool.duration")}
    assert kinds == {"ToolError", "unknown", "invalid"}
    assert telemetry.span("execute_tool nothing").status.status_code is StatusCode.ERROR
    assert "no sun" not in telemetry.everything()


async def test_a_response_that_fails_says_the_servers_code(opened: Open, telemetry: Telemetry) -> None:
    details = {"type": "failed", "error": {"type": "server_error", "code": "overloaded", "message": "secret words"}}
    async with opened(telemetry.layer()) as it:
        await it.server.begins()
        await it.server.ends("", status="failed", status_details=details)
        await it.handled()
    assert telemetry.about("chat gpt-realtime")["error.type"] == "overloaded"
    assert telemetry.span("chat gpt-realtime").status.status_code is StatusCode.ERROR
    [point] = telemetry.points("gen_ai.client.operation.duration")
    assert point.attributes["error.type"] == "overloaded"
    assert "secret words" not in telemetry.everything()


@in_virtual_time
async def test_the_waits_for_the_agent_are_measured(opened: Open, telemetry: Telemetry) -> None:
    async with opened(telemetry.layer()) as it:
        await it.server.emit("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id="u1")
        await it.handled()
        await anyio.sleep(0.5)
        await it.server.begins()
        await it.handled()
        await anyio.sleep(0.25)
        await it.server.speaks("Hel")
        await it.handled()
        await anyio.sleep(0.25)
        await it.server.plays(bytes(480))
        await it.server.plays(bytes(480))
        await it.handled()
        await anyio.sleep(1)
        await it.server.ends("Hello.", usage=USAGE)
        await it.handled()
    sums = {
        name: [round(point.sum, 3) for point in telemetry.points(name)]
        for name in (
            names.TIME_TO_FIRST_CHUNK,
            names.TIME_TO_FIRST_AUDIO,
            names.SPEECH_TO_AUDIO,
            names.OPERATION_DURATION,
        )
    }
    assert sums == {
        names.TIME_TO_FIRST_CHUNK: [0.25],
        names.TIME_TO_FIRST_AUDIO: [0.5],
        names.SPEECH_TO_AUDIO: [1.0],
        names.OPERATION_DURATION: [1.5],
    }
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in telemetry.points(names.TOKEN_USAGE)}
    assert tokens == {"input": 20, "output": 10}
    [queued] = telemetry.points(names.QUEUE_DEPTH)
    assert (queued.count, queued.sum) == (1, 0)
    [point] = telemetry.points(names.TIME_TO_FIRST_AUDIO)
    assert point.explicit_bounds == names.SECONDS


@in_virtual_time
async def test_a_response_is_measured_from_when_it_was_asked_for_and_speech_counts_once(
    opened: Open, telemetry: Telemetry
) -> None:
    async with opened(telemetry.layer()) as it:
        await it.server.emit("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id="u1")
        await it.server.begins()
        await it.server.plays(bytes(480))
        await it.server.ends("Hello.")
        await it.handled()
        await it.session.create_response()
        await anyio.sleep(0.5)
        await it.server.begins("i2", "r2")
        await it.server.plays(bytes(480), "i2", "r2")
        await it.server.ends("Again.", "i2", "r2")
        await it.handled()
    [waited] = telemetry.points(names.TIME_TO_FIRST_AUDIO)
    assert (waited.count, round(waited.sum, 3)) == (2, 0.5)
    [spoken] = telemetry.points(names.SPEECH_TO_AUDIO)
    assert spoken.count == 1


async def test_another_connection_is_counted_and_has_its_own_span(opened: Open, telemetry: Telemetry) -> None:
    async with opened(telemetry.layer()) as it:
        await it.server.emit("session.created", session=it.server.session)
        await it.handled()
    assert [point.value for point in telemetry.points(names.RECONNECTS)] == [1]
    assert telemetry.everything().count('"name": "connection"') == 2


async def test_what_is_said_stays_out_unless_it_is_asked_for(opened: Open, telemetry: Telemetry) -> None:
    async with opened(telemetry.layer(), tools=(lookup,)) as it:
        await it.server.types("u1", "where is the sun?")
        await it.server.calls("r1", c1=("lookup", '{"word":"sun"}'))
        await it.server.next("conversation.item.create")
        await it.server.begins("i2", "r2")
        await it.server.ends("The sun is up.", "i2", "r2")
        await it.handled()
        assert it.of("payloads_traced") == []
    assert "sun" not in telemetry.everything()


async def test_payloads_are_in_the_spans_where_they_are_asked_for_and_that_is_said(
    opened: Open, telemetry: Telemetry
) -> None:
    async with opened(telemetry.layer(payloads=True), tools=(lookup,)) as it:
        await it.server.types("u1", "where is the sun? my key is sk-abcdefghijklmnop123")
        await it.server.calls("r1", c1=("lookup", '{"word":"sun"}'))
        await it.server.next("conversation.item.create")
        await it.handled()
        assert len(it.of("payloads_traced")) == 1
    about = telemetry.about("chat gpt-realtime")
    [asked] = json.loads(about["gen_ai.input.messages"])
    assert asked == {
        "role": "user",
        "parts": [{"type": "text", "content": "where is the sun? my key is ***"}],
    }
    [called] = json.loads(about["gen_ai.output.messages"])
    assert called["parts"][0]["arguments"] == '{"word":"sun"}'
    assert telemetry.about("execute_tool lookup")["gen_ai.tool.call.arguments"] == '{"word":"sun"}'
    assert telemetry.about("execute_tool lookup")["gen_ai.tool.call.result"] == "sun: found"


async def test_a_session_that_breaks_says_why_and_leaves_no_span_open(opened: Open, telemetry: Telemetry) -> None:
    async def breaking() -> None:
        async with opened(telemetry.layer()) as it:
            await it.server.begins()
            await it.handled()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await breaking()
    assert telemetry.about("chat gpt-realtime")["agentkit.status"] == "unfinished"
    assert [point.value for point in telemetry.points(names.SESSIONS)] == [0]


async def test_a_connection_that_is_lost_is_an_error_of_the_session(opened: Open, telemetry: Telemetry) -> None:
    async with opened(telemetry.layer()) as it:
        with it.session.subscribe(SessionEnded) as ended, anyio.fail_after(5):
            await it.server.close(1011, "gone")
            await anext(ended)
    assert telemetry.about("session")["agentkit.status"] == "connection_lost"
    assert telemetry.about("connection")["error.type"] == "ConnectionLostError"


async def test_the_configuration_can_name_the_provider(opened: Open, telemetry: Telemetry) -> None:
    async with opened(telemetry.layer(provider="azure.ai.openai")):
        pass
    assert telemetry.about("session")["gen_ai.provider.name"] == "azure.ai.openai"


def test_the_names_are_those_of_the_conventions() -> None:
    values = [value for module in (gen_ai_attributes, gen_ai_metrics) for value in vars(module).values()]
    known = {value for value in values if isinstance(value, str)}
    ours = {value for value in vars(names).values() if isinstance(value, str) and value.startswith("gen_ai.")}
    assert ours <= known
