"""http-get: what may be read, and what comes back."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest
from agentkit_basics.fetching import is_allowed, is_public
from agentkit_basics.http_get import HTTP_GET, HttpGetConfig, readable

from agentkit import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Web

    Found = tuple[int, int, int, str, tuple[str, int]]


def get(web: Web, path: str = "/", **options: object) -> dict[str, object]:
    config = msgspec.convert({"allow": (web.host,), "allow_private": True} | options, HttpGetConfig)
    answer = HTTP_GET.make(config)(path if "://" in path else web.url(path))
    assert isinstance(answer, dict)
    return answer


def test_a_text_is_read(web: Web) -> None:
    web.serve("/", "hello\nwörld")
    assert get(web) == {
        "text": "hello\nwörld",
        "url": web.url("/"),
        "status": 200,
        "content_type": "text/plain",
        "truncated": False,
    }


def test_json_is_text(web: Web) -> None:
    web.serve("/", '{"a": 1}', content_type="application/problem+json")
    assert get(web)["text"] == '{"a": 1}'


def test_a_page_is_reduced_to_its_words(web: Web) -> None:
    page = "<html><style>p {}</style><h1>Hi &amp; bye</h1><p>one <b>two</b></p><script>alert(1)</script></html>"
    web.serve("/", page, content_type="text/html")
    assert get(web)["text"] == "Hi & bye\none two"


def test_an_unbalanced_page_keeps_its_words() -> None:
    assert readable("</script><p>one<script>x</script>two") == "onetwo"


def test_the_declared_charset_is_used(web: Web) -> None:
    web.serve("/", "é".encode("latin-1"), content_type="text/plain; charset=latin-1")
    assert get(web)["text"] == "é"


def test_an_unknown_charset_is_read_as_utf_8(web: Web) -> None:
    web.serve("/", "é", content_type="text/plain; charset=klingon")
    assert get(web)["text"] == "é"


def test_terminal_codes_are_taken_out(web: Web) -> None:
    web.serve("/", "a\x1b[31mb\x00c\td")
    assert get(web)["text"] == "a[31mbc\td"


def test_a_long_page_is_cut_and_says_so(web: Web) -> None:
    web.serve("/", "x" * 100)
    answer = get(web, max_bytes=10)
    assert (answer["text"], answer["truncated"]) == ("x" * 10, True)


def test_a_page_of_exactly_the_size_is_whole(web: Web) -> None:
    web.serve("/", "x" * 10)
    assert get(web, max_bytes=10)["truncated"] is False


@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream", "audio/wav"])
def test_what_is_no_text_is_refused(web: Web, content_type: str) -> None:
    web.serve("/", b"\x89PNG", content_type=content_type)
    with pytest.raises(ToolError, match=f"sent {content_type}, which is no text"):
        get(web)


def test_an_undeclared_text_is_read(web: Web) -> None:
    web.serve("/", "hello", content_type=None)
    assert get(web)["text"] == "hello"


def test_undeclared_bytes_are_refused(web: Web) -> None:
    web.serve("/", b"\x00\x01", content_type=None)
    with pytest.raises(ToolError, match="something that is no text"):
        get(web)


def test_a_compressed_answer_is_refused(web: Web) -> None:
    web.serve("/", b"\x1f\x8b", Content_Encoding="gzip")
    with pytest.raises(ToolError, match="compressed answer"):
        get(web)
    assert web.headers[0]["Accept-Encoding"] == "identity"


def test_an_error_status_is_an_error(web: Web) -> None:
    with pytest.raises(ToolError, match=r"/gone answered 404 Not Found$"):
        get(web, "/gone")


# What may be read


def test_a_host_that_is_not_listed_is_refused_before_any_connection(web: Web) -> None:
    with pytest.raises(ToolError, match=rf"{web.host} is not in the list of allowed hosts: example.org"):
        get(web, allow=("example.org",))
    assert web.asked == []


def test_a_listed_host_on_another_port_is_refused(web: Web) -> None:
    with pytest.raises(ToolError, match="not in the list"):
        get(web, allow=("127.0.0.1",))


@pytest.mark.parametrize(
    "url, message",
    [
        ("file:///etc/passwd", "must begin with https:// or http://"),
        ("ftp://example.org/", "must begin with https://"),
        ("example.org", "must begin with https://"),
        ("http://", "must begin with"),
        ("http://user:secret@example.org/", "user name or password"),
        ("http://example.org@evil.org/", "user name or password"),
        ("http://evil.org/#example.org", "evil.org is not in the list"),
        ("http://example.org.evil.org/", "not in the list"),
        ("http://example.org:99999/", "no valid URL"),
        ("http://[::1/", "no valid URL"),
        ("http://example.org/a b", "spaces or control characters"),
        ("http://example.org/\r\nHost: evil.org", "spaces or control characters"),
        ("http://example.org/" + "x" * 2_000, "longer than 2,000"),
    ],
)
def test_a_url_of_a_wrong_kind_is_refused(url: str, message: str) -> None:
    tool = HTTP_GET.make(HttpGetConfig(allow=("example.org",)))
    with pytest.raises(ToolError, match=message) as caught:
        tool(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "host, port, usual, entry, allowed",
    [
        ("example.org", 443, 443, "example.org", True),
        ("example.org", 443, 443, "EXAMPLE.org", True),
        ("www.example.org", 443, 443, "example.org", False),
        ("www.example.org", 443, 443, "*.example.org", True),
        ("example.org", 443, 443, "*.example.org", False),
        ("badexample.org", 443, 443, "*.example.org", False),
        ("anything.org", 80, 80, "*", True),
        ("anything.org", 8080, 80, "*", False),
        ("example.org", 8080, 80, "example.org:8080", True),
        ("example.org", 80, 80, "example.org:8080", False),
        ("::1", 80, 80, "[::1]", True),
        ("::1", 8080, 80, "[::1]:8080", True),
    ],
)
def test_an_entry_of_the_list_allows_what_it_says(host: str, port: int, usual: int, entry: str, allowed: bool) -> None:
    assert is_allowed(host, port, usual=usual, allow=[entry]) is allowed


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:a00:1::1",
    ],
)
def test_a_private_address_is_recognised_in_every_dress(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_a_public_address_is_recognised(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://2130706433:{port}/"])
def test_a_private_address_is_refused_after_the_name_was_looked_up(web: Web, url: str) -> None:
    url = url.format(port=web.port)
    allow = (url.removeprefix("http://").rstrip("/"),)
    with pytest.raises(ToolError, match="leads to a private address, which is not allowed"):
        get(web, url, allow=allow, allow_private=False)
    assert web.asked == []


def test_a_name_with_one_private_address_among_public_ones_is_refused(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(host: str, port: int, **kwargs: object) -> list[Found]:
        return [(2, 1, 6, "", (address, port)) for address in ("93.184.216.34", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(ToolError, match="leads to a private address"):
        get(web, "http://example.org/", allow=("example.org",), allow_private=False)


def test_the_address_that_was_checked_is_the_one_connected_to(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.serve("/", "pinned")
    answers: Iterator[list[Found]] = iter([[(2, 1, 6, "", ("127.0.0.1", web.port))]])
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *args: int, **kwargs: int) -> object:
        return next(answers) if host == "example.test" else real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    answer = get(web, f"http://example.test:{web.port}/", allow=(f"example.test:{web.port}",))
    assert answer["text"] == "pinned"
    assert web.headers[0]["Host"] == f"example.test:{web.port}"


# Redirects


def test_a_redirect_within_the_list_is_followed(web: Web) -> None:
    web.serve("/", status=302, Location="/there")
    web.serve("/there", "arrived")
    answer = get(web)
    assert (answer["text"], answer["url"]) == ("arrived", web.url("/there"))


@pytest.mark.parametrize("target", ["http://evil.org/", "//evil.org/", "https://evil.org/"])
def test_a_redirect_out_of_the_list_is_refused(web: Web, target: str) -> None:
    web.serve("/", status=302, Location=target)
    with pytest.raises(ToolError, match=r"evil.org is not in the list"):
        get(web)


def test_a_redirect_to_another_scheme_is_refused(web: Web) -> None:
    web.serve("/", status=302, Location="file:///etc/passwd")
    with pytest.raises(ToolError, match="must begin with https://"):
        get(web)


def test_a_redirect_to_a_private_address_is_refused(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    real_public = is_public
    monkeypatch.setattr(
        "agentkit_basics.fetching.is_public", lambda address: address == "127.0.0.1" or real_public(address)
    )
    web.serve("/", status=302, Location="http://10.0.0.1/")
    with pytest.raises(ToolError, match=r"10.0.0.1 leads to a private address"):
        get(web, allow=(web.host, "10.0.0.1"), allow_private=False)


def test_a_circle_of_redirects_ends(web: Web) -> None:
    web.serve("/", status=302, Location="/")
    with pytest.raises(ToolError, match="redirects more than 5 times"):
        get(web)
    assert len(web.asked) == 6


# Time and failures


@pytest.mark.parametrize(
    "scheme, start",
    [
        ("http", b""),
        ("http", b"HTTP/1.1 200 OK\r\n"),
        ("http", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"),
        ("http", b"HTTP/1.1 302 Found\r\nLocation: "),
        ("https", b"\x16\x03\x01\x40\x00"),
    ],
)
def test_a_server_that_sends_a_byte_now_and_then_is_left_after_the_timeout(scheme: str, start: bytes) -> None:
    stop = threading.Event()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def drip() -> None:
            peer, _ = listener.accept()
            with peer, contextlib.suppress(OSError):
                peer.recv(65_536)
                peer.sendall(start)
                while not stop.wait(0.01):
                    peer.sendall(b"X")

        thread = threading.Thread(target=drip)
        thread.start()
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        tool = HTTP_GET.make(HttpGetConfig(allow=(host,), allow_private=True, timeout=0.2))
        try:
            with pytest.raises(ToolError, match=r"127.0.0.1 did not answer within 0.2 s"):
                tool(f"{scheme}://{host}/")
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize("reply", [b"", b"not http at all\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
def test_a_server_that_breaks_off_is_an_error(reply: bytes) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65_536)
                peer.sendall(reply)

        thread = threading.Thread(target=answer)
        thread.start()
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        tool = HTTP_GET.make(HttpGetConfig(allow=(host,), allow_private=True))
        with pytest.raises(ToolError, match=r"127.0.0.1 (cannot be reached|broke off)"):
            tool(f"http://{host}/")
        thread.join()


def test_a_secure_page_is_read_with_the_name_that_was_asked_for(
    secure_web: Web, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    secure_web.serve("/", "safe")
    host = f"localhost:{secure_web.port}"
    assert get(secure_web, f"https://{host}/", allow=(host,))["text"] == "safe"


def test_a_certificate_that_nobody_vouches_for_is_refused(secure_web: Web) -> None:
    host = f"localhost:{secure_web.port}"
    with pytest.raises(ToolError, match=r"its certificate is not accepted \(self.signed certificate"):
        get(secure_web, f"https://{host}/", allow=(host,))
    assert secure_web.asked == []


def test_a_certificate_for_another_name_is_refused(
    secure_web: Web, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(ToolError, match=r"its certificate is not accepted \(.*127.0.0.1"):
        get(secure_web, f"https://{secure_web.host}/")


def test_a_server_without_tls_is_no_secure_one(web: Web) -> None:
    with pytest.raises(ToolError, match=r"127.0.0.1 cannot be reached"):
        get(web, f"https://{web.host}/")


def test_no_list_of_hosts_is_no_valid_configuration() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"length >= 1.*allow"):
        msgspec.convert({"allow": []}, HttpGetConfig)
    with pytest.raises(msgspec.ValidationError, match="missing required field `allow`"):
        msgspec.convert({}, HttpGetConfig)
