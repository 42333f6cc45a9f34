"""What is used of websockets beyond its documentation: an incompatible release fails here, by name."""

import inspect
from collections.abc import Iterable

import pytest
import websockets.asyncio.client
import websockets.frames
import websockets.trio.client
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.protocol import OPEN, State
from websockets.uri import parse_uri

from agentkit.transports.websocket.asyncio_backend import FastConnection
from agentkit.transports.websocket.quiet import LOGGER
from agentkit.transports.websocket.trio_backend import InboxConnection


def missing(thing: object, names: Iterable[str]) -> list[str]:
    return [name for name in names if not hasattr(thing, name)]


def assigned_in_init(cls: type) -> set[str]:
    found: set[str] = set()
    for each in cls.__mro__[:-1]:
        code = getattr(each.__dict__.get("__init__"), "__code__", None)
        if code is not None:
            found |= set(code.co_names)
    return found


def test_the_connection_of_asyncio_has_what_is_overridden_and_used() -> None:
    connection = websockets.asyncio.client.ClientConnection
    methods = [
        "connection_made",
        "connection_lost",
        "data_received",
        "handshake",
        "process_event",
        "send_data",
        "drain",
    ]
    assert missing(connection, [*methods, "close"]) == []
    used = {"protocol", "loop", "paused", "connection_exc", "response"}
    assert used <= assigned_in_init(connection)


def test_the_connection_of_trio_has_what_is_overridden_and_used() -> None:
    connection = websockets.trio.client.ClientConnection
    methods = ["close_stream", "handshake", "process_event", "send_data", "pause_reading", "resume_reading", "aclose"]
    assert missing(connection, methods) == []
    used = {"protocol", "stream", "nursery", "send_lock", "connection_exc", "response"}
    assert used <= assigned_in_init(connection)


def test_the_protocol_has_what_is_used() -> None:
    protocol = ClientProtocol(parse_uri("ws://h/"))
    names = [
        "state",
        "extensions",
        "max_message_size",
        "close_rcvd",
        "close_sent",
        "close_rcvd_then_sent",
        "parser_exc",
    ]
    assert missing(protocol, names) == []
    assert OPEN is State.OPEN


def test_the_mask_function_is_there() -> None:
    assert missing(websockets.frames, ["apply_mask"]) == []
    assert websockets.frames.apply_mask(b"abc", b"\0\0\0\0") == b"abc"  # type: ignore[attr-defined]  # as in encoding


@pytest.mark.parametrize("module", [websockets.asyncio.client, websockets.trio.client])
def test_connect_reacts_only_to_the_status_error_that_is_replaced(module: object) -> None:
    source = inspect.getsource(module.connect.process_redirect)  # type: ignore[attr-defined]  # one of two modules
    assert f"isinstance(exc, {InvalidStatus.__name__})" in source


@pytest.mark.parametrize(
    "own, base",
    [
        (FastConnection, websockets.asyncio.client.ClientConnection),
        (InboxConnection, websockets.trio.client.ClientConnection),
    ],
)
def test_the_overridden_methods_take_what_the_originals_take(own: type, base: type) -> None:
    for name in ("handshake", "process_event", "__init__"):
        assert list(inspect.signature(getattr(own, name)).parameters) == list(
            inspect.signature(getattr(base, name)).parameters
        )


def test_debug_records_with_headers_are_never_made() -> None:
    protocol = ClientProtocol(parse_uri("ws://h/"), logger=LOGGER)
    LOGGER.logger.setLevel("DEBUG")
    try:
        assert not ClientProtocol(parse_uri("ws://h/"), logger=LOGGER).debug
    finally:
        LOGGER.logger.setLevel("NOTSET")
    assert not protocol.debug
