"""Dials that fail: one sentence, whether to retry, the next step, and never the key."""

import json
import os
import pathlib
import socket
import ssl
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from agentkit.errors import ConnectError
from agentkit.transports import ConnectOptions, Endpoint
from agentkit.transports.websocket import open_websocket
from agentkit.transports.websocket.failures import connect_error

pytestmark = pytest.mark.anyio
KEY = "sk-proj-canary0123456789"
CERTIFICATE = pathlib.Path(__file__).with_name("localhost.pem")


async def refused(url: str, *, options: ConnectOptions | None = None, **facts: Any) -> ConnectError:
    """Dial with a key, and give the error after looking for the key in all of it."""
    endpoint = Endpoint(
        url=url,
        headers={"Authorization": f"Bearer {KEY}"},
        key_label="OPENAI_API_KEY ending in 6789",
        **facts,
    )
    with pytest.raises(ConnectError) as caught:
        async with open_websocket(endpoint, options):
            pytest.fail("the dial should have been refused")
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(error.hint)
    assert KEY not in shown
    assert "\n" not in str(error)
    assert error.hint
    return error


def answer(status: str, body: str = "", *headers: str) -> bytes:
    data = body.encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


JSON = "Content-Type: application/json"
HTML = "Content-Type: text/html; charset=utf-8"


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_a_refused_key_is_fatal_and_named_by_its_source_and_tail(http_peer: Any, status: str) -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}.", "code": "invalid_api_key"}})
    peer = http_peer(answer(status, body, JSON))
    error = await refused(peer.url)
    assert (error.status, error.retryable) == (int(status[:3]), False)
    assert "OPENAI_API_KEY ending in 6789" in str(error)
    assert "Incorrect API key provided: ***" in str(error)


async def test_a_missing_key_is_named_as_such(http_peer: Any) -> None:
    peer = http_peer(answer("401 Unauthorized"))
    with pytest.raises(ConnectError, match="without a key") as caught:
        async with open_websocket(Endpoint(url=peer.url)):
            pass
    assert "api_key" in str(caught.value.hint)


@pytest.mark.parametrize("status", ["404 Not Found", "400 Bad Request"])
async def test_a_wrong_address_or_model_is_fatal_and_shows_the_url_without_secrets(http_peer: Any, status: str) -> None:
    peer = http_peer(answer(status, '{"error": {"message": "no such model"}}', JSON))
    error = await refused(
        f"{peer.url}?model=gpt-realtim&api_key={KEY}", model="gpt-realtim", known_models=("gpt-realtime",)
    )
    assert not error.retryable
    assert "no such model" in str(error)
    assert f"{peer.url}?model=gpt-realtim&api_key=***" in str(error.hint)
    assert "did you mean 'gpt-realtime'?" in str(error.hint)


async def test_a_model_without_a_near_name_is_shown_alone(http_peer: Any) -> None:
    peer = http_peer(answer("404 Not Found"))
    error = await refused(peer.url, model="llama", known_models=("gpt-realtime",))
    assert str(error.hint).endswith("and the model 'llama'.")


async def test_an_address_without_a_model_is_shown_alone(http_peer: Any) -> None:
    peer = http_peer(answer("404 Not Found"))
    assert (await refused(peer.url)).hint == f"Check the URL {peer.url}."


@pytest.mark.parametrize(
    "value, seconds", [("7", 7.0), ("-3", 0.0), ("999999", 120.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)]
)
async def test_429_may_be_retried_after_the_time_that_the_server_asks_for(
    http_peer: Any, value: str, seconds: float
) -> None:
    error = await refused(http_peer(answer("429 Too Many Requests", "", f"Retry-After: {value}")).url)
    assert (error.status, error.retryable, error.retry_after) == (429, True, seconds)
    assert f"{seconds:g} s" in str(error.hint)


async def test_429_without_a_time_gives_none(http_peer: Any) -> None:
    error = await refused(http_peer(answer("429 Too Many Requests")).url)
    assert (error.retryable, error.retry_after) == (True, None)


async def test_an_exhausted_quota_is_fatal(http_peer: Any) -> None:
    body = '{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}'
    error = await refused(http_peer(answer("429 Too Many Requests", body, JSON)).url)
    assert not error.retryable
    assert "billing" in str(error.hint)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 521, 408])
async def test_trouble_of_the_server_may_be_retried_and_is_tried_once(http_peer: Any, status: int) -> None:
    peer = http_peer(answer(f"{status} Trouble", "", "Retry-After: 2"))
    error = await refused(peer.url)
    assert (error.status, error.retryable, error.retry_after) == (status, True, 2.0)
    assert len(peer.requests) == 1


