"""The ``chat`` responder: any OpenAI-compatible ``/chat/completions`` endpoint behind the Realtime protocol.

It streams, with tool calls. Proxies are not supported: the endpoint is reached directly.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from agentkit.events import Usage, UsageDetails
from agentkit.local.http_post import HttpError, HttpReply, post
from agentkit.local.messages import Json, choice_of, messages_of, tools_of
from agentkit.local.responder import (
    Finished,
    FunctionCall,
    Responder,
    ResponderError,
    ResponderOutput,
    ResponderRequest,
    TextDelta,
)
from agentkit.values import Secret, Timeout

_MAX_ERROR: Final = 64 * 1024
_MAX_CALLS: Final = 64
_REASONS: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
_DONE: Final = "[DONE]"


class ChatConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of the ``chat`` responder."""

    model: str
    """The model's name at the endpoint."""
    base_url: str = "http://127.0.0.1:11434/v1"
    """The address before ``/chat/completions``; Ollama's own if left out."""
    api_key: Secret | None = None
    """Sent as a bearer token; many local servers need none."""
    api_key_env: str | None = None
    """The environment variable that holds the key, where ``api_key`` is left out."""
    temperature: float | None = None
    """The endpoint's own default if left out."""
    timeout: Timeout = 60.0
    """Seconds to connect, and seconds of silence before the endpoint counts as gone."""

    def __repr__(self) -> str:
        """Return the options without the key."""
        return f"ChatConfig(model={self.model!r}, base_url={self.base_url!r})"


