"""A small HTTP server on loopback, with and without TLS, so that no test needs the network."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

# Made for these tests, valid for localhost and example.test for a hundred years, and trusted by nobody else.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgoXF0rr6Vy+5sNnxM
+2zz2cVDJLZOBC396enN+cSU8jyhRANCAARna/P+87CSnF6cqFilchjjs9DtkdSS
GyH78KydGfjocDYorZu5z1F/y/qey8Yx1eoWTVnJWKVMzJL3qM/0KaHZ
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBbzCCARWgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGdr8/7zsJKcXpyo
WKVyGOOz0O2R1JIbIfvwrJ0Z+OhwNiitm7nPUX/L+p7LxjHV6hZNWclYpUzMkveo
z/QpodmjVjBUMA8GA1UdEwEB/wQFMAMBAf8wIgYDVR0RBBswGYIJbG9jYWxob3N0
ggxleGFtcGxlLnRlc3QwHQYDVR0OBBYEFF1KgiA5I8Tf43KUh85xCx3DZna6MAoG
CCqGSM49BAMCA0gAMEUCIAnfrDVuISK39uWOztFms+R6Ysde5cw0lBMhK8zP7O3d
AiEA3zsx4c7PJVVx+qSRcVISiUXtLFx8TQPf77rg2EbULuw=
-----END CERTIFICATE-----
"""

Answer = Callable[[BaseHTTPRequestHandler], None]


class Web:
    """Answers by path; remembers what was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.port = 0

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/") -> str:
        return f"http://{self.host}{path}"

    def serve(
        self,
        path: str,
        body: bytes | str = b"",
        *,
        status: int = 200,
        content_type: str | None = "text/plain; charset=utf-8",
        **headers: str,
    ) -> None:
        """Answer a path with a body."""
        raw = body.encode() if isinstance(body, str) else body

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            if content_type is not None:
                request.send_header("Content-Type", content_type)
            for name, value in headers.items():
                request.send_header(name.replace("_", "-"), value)
            request.end_headers()
            request.wfile.write(raw)

        self.answers[path] = answer


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as site:
        yield site


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    file = tmp_path / "certificate.pem"
    file.write_text(CERTIFICATE)
    return file


@pytest.fixture
def secure_web(certificate: Path) -> Iterator[Web]:
    with serving(certificate) as site:
        yield site


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[Web]:
    site = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            site.headers.append(dict(self.headers))
            answer = site.answers.get(urlsplit(self.path).path)
            if answer is None:
                self.send_error(404)
            else:
                answer(self)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: some tests leave in the middle."""

    server = Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()