@pytest.mark.parametrize("status", [402, 405, 501, 505])
async def test_other_refusals_are_fatal(http_peer: Any, status: int) -> None:
    error = await refused(http_peer(answer(f"{status} No")).url)
    assert (error.status, error.retryable) == (status, False)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_to_another_host_is_refused_and_both_hosts_are_named(http_peer: Any, status: int) -> None:
    target = http_peer(answer("200 OK"))
    peer = http_peer(answer(f"{status} Moved", "", f"Location: {target.url}?token=abcdef"))
    error = await refused(peer.url)
    assert (error.status, error.retryable) == (status, False)
    assert peer.host in str(error)
    assert target.host in str(error)
    assert f"{target.url}?token=***" in str(error.hint)
    assert target.requests == []


@pytest.mark.parametrize("location", ["/elsewhere", "https://[broken", "mailto:x"])
async def test_any_other_redirect_is_not_followed_either(http_peer: Any, location: str) -> None:
    peer = http_peer(answer("302 Found", "", f"Location: {location}"))
    assert not (await refused(peer.url)).retryable
    assert len(peer.requests) == 1


async def test_a_web_page_is_not_a_websocket(http_peer: Any) -> None:
    page = f"<html><head><script>x()</script></head><body><h1>Sign\x07 in</h1>{KEY} {'w' * 300}</body></html>"
    error = await refused(http_peer(answer("200 OK", page, HTML)).url)
    assert not error.retryable
    assert str(error).startswith("not a websocket: got text/html from 127.0.0.1")
    assert "Sign in *** www" in str(error)
    assert "x()" not in str(error)
    assert len(str(error)) < 320


async def test_an_answer_without_a_content_type_is_not_a_websocket(http_peer: Any) -> None:
    assert "got no content type" in str(await refused(http_peer(answer("200 OK")).url))


@pytest.mark.parametrize(
    "body", ["[1]", '"text"', "{broken", "[" * 100000, '{"error": "plain"}', '{"detail": "starlette"}', "null"]
)
async def test_any_body_that_claims_to_be_json_is_survived(http_peer: Any, body: str) -> None:
    error = await refused(http_peer(answer("503 Busy", body, JSON)).url)
    assert error.retryable
    assert len(str(error)) < 300


