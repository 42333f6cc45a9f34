"""The chat responder against a small real HTTP server."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import pytest

from agentkit.events import (
    FunctionCallItem,
    FunctionCallOutputItem,
    FunctionTool,
    InputImage,
    InputText,
    MessageItem,
    OutputText,
    ToolChoice,
)
from agentkit.local import (
    ChatConfig,
    ChatResponder,
    Finished,
    FunctionCall,
    ResponderError,
    ResponderOutput,
    ResponderRequest,
    TextDelta,
)
from agentkit.local.messages import UNANSWERED, messages_of
from agentkit.values import Secret

pytestmark = pytest.mark.anyio
OK = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
USER = MessageItem(role="user", content=(InputText(text="hi"),))


class Endpoint:
    """What the server got."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.heads: list[str] = []
        self.bodies: list[Any] = []


@asynccontextmanager
async def endpoint(*replies: Sequence[bytes]) -> AsyncGenerator[Endpoint, None]:
    """Answer each connection by one of the replies, piece by piece, then close it."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    seen = Endpoint(listener.extra(anyio.abc.SocketAttribute.local_port))
    left = list(replies)

    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            data = b""
            while b"\r\n\r\n" not in data:
                data += await stream.receive()
            head, _, body = data.partition(b"\r\n\r\n")
            [length] = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            while len(body) < length:
                body += await stream.receive()
            seen.heads.append(head.decode())
            seen.bodies.append(json.loads(body))
            for piece in left.pop(0):
                await stream.send(piece)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield seen
        tasks.cancel_scope.cancel()


def chunked(*pieces: bytes) -> list[bytes]:
    """Return a chunked event stream."""
    framed = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    return [f"{OK}Transfer-Encoding: chunked\r\n\r\n".encode(), *framed, b"0\r\n\r\n"]


def data(delta: Any = None, reason: str | None = None, **more: Any) -> bytes:
    """Return one event of the stream."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
    return f"data: {json.dumps({'choices': choices, **more})}\n\n".encode()


def calls(*pieces: Any) -> dict[str, Any]:
    """Return a delta with pieces of tool calls."""
    return {"tool_calls": [{"index": i, "id": id_, "function": {"name": n, "arguments": a}} for i, id_, n, a in pieces]}


async def ask(url: str, *items: Any, **request: Any) -> list[ResponderOutput]:
    """Ask the responder and return all of its output."""
    responder = ChatResponder(ChatConfig(model="m", base_url=url, timeout=5))
    whole = ResponderRequest(response_id="r", model="chat", items=items or (USER,), **request)
    return [output async for output in responder.respond(whole)]


async def failure(*reply: bytes) -> ResponderError:
    """Return the error that a reply gives."""
    async with endpoint(reply) as server:
        with pytest.raises(ResponderError) as failed:
            await ask(server.url)
    return failed.value


async def test_text_is_passed_on_as_it_comes() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    stream = chunked(
        data({"role": "assistant", "content": ""}),
        data({"content": "Hel"}),
        data({"content": "lo"}, "stop"),
        data(usage=usage),
        b"data: [DONE]\n\n",
    )
    async with endpoint(stream) as server:
        outputs = await ask(server.url)
    assert outputs[:2] == [TextDelta(text="Hel"), TextDelta(text="lo")]
    assert isinstance(outputs[2], Finished)
    assert outputs[2].usage is not None
    assert (outputs[2].reason, outputs[2].usage.total_tokens) == (None, 5)


async def test_an_event_may_be_cut_anywhere_and_lines_may_end_in_any_way() -> None:
    whole = b": comment\r\n" + data({"content": "h\u00e9"}, "stop").replace(b"\n\n", b"\r\n\r\n") + b"data: [DONE]"
    stream = chunked(*(whole[place : place + 1] for place in range(len(whole))))
    async with endpoint(stream) as server:
        assert (await ask(server.url))[0] == TextDelta(text="h\u00e9")


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    reply = [f"{OK}\r\n".encode(), data({"content": "a"}, "stop")]
    async with endpoint(reply) as server:
        assert (await ask(server.url))[0] == TextDelta(text="a")


async def test_tool_calls_are_merged_by_index() -> None:
    stream = chunked(
        data(calls((0, "a", "now", ""))),
        data(calls((0, None, None, '{"zo'))),
        data(calls((1, "b", "add", '{"x":'), (0, None, None, 'ne":"x"}'))),
        data(calls((1, None, None, "1}")), "tool_calls"),
        b"data: [DONE]\n\n",
    )
    async with endpoint(stream) as server:
        outputs = await ask(server.url)
    assert outputs[:-1] == [
        FunctionCall(name="now", arguments='{"zone":"x"}'),
        FunctionCall(name="add", arguments='{"x":1}'),
    ]


