"""Frames from the client, read by the server's side of websockets."""

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol

from agentkit.transports.websocket.encoding import encode_text


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536, 300000])
def test_a_server_reads_the_text(length: int) -> None:
    server = Protocol(SERVER, max_size=None)
    server.receive_data(encode_text(b"x" * length))
    (event,) = server.events_received()
    assert isinstance(event, Frame)
    assert (event.opcode, event.fin, bytes(event.data)) == (Opcode.TEXT, True, b"x" * length)


def test_each_frame_has_its_own_mask() -> None:
    assert len({encode_text(b"x" * 20) for _ in range(10)}) == 10