@pytest.mark.parametrize("reply", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.0 200 OK\r\n\r\n", b"\x00\x01\x02\r\n"])
async def test_another_protocol_is_not_a_websocket(http_peer: Any, reply: bytes) -> None:
    error = await refused(http_peer(reply).url)
    assert not error.retryable
    assert str(error).startswith("not a websocket")


async def test_an_upgrade_with_a_wrong_accept_is_not_a_websocket(http_peer: Any) -> None:
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    error = await refused(http_peer(f"{head}Sec-WebSocket-Accept: bm9wZQ==\r\n\r\n".encode()).url)
    assert not error.retryable
    assert str(error).startswith("not a websocket")


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 101 Swi"])
async def test_an_end_during_the_handshake_may_be_retried(http_peer: Any, reply: bytes) -> None:
    error = await refused(http_peer(reply).url)
    assert error.retryable
    assert "closed the connection during the handshake" in str(error)


async def test_a_reset_during_the_handshake_may_be_retried(raw_peer: Any, tools: Any) -> None:
    peer = raw_peer(lambda connection, _request: tools.reset(connection))
    assert (await refused(peer.url)).retryable


async def test_a_handshake_that_hangs_ends_with_the_open_timeout(raw_peer: Any, tools: Any) -> None:
    peer = raw_peer(lambda connection, _request: tools.drain(connection))
    error = await refused(peer.url, options=ConnectOptions(open_timeout=0.2))
    assert error.retryable
    assert "within 0.2 s" in str(error)


async def test_a_closed_port_may_be_retried(anyio_backend: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = await refused(f"ws://127.0.0.1:{port}/")
    assert error.retryable
    assert f"nothing accepts connections at 127.0.0.1:{port}" in str(error)


async def test_a_name_that_does_not_resolve_may_be_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    error = await refused("ws://no.such.host.invalid/")
    assert error.retryable
    assert "no.such.host.invalid could not be resolved" in str(error)


async def test_a_name_that_no_resolver_takes_is_explained() -> None:
    assert "could not be resolved" in str(await refused(f"ws://{'a' * 70}.example/"))


@pytest.mark.parametrize("error", [OSError(101, "Network is unreachable"), ConnectionResetError("reset")])
def test_a_network_that_is_down_may_be_retried(anyio_backend: str, error: OSError) -> None:
    said = connect_error(error, Endpoint(url="ws://h/"), ConnectOptions())
    assert said.retryable
    assert "h could not be reached" in str(said)


async def test_an_address_of_another_scheme_is_refused_without_a_dial() -> None:
    error = await refused(f"ftp://h/?api_key={KEY}")
    assert not error.retryable
    assert "ftp://h/?api_key=***" in str(error)


# Proxies


async def test_the_proxy_of_the_environment_is_used(
    raw_peer: Any, websocket_server: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tools: Any
) -> None:
    def tunnel(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        upgrade = b""
        while b"\r\n\r\n" not in upgrade:
            upgrade += connection.recv(4096)
        connection.sendall(tools.upgrade_answer(upgrade) + b"\x81\x05hello")
        tools.drain(connection)

    proxy = raw_peer(tunnel)
    monkeypatch.setenv("https_proxy", f"http://{proxy.host}")
    async with open_websocket(Endpoint(url="ws://far.example/v1"), ConnectOptions(close_timeout=0.1)) as transport:
        assert await transport.receive() == b"hello"
    assert proxy.requests[0].startswith(b"CONNECT far.example:80 ")


async def test_no_proxy_is_used_where_the_options_say_so(
    http_peer: Any, websocket_server: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = http_peer(answer("500 No"))
    monkeypatch.setenv("https_proxy", f"http://{proxy.host}")
    url = websocket_server(lambda peer: peer.send("hello"))
    async with open_websocket(Endpoint(url=url), ConnectOptions(proxy=False)) as transport:
        assert await transport.receive() == b"hello"


@pytest.mark.parametrize("status, retryable", [(407, False), (403, False), (502, True)])
async def test_a_refusal_of_the_proxy_is_told_apart(http_peer: Any, status: int, retryable: bool) -> None:
    proxy = http_peer(answer(f"{status} No", "", "Retry-After: 9"))
    error = await refused("ws://far.example/", options=ConnectOptions(proxy=f"http://{proxy.host}"))
    assert (error.status, error.retryable) == (status, retryable)
    assert "the proxy refused" in str(error)


async def test_a_proxy_that_speaks_no_http_is_named(http_peer: Any) -> None:
    proxy = http_peer(b"\x05\x00garbage\r\n")
    error = await refused("ws://far.example/", options=ConnectOptions(proxy=f"http://{proxy.host}"))
    assert "through the proxy failed" in str(error)


async def test_a_proxy_that_cannot_be_used_is_shown_without_its_password() -> None:
    error = await refused("ws://far.example/", options=ConnectOptions(proxy="gopher://user:hunter22@p:1"))
    assert not error.retryable
    assert "gopher://p:1" in str(error)
    assert "hunter22" not in "".join(traceback.format_exception(error))


def test_a_socks_proxy_without_its_package_says_what_to_install(anyio_backend: str) -> None:
    error = connect_error(ImportError("requires python-socks"), Endpoint(url="ws://h/"), ConnectOptions())
    assert not error.retryable
    assert "python-socks" in str(error.hint)


async def test_a_proxy_that_is_not_there_is_named_in_place_of_the_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = await refused("ws://far.example/", options=ConnectOptions(proxy=f"http://u:hunter22@127.0.0.1:{port}"))
    assert f"the proxy 127.0.0.1:{port}" in str(error)
    assert "hunter22" not in str(error)


# TLS


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


async def test_a_certificate_that_is_not_trusted_is_fatal(websocket_server: Callable[..., str]) -> None:
    url = websocket_server(lambda peer: None, tls=server_tls()).replace("127.0.0.1", "localhost")
    error = await refused(url)
    assert not error.retryable
    assert "the TLS certificate of localhost" in str(error)
    assert all(cause in str(error.hint) for cause in ("clock", "proxy", "ca_file"))


async def test_a_certificate_for_another_host_is_fatal(websocket_server: Callable[..., str]) -> None:
    url = websocket_server(lambda peer: None, tls=server_tls())
    error = await refused(url, options=ConnectOptions(ca_file=str(CERTIFICATE)))
    assert not error.retryable
    assert "certificate" in str(error)
    assert "mismatch" in str(error)


async def test_a_named_authority_is_trusted(websocket_server: Callable[..., str]) -> None:
    url = websocket_server(lambda peer: peer.send("hello " + str(peer.recv())), tls=server_tls())
    endpoint = Endpoint(url=url.replace("127.0.0.1", "localhost"))
    async with open_websocket(endpoint, ConnectOptions(ca_file=str(CERTIFICATE))) as transport:
        await transport.send(b"there" * 20000)
        assert await transport.receive() == b"hello " + b"there" * 20000


async def test_tls_to_a_port_that_speaks_none_says_so(http_peer: Any) -> None:
    peer = http_peer(answer("400 Bad Request"), eager=True)
    error = await refused(peer.url.replace("ws://", "wss://"))
    assert not error.retryable
    assert "ws://" in str(error.hint)


async def test_an_authority_file_that_cannot_be_read_is_fatal(anyio_backend: str) -> None:
    error = await refused("wss://127.0.0.1:1/", options=ConnectOptions(ca_file=f"no{os.sep}such.pem"))
    assert not error.retryable
    assert "such.pem" in str(error)