async def test_calls_that_are_all_numbered_zero_are_told_apart_by_id() -> None:
    first, second = calls((0, "a", "now", {"zone": "x"})), calls((0, "b", "now", "{}"))
    async with endpoint(chunked(data(first), data(second, "tool_calls"), b"data: [DONE]\n\n")) as server:
        outputs = await ask(server.url)
    assert [each.arguments for each in outputs if isinstance(each, FunctionCall)] == ['{"zone":"x"}', "{}"]


async def test_a_call_that_ran_out_of_tokens_is_incomplete() -> None:
    async with endpoint(chunked(data(calls((0, "a", "now", '{"zo'))), data({}, "length"))) as server:
        outputs = await ask(server.url)
    assert outputs[0] == FunctionCall(name="now", arguments='{"zo', complete=False)
    assert isinstance(outputs[1], Finished)
    assert outputs[1].reason == "max_output_tokens"


async def test_the_request_carries_model_tools_limits_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_KEY", "secret")
    schema = {"type": "object", "properties": {}, "examples": ["what time is it?"]}
    async with endpoint(chunked(data({"content": "a"}, "stop"))) as server:
        config = ChatConfig(model="m", base_url=f"{server.url}/", api_key_env="CHAT_KEY", temperature=0.2, timeout=5)
        request = ResponderRequest(
            response_id="r",
            model="chat",
            items=(USER,),
            tools=(FunctionTool(name="now", description="Tell.", parameters=schema), FunctionTool(name="bare")),
            tool_choice=ToolChoice(name="now"),
            max_output_tokens=7,
        )
        assert [output async for output in ChatResponder(config).respond(request)]
    [head], [body] = server.heads, server.bodies
    assert head.startswith("POST /v1/chat/completions HTTP/1.1")
    assert "Authorization: Bearer secret" in head
    assert body["tools"][0]["function"] == {
        "name": "now",
        "description": "Tell.",
        "parameters": {"type": "object", "properties": {}},
    }
    assert body["tool_choice"] == {"type": "function", "function": {"name": "now"}}
    assert (body["model"], body["max_tokens"], body["temperature"], body["stream"]) == ("m", 7, 0.2, True)
    assert "secret" not in repr(config)


async def test_no_key_sends_no_header() -> None:
    async with endpoint(chunked(data({"content": "a"}, "stop"))) as server:
        await ask(server.url)
    assert "Authorization" not in server.heads[0]


async def test_history_becomes_messages() -> None:
    picture = MessageItem(role="user", content=(InputText(text="see"), InputImage(image_url="data:image/png;base64,A")))
    items = (
        USER,
        MessageItem(role="assistant", content=(OutputText(text="One moment."),)),
        FunctionCallItem(name="now", call_id="a", arguments="{}"),
        FunctionCallItem(name="now", call_id="b", arguments=""),
        FunctionCallItem(name="now", call_id="cut", arguments='{"', status="incomplete"),
        picture,
        FunctionCallOutputItem(call_id="a", output="14:05"),
        FunctionCallOutputItem(call_id="gone", output="x"),
        MessageItem(role="user", content=()),
    )
    request = ResponderRequest(response_id="r", model="m", instructions="Be brief.", items=items)
    calls = [
        {"id": "a", "type": "function", "function": {"name": "now", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "now", "arguments": "{}"}},
    ]
    assert messages_of(request) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "One moment.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "14:05"},
        {"role": "tool", "tool_call_id": "b", "content": UNANSWERED},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,A"}},
            ],
        },
    ]


async def test_a_call_without_text_before_it_is_a_message_of_its_own() -> None:
    items = (USER, FunctionCallItem(name="now", call_id="a", arguments="{}"))
    messages = messages_of(ResponderRequest(response_id="r", model="m", items=items))
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]


@pytest.mark.parametrize(
    "status,body,code,type_,words",
    [
        (401, '{"error": {"message": "bad key", "code": "x"}}', "invalid_api_key", "invalid_request_error", "bad key"),
        (404, '{"error": "model m not found"}', "model_not_found", "invalid_request_error", "'m'"),
        (429, "{}", "rate_limit_exceeded", "rate_limit_exceeded", "too many"),
        (429, '{"error": {"code": "insufficient_quota"}}', "insufficient_quota", "insufficient_quota", "too many"),
        (500, "<html>oops</html>", "upstream_failed", "server_error", "oops"),
        (400, '{"detail": "no tools"}', "upstream_refused", "invalid_request_error", "no tools"),
        (302, "", "upstream_refused", "invalid_request_error", "302"),
    ],
)
async def test_a_refusal_says_why(status: int, body: str, code: str, type_: str, words: str) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    error = await failure(head.encode(), body.encode())
    assert (error.code, error.type) == (code, type_)
    assert words in str(error)
    assert "127.0.0.1" in str(error)


