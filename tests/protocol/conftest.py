"""Plays the engine's part without I/O: proposals go straight into the core, as if there were no layers."""

from __future__ import annotations

import json
from collections import deque
from typing import TypeVar

import pytest

from agentkit.events import (
    AnyItem,
    AnyServerSession,
    ClientEvent,
    InputText,
    MalformedEvent,
    MessageItem,
    Notice,
    ResponseSettings,
    ServerEvent,
    SessionEvent,
    decode_server,
    encode_client,
)
from agentkit.protocol import (
    CancelTool,
    Core,
    Effect,
    Emit,
    Limits,
    Propose,
    StartTimer,
    StartTool,
    Suppress,
    Transmit,
    TurnBegan,
    TurnEnded,
    TurnOutput,
    UpdateEnded,
)
from agentkit.protocol.turns import TurnState

E = TypeVar("E", bound=SessionEvent)
VAD: dict[str, object] = {"type": "server_vad"}


class Drive:
    """A core, what it wrote, and what it asked for."""

    def __init__(self, *, limits: Limits | None = None) -> None:
        self.core = Core(limits=limits)
        self.sent: list[ClientEvent] = []
        self.emitted: list[SessionEvent] = []
        self.tools: list[StartTool] = []
        self.cancelled_tools: list[str] = []
        self.timers: dict[str, float] = {}
        self.began: list[TurnState] = []
        self.output: list[TurnState] = []
        self.ended: list[TurnState] = []
        self.updates: list[UpdateEnded] = []
        self.suppressed: list[str] = []
        self.held: list[ClientEvent] | None = None
        """Proposals that a layer holds back; None where none does."""
        self._seen = 0
        self._events = 0
        self._tokens = 0

    # The engine's part

    def run(self, effects: list[Effect]) -> list[Effect]:
        """Do what effects ask for, in order; return them."""
        todo = deque(effects)
        while todo:
            effect = todo.popleft()
            match effect:
                case Propose(event) if self.held is not None:
                    self.held.append(event)
                case Propose(event):
                    todo.extendleft(reversed(self.core.outgoing(event)))
                case Transmit(event):
                    self.sent.append(event)
                case Emit(event):
                    self.emitted.append(event)
                case StartTool():
                    self.tools.append(effect)
                case CancelTool(call_id):
                    self.cancelled_tools.append(call_id)
                case StartTimer(name, seconds):
                    self.timers[name] = seconds
                case TurnBegan(turn):
                    self.began.append(turn)
                case TurnOutput(turn):
                    self.output.append(turn)
                case TurnEnded(turn):
                    self.ended.append(turn)
                case UpdateEnded():
                    self.updates.append(effect)
                case Suppress(reason):
                    self.suppressed.append(reason)
        return effects

    def fire(self, kind: str) -> list[Effect]:
        """Let the newest timer of a kind run out."""
        name = [name for name in self.timers if name.split()[0] == kind][-1]
        del self.timers[name]
        return self.run(self.core.timer(name))

    # The server's part

    def server(self, wire_type: str, **fields: object) -> list[Effect]:
        """Receive an event in either dialect."""
        self._events += 1
        event = decode_server(json.dumps({"type": wire_type, "event_id": f"event_{self._events}"} | fields))
        assert not isinstance(event, MalformedEvent), event
        return self.receive(event)

    def receive(self, event: ServerEvent) -> list[Effect]:
        return self.run(self.core.receive(event))

    def session(
        self, turn_detection: dict[str, object] | None = None, *, updated: bool = False, **audio: object
    ) -> None:
        """The session is there, or its settings changed: by default the client commits."""
        settings = {"input": {"turn_detection": turn_detection, **audio}, "output": audio}
        session = {"type": "realtime", "id": "sess", "audio": settings}
        self.server("session.updated" if updated else "session.created", session=session)

    def created(self, response_id: str, **fields: object) -> list[Effect]:
        return self.server("response.created", response={"id": response_id, "status": "in_progress", **fields})

    def done(self, response_id: str, status: str = "completed", **fields: object) -> list[Effect]:
        return self.server("response.done", response={"id": response_id, "status": status, **fields})

    def failed(self, response_id: str, code: str = "server_error") -> list[Effect]:
        details = {"type": "failed", "error": {"type": code, "code": code}}
        return self.done(response_id, "failed", status_details=details)

    def item(self, item_id: str, response_id: str = "r1", **fields: object) -> list[Effect]:
        """A response begins a message."""
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        return self.server("response.output_item.added", response_id=response_id, item=item | fields)

    def text(self, item_id: str, delta: str, response_id: str = "r1") -> list[Effect]:
        return self.server("response.output_text.delta", response_id=response_id, item_id=item_id, delta=delta)

    def audio(self, item_id: str, ms: int, response_id: str = "r1") -> list[Effect]:
        """Audio of PCM16 at 24 kHz."""
        delta = "AAAA" * (ms * 16)
        return self.server("response.output_audio.delta", response_id=response_id, item_id=item_id, delta=delta)

    def call(self, call_id: str, response_id: str | None = "r1", **fields: object) -> list[Effect]:
        """A function call: added, its arguments, done."""
        item_id = f"item_{call_id}"
        item: dict[str, object] = {"id": item_id, "type": "function_call", "call_id": call_id, "name": "tool"}
        item["arguments"] = ""
        at = {"response_id": response_id, "item_id": item_id, "call_id": call_id}
        self.server("response.output_item.added", response_id=response_id, item=item | {"status": "in_progress"})
        self.server("response.function_call_arguments.delta", **at, delta="{}")
        self.server("response.function_call_arguments.done", **at, arguments="{}")
        item |= {"status": "completed", "arguments": "{}"} | fields
        return self.server("response.output_item.done", response_id=response_id, item=item)

    def user_item(self, item_id: str, text: str = "hi", **fields: object) -> list[Effect]:
        content = [{"type": "input_text", "text": text}]
        item = {"id": item_id, "type": "message", "role": "user", "status": "completed", "content": content}
        return self.server("conversation.item.added", item=item, **fields)

    def error(self, code: str | None, event_id: str | None = None, **fields: object) -> list[Effect]:
        error = {"type": "invalid_request_error", "code": code, "message": "no", "event_id": event_id}
        return self.server("error", error=error | fields)

    # The application's part

    def ask(self, settings: ResponseSettings | None = None) -> str:
        """Want a response; return the token of its turn."""
        self._tokens += 1
        token = f"ask_{self._tokens}"
        self.run(self.core.respond(token, settings))
        return token

    def say(self, text: str, *, reply: bool = True) -> str | None:
        """Type a message."""
        self.run(self.core.send_item(MessageItem(role="user", content=(InputText(text=text),))))
        return self.ask() if reply else None

    def returns(self, call_id: str, output: str = "5") -> list[Effect]:
        """A tool returns."""
        return self.run(self.core.finish_call(call_id, output))

    def send(self, event: ClientEvent) -> list[Effect]:
        return self.run(self.core.outgoing(event))

    # Looking

    def frames(self) -> list[dict[str, object]]:
        """Return what was written since the last look, as it is on the wire but without its own event ids."""
        fresh, self._seen = self.sent[self._seen :], len(self.sent)
        frames = [json.loads(encode_client(event)) for event in fresh]
        return [{key: value for key, value in frame.items() if key != "event_id"} for frame in frames]

    def types(self) -> list[str]:
        """Return the types of what was written since the last look."""
        return [str(frame["type"]) for frame in self.frames()]

    def notices(self) -> list[str]:
        return [event.code for event in self.emitted if isinstance(event, Notice)]

    def of(self, event_class: type[E]) -> list[E]:
        return [event for event in self.emitted if isinstance(event, event_class)]

    def history(self) -> list[AnyItem]:
        return self.core.conversation.snapshot()

    def order(self) -> list[str]:
        return [state.id for state in self.core.conversation]

    def texts(self) -> list[str]:
        return [state.text for state in self.core.conversation]

    @property
    def confirmed(self) -> AnyServerSession | None:
        return self.core.settings.confirmed


@pytest.fixture
def drive() -> Drive:
    """A session whose client commits."""
    drive = Drive()
    drive.session()
    return drive


@pytest.fixture
def listening() -> Drive:
    """A session in which the server finds the user's turns and answers them."""
    drive = Drive()
    drive.session(VAD)
    return drive


@pytest.fixture
def new_drive() -> type[Drive]:
    """Make one before its session exists, or with limits."""
    return Drive