class ChatResponder(Responder):
    """Answers by a chat completion."""

    name = "chat"

    def __init__(self, config: ChatConfig) -> None:
        """Make the responder.

        Raises:
            ValueError: ``base_url`` is no http or https address.
        """
        parts = urlsplit(config.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"base_url must be an http or https address, not {config.base_url!r}.")
        self._config = config
        self._url = f"{config.base_url.rstrip('/')}/chat/completions"
        self._place = parts.netloc.rpartition("@")[2]

    async def respond(self, request: ResponderRequest) -> AsyncGenerator[ResponderOutput, None]:
        """Yield the completion's text as it comes, then its calls.

        Raises:
            ResponderError: The endpoint cannot be reached, refuses, or breaks off.
        """
        config = self._config
        key = config.api_key.reveal() if config.api_key else os.environ.get(config.api_key_env or "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        body = msgspec.json.encode(self._body(request))
        try:
            reply = await post(self._url, body, headers=headers, timeout=config.timeout)
            try:
                await self._check(reply)
                completion = _Completion()
                async with aclosing(_event_data(reply)) as events:
                    async for data in events:
                        if data == _DONE:
                            completion.done = True
                            break
                        if text := completion.take(self._chunk(data)):
                            yield TextDelta(text=text)
            finally:
                await reply.aclose()
        except HttpError as exc:
            raise self._unreachable(exc) from exc
        except ValueError as exc:
            raise ResponderError(str(exc), code="invalid_value", type="invalid_request_error") from exc
        if not completion.done and completion.finish_reason is None:
            raise ResponderError(f"{self._place} broke off in the middle of its answer.", code="stream_cut")
        for call in completion.calls():
            yield call
        yield Finished(reason=_REASONS.get(completion.finish_reason or ""), usage=completion.usage)

    def _body(self, request: ResponderRequest) -> Json:
        body: Json = {
            "model": self._config.model,
            "messages": messages_of(request),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        temperature = request.temperature if self._config.temperature is None else self._config.temperature
        if temperature is not None:
            body["temperature"] = temperature
        if request.max_output_tokens is not None:
            body["max_tokens"] = request.max_output_tokens
        if request.tools:
            body["tools"] = tools_of(request.tools)
            body["tool_choice"] = choice_of(request.tool_choice)
        return body

    async def _check(self, reply: HttpReply) -> None:
        if reply.status == 200:
            if reply.content_type != "text/event-stream":
                raise ResponderError(
                    f"{self._place} did not stream: it answered with {reply.content_type or 'no content type'}. "
                    "Check that base_url leads to an OpenAI-compatible API.",
                    code="bad_reply",
                    type="invalid_request_error",
                )
            return
        message, code = _refusal(await reply.body(_MAX_ERROR))
        told = f": {message}" if message else ""
        status, model = reply.status, self._config.model
        if status in (401, 403):
            raise ResponderError(
                f"{self._place} refused the API key (HTTP {status}){told}",
                code="invalid_api_key",
                type="invalid_request_error",
            )
        if status == 404:
            raise ResponderError(
                f"{self._place} knows no model '{model}', or no chat completions at this base_url (HTTP 404){told}",
                code="model_not_found",
                type="invalid_request_error",
            )
        if status == 429:
            code = code if code == "insufficient_quota" else "rate_limit_exceeded"
            raise ResponderError(f"{self._place} has had too many requests (HTTP 429){told}", code=code, type=code)
        if status >= 500:
            raise ResponderError(f"{self._place} failed (HTTP {status}){told}", code=code or "upstream_failed")
        raise ResponderError(
            f"{self._place} refused the request (HTTP {status}){told}",
            code=code or "upstream_refused",
            type="invalid_request_error",
        )

    def _chunk(self, data: str) -> Json:
        try:
            chunk = msgspec.json.decode(data, type=dict[str, Any])
        except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
            raise ResponderError(f"{self._place} streamed what is no JSON object.", code="bad_reply") from exc
        if chunk.get("error"):
            message, code = _refusal(data.encode())
            raise ResponderError(f"{self._place} failed: {message}", code=code or "upstream_failed")
        return chunk

    def _unreachable(self, exc: HttpError) -> ResponderError:
        if exc.reached:
            return ResponderError(f"{self._place}: {exc}", code="stream_cut")
        return ResponderError(
            f"{exc} Is the model server running? It is `base_url` of the chat responder.", code="endpoint_unreachable"
        )


class _PendingCall:
    """A tool call that is being streamed."""

    def __init__(self, call_id: object) -> None:
        self.call_id = call_id
        self.name = ""
        self.arguments = ""


class _Completion:
    """What has come of a completion, besides the text that was passed on."""

    def __init__(self) -> None:
        self.done = False
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self._calls: list[_PendingCall] = []
        self._at: dict[object, _PendingCall] = {}

    def take(self, chunk: Json) -> str:
        """Take one chunk and return its text."""
        if isinstance(usage := chunk.get("usage"), dict):
            self.usage = _usage(usage)
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        if isinstance(reason := choice.get("finish_reason"), str):
            self.finish_reason = reason
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return ""
        calls = delta.get("tool_calls")
        for place, piece in enumerate(calls if isinstance(calls, list) else []):
            if isinstance(piece, dict):
                self._take_call(piece, place)
        content = delta.get("content")
        return content if isinstance(content, str) else ""

    def calls(self) -> list[FunctionCall]:
        """Return the calls in order; one whose arguments are no JSON object while tokens ran out is incomplete."""
        return [
            FunctionCall(
                name=call.name,
                arguments=call.arguments or "{}",
                complete=self.finish_reason not in _REASONS or _is_json(call.arguments),
            )
            for call in self._calls
            if call.name
        ]

    def _take_call(self, piece: Json, place: int) -> None:
        index, call_id = piece.get("index", place), piece.get("id")
        call = self._at.get(index)
        # Some servers number every call 0; then a new id tells that it is another call.
        if call is None or (call_id and call.call_id and call_id != call.call_id):
            if len(self._calls) >= _MAX_CALLS:
                return
            call = self._at[index] = _PendingCall(call_id)
            self._calls.append(call)
        function = piece.get("function")
        if not isinstance(function, dict):
            return
        if isinstance(name := function.get("name"), str) and not call.name:
            call.name = name
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            call.arguments += arguments
        elif isinstance(arguments, dict):
            call.arguments = msgspec.json.encode(arguments).decode()


async def _event_data(reply: HttpReply) -> AsyncGenerator[str, None]:
    """Yield the data of each server-sent event."""
    data: list[str] = []
    async with aclosing(reply.lines()) as lines:
        async for line in lines:
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" ").decode("utf-8", "replace"))
            elif not line and data:
                yield "\n".join(data)
                data.clear()
    if data:
        yield "\n".join(data)


def _refusal(body: bytes) -> tuple[str, str | None]:
    """Return the message and the code of an error reply, whatever its shape."""
    try:
        data = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return " ".join(body.decode("utf-8", "replace").split())[:200], None
    error = data.get("error", data) if isinstance(data, dict) else data
    if not isinstance(error, dict):
        return str(error)[:500], None
    code = error.get("code")
    message = error.get("message") or error.get("detail") or ""
    return str(message)[:500], code if isinstance(code, str) else None


def _usage(usage: Json) -> Usage:
    def count(name: str) -> int:
        found = usage.get(name)
        return found if isinstance(found, int) else 0

    given, made = count("prompt_tokens"), count("completion_tokens")
    return Usage(
        total_tokens=count("total_tokens") or given + made,
        input_tokens=given,
        output_tokens=made,
        input_token_details=UsageDetails(text_tokens=given, audio_tokens=0, cached_tokens=0),
        output_token_details=UsageDetails(text_tokens=made, audio_tokens=0),
    )


def _is_json(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text or "{}"), dict)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
