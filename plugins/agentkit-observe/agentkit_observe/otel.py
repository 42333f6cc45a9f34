"""OpenTelemetry: a span for each session, connection, response and tool call, and metrics of the waits between.

Rule: what is said, arguments and results stay out unless the configuration asks for them, errors' messages too.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import anyio
import msgspec
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    TracerProvider,
    get_tracer,
    set_span_in_context,
    use_span,
)

from agentkit import Middleware, Next, NextCall, Session, ToolCall, ToolResult, on
from agentkit.events import (
    AnyItem,
    Event,
    FunctionCallItem,
    InputAudioBufferCommit,
    InputAudioBufferSpeechStopped,
    ItemCompleted,
    MessageItem,
    Response,
    ResponseCreate,
    ResponseCreated,
    ResponseDone,
    ResponseOutputAudioDelta,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputTextDelta,
    SessionCreated,
    SessionEnded,
    Settings,
)
from agentkit.masking import WireMasker
from agentkit.middleware.base import Direction
from agentkit.middleware.secrets import wire_masker
from agentkit.session.clock import clock
from agentkit_observe import otel_names as names
from agentkit_observe.configs import OtelConfig, __version__
from agentkit_observe.opening import is_opening
from agentkit_observe.otel_metrics import Metrics

Value: TypeAlias = str | int | float | bool
_Words: TypeAlias = ResponseOutputTextDelta | ResponseOutputAudioTranscriptDelta
_INPUT_MESSAGES = 50
"""Messages of the user's that are kept for the next response's span."""


class _Response:
    """A response that is being made."""

    __slots__ = ("began", "first_audio", "first_chunk", "span")

    def __init__(self, span: Span, began: float) -> None:
        self.span = span
        self.began = began
        self.first_chunk = False
        self.first_audio = False


class Otel(Middleware):
    """Trace and measure a session; list it first, next to the application, to measure what the user waits for.

    The spans and metrics go where the program's OpenTelemetry SDK sends them; without one, nowhere.
    """

    def __init__(
        self,
        config: OtelConfig | None = None,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        """Make the layer.

        Args:
            config: Its options.
            tracer_provider: Where spans go, where not to the global one.
            meter_provider: Where metrics go, where not to the global one.
        """
        self._config = config or OtelConfig()
        self._tracer = get_tracer("agentkit_observe", __version__, tracer_provider=tracer_provider)
        self._metrics = Metrics(meter_provider)
        self._now: Callable[[], float] = anyio.current_time
        self._common: dict[str, Value] = {}
        self._root: Context
        self._connection: Span | None = None
        self._connections = 0
        self._responses: dict[str, _Response] = {}
        self._latest: str | None = None
        self._parents: dict[str, Context] = {}
        """By response: what a tool's call belongs to."""
        self._asked: float | None = None
        self._speech_ended: float | None = None
        self._said: list[object] = []
        """The user's messages since the last response, for the next one's span."""
        self._announce = False
        self._span: Span
        self._masker: WireMasker

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Hold the session's span open."""
        self._now = clock()
        self._masker = wire_masker(self.session)
        session = self.session if isinstance(self.session, Session) else None
        provider = self._config.provider or (session.provider.name if session is not None else "unknown")
        self._common = {names.PROVIDER: provider, names.SYSTEM: provider}
        if session is not None and session.provider.model:
            self._common[names.MODEL] = session.provider.model
        span = self._tracer.start_span("session", kind=SpanKind.INTERNAL)
        self._root = set_span_in_context(span)
        self._describe(span, {names.OPERATION: names.INVOKE_AGENT, names.CONVERSATION: self.session.id})
        self._connect()
        self._metrics.sessions.add(1)
        self._announce = self._config.payloads
        self._span = span
        try:
            yield
        except BaseException as exc:
            self._failed(span, type(exc).__name__)
            raise
        finally:
            self._metrics.sessions.add(-1)
            if session is not None and session.dropped_input:
                self._metrics.dropped_input.add(session.dropped_input, {names.PROVIDER: provider})
            for response in self._responses.values():
                response.span.set_attribute(names.STATUS, "unfinished")
                response.span.end()
            if self._connection is not None:
                self._connection.end()
            span.end()

    def on_wire(self, direction: Direction, raw: bytes, event: Event) -> None:
        """Say once that what is said leaves the program."""
        if self._announce and not is_opening(event):
            self._announce = False
            self.session.notice(
                "payloads_traced",
                "what is said, and tools' arguments and results, go to OpenTelemetry",
                hint="leave `payloads` out of the options of otel to send names, times and numbers only",
            )

    # The connection

    @on(SessionCreated)
    async def created(self, event: SessionCreated, call_next: Next[SessionCreated]) -> None:
        """Note the model, and that there is another connection where this is not the first."""
        self._connections += 1
        if self._connections > 1:
            self._metrics.reconnects.add(1, self._common)
            self._connect()
        model = event.session.model if isinstance(event.session, Settings) else None
        if isinstance(model, str) and model:
            self._common[names.MODEL] = model
        for span in (self._span, self._connection):
            if span is not None:
                self._describe(span, {})
        await call_next(event)

    @on(SessionEnded)
    async def ended(self, event: SessionEnded, call_next: Next[SessionEnded]) -> None:
        """Note why the session is over."""
        for span in (self._span, self._connection):
            if span is not None:
                span.set_attribute(names.STATUS, event.cause)
                if event.error is not None:
                    self._failed(span, type(event.error).__name__)
        await call_next(event)

    def _connect(self) -> None:
        if self._connection is not None:
            self._connection.end()
        self._connection = self._tracer.start_span("connection", context=self._root, kind=SpanKind.CLIENT)
        self._describe(self._connection, {})

    # Turns and responses

    @on(InputAudioBufferSpeechStopped)
    async def speech_stopped(
        self, event: InputAudioBufferSpeechStopped, call_next: Next[InputAudioBufferSpeechStopped]
    ) -> None:
        """Note when the user ended."""
        self._speech_ended = self._now()
        await call_next(event)

    @on(InputAudioBufferCommit)
    async def committed(self, event: InputAudioBufferCommit, call_next: Next[InputAudioBufferCommit]) -> None:
        """Note when the user ended who holds a key to talk."""
        self._speech_ended = self._now()
        await call_next(event)

    @on(ResponseCreate)
    async def asked(self, event: ResponseCreate, call_next: Next[ResponseCreate]) -> None:
        """Note when a response was asked for."""
        self._asked = self._now()
        await call_next(event)

    @on(ItemCompleted)
    async def item_completed(self, event: ItemCompleted, call_next: Next[ItemCompleted]) -> None:
        """Keep what the user said for the next response's span, where that is wanted."""
        item = event.item.item
        if self._config.payloads and isinstance(item, MessageItem) and item.role != "assistant":
            self._said.append(self._message(item))
            del self._said[:-_INPUT_MESSAGES]
        await call_next(event)

    @on(ResponseCreated)
    async def response_created(self, event: ResponseCreated, call_next: Next[ResponseCreated]) -> None:
        """Begin a response's span."""
        response_id = event.response.id or ""
        if isinstance(self.session, Session):
            self._metrics.queue_depth.record(self.session.queued, self._common)
        began, self._asked = self._asked, None
        model = self._common.get(names.MODEL)
        span = self._tracer.start_span(
            f"{names.CHAT} {model}" if model else names.CHAT, context=self._root, kind=SpanKind.CLIENT
        )
        self._describe(span, {names.OPERATION: names.CHAT, names.CONVERSATION: self.session.id})
        if response_id:
            span.set_attribute(names.RESPONSE, response_id)
        if self._said:
            span.set_attribute(names.INPUT, _json(self._said))
            self._said = []
        self._responses[response_id] = _Response(span, self._now() if began is None else began)
        self._latest = response_id
        self._parents[response_id] = set_span_in_context(span, self._root)
        while len(self._parents) > 16:
            del self._parents[next(iter(self._parents))]
        await call_next(event)

    @on(ResponseOutputTextDelta, ResponseOutputAudioTranscriptDelta)
    async def words(self, event: _Words, call_next: Next[_Words]) -> None:
        """Measure the wait for the first output."""
        self._output(event.response_id)
        await call_next(event)

    @on(ResponseOutputAudioDelta)
    async def audio(self, event: ResponseOutputAudioDelta, call_next: Next[ResponseOutputAudioDelta]) -> None:
        """Measure the wait for the first audio."""
        self._output(event.response_id, audio=True)
        await call_next(event)

    def _output(self, response_id: str | None, *, audio: bool = False) -> None:
        response = self._responses.get((response_id if response_id is not None else self._latest) or "")
        if response is None or (response.first_audio if audio else response.first_chunk):
            return
        waited = self._now() - response.began
        about = self._about(names.CHAT)
        if not response.first_chunk:
            response.first_chunk = True
            self._metrics.first_chunk.record(waited, about)
        if audio:
            response.first_audio = True
            self._metrics.first_audio.record(waited, about)
            if self._speech_ended is not None:
                self._metrics.speech_to_audio.record(self._now() - self._speech_ended, about)
                self._speech_ended = None

    @on(ResponseDone)
    async def response_done(self, event: ResponseDone, call_next: Next[ResponseDone]) -> None:
        """End a response's span."""
        response = self._responses.pop(event.response.id or "", None)
        if response is not None:
            self._finish(response, event.response)
        await call_next(event)

    def _finish(self, response: _Response, done: Response) -> None:
        span, status = response.span, done.status or "completed"
        about = self._about(names.CHAT)
        span.set_attributes({names.STATUS: status, names.FINISH: (status,)})
        if done.output_modalities:
            span.set_attribute(names.OUTPUT_TYPE, "speech" if "audio" in done.output_modalities else "text")
        if done.usage is not None:
            cached = done.usage.input_token_details.cached_tokens if done.usage.input_token_details else None
            for name, kind, count in (
                (names.INPUT_TOKENS, "input", done.usage.input_tokens),
                (names.OUTPUT_TOKENS, "output", done.usage.output_tokens),
                (names.CACHED_TOKENS, None, cached),
            ):
                if count is not None:
                    span.set_attribute(name, count)
                    if kind is not None:
                        self._metrics.tokens.record(count, {**about, names.TOKEN_TYPE: kind})
        if status == "failed":
            error = done.status_details.error if done.status_details is not None else None
            kind = (error.code or error.type if error is not None else None) or "_OTHER"
            about[names.ERROR] = kind
            self._failed(span, kind)
        if self._config.payloads and done.output:
            span.set_attribute(names.OUTPUT, _json([self._message(item, finish=status) for item in done.output]))
        self._metrics.operation.record(self._now() - response.began, about)
        span.end()

    # Tools

    async def wrap_tool_call(self, call: ToolCall, call_next: NextCall) -> ToolResult:
        """Trace and measure a call; what its body traces is within its span."""
        span = self._tracer.start_span(
            f"{names.EXECUTE_TOOL} {call.name}",
            context=self._parents.get(call.response_id or "", self._root),
            kind=SpanKind.INTERNAL,
        )
        described: dict[str, Value] = {
            names.OPERATION: names.EXECUTE_TOOL,
            names.TOOL: call.name,
            names.TOOL_TYPE: "function",
            names.TOOL_CALL: call.call_id,
        }
        self._describe(span, described)
        arguments = self._masker.arguments(call.name, call.raw_arguments, call_id=call.call_id)
        if self._config.payloads:
            span.set_attribute(names.TOOL_ARGUMENTS, arguments)
        began, kind = self._now(), "cancelled"
        self._metrics.tools_running.add(1)
        try:
            with use_span(span, record_exception=False, set_status_on_exception=False):
                result = await call_next(call)
            kind = "" if result.ok else type(result.error).__name__ if result.status == "error" else result.status
            span.set_attribute(names.STATUS, result.status)
            if self._config.payloads:
                span.set_attribute(names.TOOL_RESULT, self._masker.output(call.call_id, result.output))
        finally:
            self._metrics.tools_running.add(-1)
            about = {**self._about(names.EXECUTE_TOOL), names.TOOL: call.name}
            if kind:
                about[names.ERROR] = kind
                self._failed(span, kind)
            seconds = self._now() - began
            self._metrics.tool.record(seconds, about)
            self._metrics.operation.record(seconds, about)
            span.end()
        return result

    # Words

    def _about(self, operation: str) -> dict[str, Value]:
        return {**self._common, names.OPERATION: operation}

    def _describe(self, span: Span, attributes: dict[str, Value]) -> None:
        span.set_attributes({**self._common, **attributes})

    def _failed(self, span: Span, kind: str) -> None:
        span.set_attribute(names.ERROR, kind)
        span.set_status(Status(StatusCode.ERROR))

    def _message(self, item: AnyItem, finish: str | None = None) -> dict[str, object]:
        """Return an item as the conventions write messages, without secrets."""
        parts: list[dict[str, object]] = []
        if isinstance(item, MessageItem):
            parts = [{"type": "text", "content": self._masker.text(item.text)}]
        elif isinstance(item, FunctionCallItem):
            arguments = self._masker.arguments(item.name, item.arguments, call_id=item.call_id)
            parts = [{"type": "tool_call", "id": item.call_id, "name": item.name, "arguments": arguments}]
        else:
            parts = [{"type": item.wire_type}]
        message: dict[str, object] = {"role": getattr(item, "role", "assistant"), "parts": parts}
        return message if finish is None else {**message, "finish_reason": finish}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