async def test_an_endpoint_that_is_not_there_is_named() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    await listener.aclose()
    with pytest.raises(ResponderError) as failed:
        await ask(f"http://127.0.0.1:{port}/v1")
    assert failed.value.code == "endpoint_unreachable"
    assert f"No connection to 127.0.0.1:{port}: connection refused" in str(failed.value)
    assert "base_url" in str(failed.value)


@pytest.mark.parametrize(
    "reply,code",
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"], "bad_reply"),
        ([b"SSH-2.0-OpenSSH\r\n\r\n"], "stream_cut"),
        ([b"hello"], "stream_cut"),
        ([b"x" * 70_000], "stream_cut"),
        (chunked(data({"content": "a"}))[:-1], "stream_cut"),
        (chunked(data({"content": "a"})), "stream_cut"),
        ([f"{OK}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode()], "stream_cut"),
        ([f"{OK}Content-Length: 50\r\n\r\n".encode(), b"data: "], "stream_cut"),
        (chunked(b"data: nonsense\n\n"), "bad_reply"),
        (chunked(b'data: {"error": {"message": "out of memory"}}\n\n'), "upstream_failed"),
        (chunked(b"x" * 1_100_000), "stream_cut"),
    ],
)
async def test_a_reply_that_breaks_off_or_is_no_stream_is_an_error(reply: list[bytes], code: str) -> None:
    assert (await failure(*reply)).code == code


async def test_odd_chunks_are_passed_over() -> None:
    stream = chunked(
        b'data: {"choices": [5]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [5, {"function": 3}, {"index": 7}]}}]}\n\n',
        data({"content": "a"}, "stop"),
    )
    async with endpoint(stream) as server:
        outputs = await ask(server.url)
    assert [type(output) for output in outputs] == [TextDelta, Finished]


async def test_a_reply_may_be_only_so_big(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentkit.local.http_post.MAX_BODY", 100)
    error = await failure(*chunked(*[data({"content": "a" * 50})] * 5))
    assert "larger than" in str(error)


async def test_an_interim_reply_is_passed_over() -> None:
    reply = chunked(data({"content": "a"}, "stop"))
    async with endpoint([b"HTTP/1.1 100 Continue\r\n\r\n", *reply]) as server:
        assert (await ask(server.url))[0] == TextDelta(text="a")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_a_server_without_tls_is_named(answer: bytes) -> None:
    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            if answer:
                await stream.send(answer)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        with pytest.raises(ResponderError) as failed:
            await ask(f"https://127.0.0.1:{port}/v1")
        tasks.cancel_scope.cancel()
    assert failed.value.code == "endpoint_unreachable"
    assert f"127.0.0.1:{port}" in str(failed.value)


async def test_stopping_in_the_middle_closes_the_connection() -> None:
    async with endpoint(chunked(*[data({"content": "a"})] * 3)) as server:
        responder = ChatResponder(ChatConfig(model="m", base_url=server.url, timeout=5))
        outputs = responder.respond(ResponderRequest(response_id="r", model="m", items=(USER,)))
        assert await anext(outputs) == TextDelta(text="a")
        await outputs.aclose()


async def test_silence_is_an_error_after_the_timeout() -> None:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener:
        responder = ChatResponder(ChatConfig(model="m", base_url=f"http://127.0.0.1:{port}", timeout=0.05))
        with pytest.raises(ResponderError, match=r"silent for 0\.05 s"):
            async for _ in responder.respond(ResponderRequest(response_id="r", model="m", items=(USER,))):
                pass


@pytest.mark.parametrize("url", ["ftp://x", "localhost:11434", ""])
async def test_an_address_that_is_none_is_refused_when_it_is_configured(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        ChatResponder(ChatConfig(model="m", base_url=url))


async def test_a_key_with_a_line_break_is_refused() -> None:
    responder = ChatResponder(ChatConfig(model="m", api_key=Secret("a\r\nX: y")))
    with pytest.raises(ResponderError, match="line break"):
        async for _ in responder.respond(ResponderRequest(response_id="r", model="m", items=(USER,))):
            pass
