"""The server of notes.py by HTTP: on a port, which it tells on stdout; with a token, only for those who know it."""

import sys
from typing import Any

import uvicorn
from notes import server  # type: ignore[import-not-found]  # beside this file, where the program is started

app = server.streamable_http_app()


async def guarded(scope: Any, receive: Any, send: Any) -> None:
    token = sys.argv[2].encode() if len(sys.argv) > 2 else None
    if scope["type"] == "http" and token and dict(scope["headers"]).get(b"authorization") != b"Bearer " + token:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await app(scope, receive, send)


class Told(uvicorn.Server):
    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(f"{self.servers[0].sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()


Told(uvicorn.Config(guarded, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")).run()
