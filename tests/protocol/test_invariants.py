"""The core under any sequence of events, commands, layers and timers: what must hold after each step, and at the end.

A longer run: ``HYPOTHESIS_STEPS=100 HYPOTHESIS_RUNS=100000 pytest tests/protocol/test_invariants.py``.
"""

import json
import os
from collections import Counter, defaultdict, deque

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from agentkit.errors import AgentkitError, LocalProtocolError
from agentkit.events import (
    AudioInput,
    AudioSettings,
    ClientEvent,
    ConversationItemCreate,
    ConversationItemTruncate,
    FunctionCallOutputItem,
    InputAudioBufferAppend,
    InputText,
    ItemView,
    MessageItem,
    ResponseCancel,
    ResponseCreate,
    ResponseSettings,
    Settings,
    TurnDetection,
    decode_server,
)
from agentkit.protocol import (
    Core,
    Effect,
    Limits,
    Propose,
    StartTimer,
    StartTool,
    Transmit,
    TurnBegan,
    TurnEnded,
)
from agentkit.protocol.audio import CHUNK_COST
from agentkit.protocol.calls import CallStatus, Reply
from agentkit.protocol.conversation import PARKED
from agentkit.protocol.turns import TurnState
from agentkit.protocol.wanted import is_beside

KEPT = 2 * (960 + CHUNK_COST)
INPUT_KEPT = 4 * (9600 + CHUNK_COST)
VIEWS = 8
"""Views that are kept and compared."""
RESPONSES = st.sampled_from(["r1", "r2", "r3", "r4"])
ITEMS = st.sampled_from(["i1", "i2", "i3", "u1", "u2"])
CALLS = st.sampled_from(["a", "b", "c"])
STATUSES = st.sampled_from(["completed", "cancelled", "failed", "incomplete"])
PREVIOUS = st.sampled_from([None, "root", "i1", "i2", "u1", "lost"])
INDEXES = st.sampled_from([0, 0, 0, 1, -1, 10**12])
CODES = st.sampled_from(
    [
        "conversation_already_has_active_response",
        "response_cancel_not_active",
        "input_audio_buffer_commit_empty",
        "invalid_value",
        "cannot_update_voice",
    ]
)
REPLIES: st.SearchStrategy[Reply] = st.sampled_from(["wait", "wait", "speak", "silent"])
LIMITS = st.fixed_dictionaries(
    {
        "tool_calls_per_turn": st.sampled_from([None, 3]),
        "tool_calls_per_session": st.sampled_from([None, None, 2]),
        "same_calls_per_turn": st.sampled_from([None, 1, 5]),
        "invalid_calls_per_turn": st.sampled_from([None, 1, 3]),
    }
)
DETECTIONS = st.sampled_from([None, {"type": "server_vad"}, {"type": "server_vad", "create_response": False}])


def said(view: ItemView) -> object:
    """Return all that a view says, its audio's bytes aside."""
    audio = view.audio and (view.audio.ms, view.audio.end, view.audio.format)
    told = (view.id, view.status, view.item, view.text, view.transcript, view.previous_item_id)
    return told, audio, view.heard_ms, view.heard_text, view.interrupted


class Sessions(RuleBasedStateMachine):
    """A core between a server that may say anything and an application that may ask for anything."""

    def __init__(self) -> None:
        super().__init__()
        self.core = Core(limits=Limits(keep_audio_bytes=KEPT, keep_input_bytes=INPUT_KEPT))
        self.held: deque[ClientEvent] = deque()
        self.holding = False
        self.timers: list[str] = []
        self.sent: list[ClientEvent] = []
        self.started: Counter[str] = Counter()
        self.outputs: Counter[str] = Counter()
        self.items_of: defaultdict[str, set[str]] = defaultdict(set)
        """The items that are a call: several where the model used its id again."""
        self.open: set[int] = set()
        self.turns: list[TurnState] = []
        self.over: list[TurnState] = []
        self.views: deque[tuple[ItemView, bytes, object]] = deque(maxlen=VIEWS)
        """With each view the audio that it had, and all else that it said."""
        self.count = 0

    # The engine

    def run(self, effects: list[Effect]) -> None:
        todo = deque(effects)
        while todo:
            effect = todo.popleft()
            match effect:
                case Propose(event) if self.holding:
                    self.held.append(event)
                case Propose(event):
                    todo.extendleft(reversed(self.outgoing(event)))
                case Transmit(event):
                    self.transmitted(event)
                case StartTool(call_id):
                    self.started[call_id] += 1
                case StartTimer(name):
                    self.timers.append(name)
                case TurnBegan(turn):
                    self.open.add(id(turn))
                    self.turns.append(turn)
                case TurnEnded(turn):
                    assert turn not in self.over, "a turn ended twice"
                    self.over.append(turn)
                    self.open.discard(id(turn))

    def outgoing(self, event: ClientEvent) -> list[Effect]:
        try:
            return self.core.outgoing(event)
        except LocalProtocolError as exc:
            return self.core.dropped(event, exc)

    def transmitted(self, event: ClientEvent) -> None:
        self.sent.append(event)
        if isinstance(event, ResponseCreate) and not is_beside(event.response):
            assert not self.core.responses.active, "a create went out while a response was active"
            assert self.core.responses.requested is not None
            assert not self.core.responses.user_speaking
            assert not self.core.taking.held, "a create went out while the key was held"
            assert not self.core.responses.changes, "a create went out before the tools were changed"
        if isinstance(event, ConversationItemCreate) and isinstance(event.item, FunctionCallOutputItem):
            self.outputs[event.item.call_id] += 1

    def server(self, wire_type: str, **fields: object) -> None:
        self.count += 1
        data = {"type": wire_type, "event_id": f"e{self.count}"} | fields
        self.run(self.core.receive(decode_server(json.dumps(data))))

    # The server

    @initialize(detection=DETECTIONS, limits=LIMITS)
    def session(self, detection: dict[str, object] | None, limits: dict[str, int | None]) -> None:
        self.core.limits = replace(self.core.limits, **limits)
        session = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        self.server("session.created", session=session)

    @rule(detection=DETECTIONS, audio_format=st.sampled_from([None, None, {"type": "audio/pcmu"}]))
    def session_updated(self, detection: dict[str, object] | None, audio_format: dict[str, object] | None) -> None:
        session = {"type": "realtime", "audio": {"input": {"turn_detection": detection, "format": audio_format}}}
        self.server("session.updated", session=session)

    @rule(response=RESPONSES)
    def response_created(self, response: str) -> None:
        self.server("response.created", response={"id": response, "status": "in_progress"})

    @rule(response=RESPONSES, status=STATUSES)
    def response_done(self, response: str, status: str) -> None:
        self.server("response.done", response={"id": response, "status": status})

    @rule()
    def response_beside_created(self) -> None:
        for event in reversed(self.sent):
            if isinstance(event, ResponseCreate) and is_beside(event.response):
                assert event.event_id is not None
                metadata = {"agentkit_id": event.event_id}
                self.server("response.created", response={"id": "beside", "metadata": metadata})
                return

    @rule()
    def response_beside_done(self) -> None:
        if "beside" in self.core.responses.beside:
            self.server("response.done", response={"id": "beside", "status": "completed"})

    @rule(response=RESPONSES, item=ITEMS, previous=PREVIOUS, name=st.sampled_from(["added", "done"]))
    def message(self, response: str, item: str, previous: str | None, name: str) -> None:
        role = "user" if item.startswith("u") else "assistant"
        body = {"id": item, "type": "message", "role": role, "content": []}
        self.server(f"conversation.item.{name}", item=body, previous_item_id=previous)
        if role == "assistant":
            self.server(f"response.output_item.{name}", item=body, response_id=response)

    @rule(response=RESPONSES, item=ITEMS, index=INDEXES)
    def deltas(self, response: str, item: str, index: int) -> None:
        at = {"response_id": response, "item_id": item, "content_index": index}
        self.server("response.output_audio_transcript.delta", **at, delta="x")
        self.server("response.output_audio.delta", **at, delta="AAAA" * 100)
        self.server("response.output_audio.delta", **at, delta="AAAAAA==")

    @rule(
        response=RESPONSES,
        call=CALLS,
        status=st.sampled_from(["completed", "completed", "incomplete"]),
        again=st.booleans(),
    )
    def call(self, response: str, call: str, status: str, again: bool) -> None:
        item_id = f"call_{call}_{response}" if again else f"call_{call}"
        body = {"id": item_id, "type": "function_call", "call_id": call, "name": "tool", "arguments": "{}"}
        self.items_of[call].add(item_id)
        self.server("response.output_item.done", item=body | {"status": status}, response_id=response)

    @rule(response=RESPONSES, calls=st.lists(CALLS, min_size=1, max_size=3, unique=True))
    def whole_response_of_calls(self, response: str, calls: list[str]) -> None:
        self.response_created(response)
        for call in calls:
            self.call(response, call, "completed", again=False)
        self.response_done(response, "completed")

    @rule(item=ITEMS, index=INDEXES)
    def transcript(self, item: str, index: int) -> None:
        self.server("conversation.item.input_audio_transcription.delta", item_id=item, content_index=index, delta="x")

    @rule(item=st.sampled_from(["i1", "u1", "call_a", "lost"]))
    def deleted(self, item: str) -> None:
        self.server("conversation.item.deleted", item_id=item)

    @rule(
        name=st.sampled_from(["speech_started", "speech_stopped", "cleared", "committed"]),
        item=ITEMS,
        ms=st.sampled_from([None, 0, 15, 300, -5, 10**6]),
    )
    def listening(self, name: str, item: str, ms: int | None) -> None:
        self.server(f"input_audio_buffer.{name}", item_id=item, audio_start_ms=ms, audio_end_ms=ms)

    @rule(code=CODES, known=st.booleans(), back=st.integers(1, 4))
    def error(self, code: str, known: bool, back: int) -> None:
        event_id = self.sent[-back].event_id if known and len(self.sent) >= back else None
        self.server("error", error={"message": "no", "code": code, "event_id": event_id})

    # The application

    @rule(
        settings=st.sampled_from(
            [None, None, ResponseSettings(instructions="x"), ResponseSettings(conversation="none")]
        )
    )
    def ask(self, settings: ResponseSettings | None) -> None:
        self.run(self.core.respond(self.core.next_id(), settings))

    @rule()
    def say(self) -> None:
        self.run(self.core.send_item(MessageItem(role="user", content=(InputText(text="x"),))))

    @rule(size=st.sampled_from([480, 9600]))
    def append(self, size: int) -> None:
        self.run(self.core.outgoing(InputAudioBufferAppend(audio=bytes(size))))

    @rule(reply=st.booleans())
    def commit(self, reply: bool) -> None:
        self.run(self.core.taking.commit(self.core.next_id() if reply else None))

    @rule()
    def press(self) -> None:
        if self.core.settings.turn_detection is None:
            self.run(self.core.taking.press())
            assert self.core.taking.held
        else:
            with pytest.raises(LocalProtocolError):
                self.core.taking.press()

    @rule(reply=st.booleans())
    def release(self, reply: bool) -> None:
        self.run(self.core.taking.release(self.core.next_id() if reply else None))
        assert not self.core.taking.held

    @rule(detection=st.sampled_from([None, "server_vad", "semantic_vad"]), confirmed=st.booleans())
    def switch_mode(self, detection: str | None, confirmed: bool) -> None:
        turns = TurnDetection(type=detection) if detection is not None else None
        settings = Settings(audio=AudioSettings(input=AudioInput(turn_detection=turns)))
        self.run(self.core.update(settings, self.core.next_id()))
        if confirmed:
            self.session_updated({"type": detection} if detection is not None else None, None)

    @rule(response=st.sampled_from([None, "r1", "r2", "beside"]))
    def cancel(self, response: str | None) -> None:
        self.run(self.core.cancel(response))
        self.run(self.outgoing(ResponseCancel(response_id=response)))

    @rule(heard=st.sampled_from([None, 0, 5, 10**6]), item=st.none() | ITEMS | st.just("lost"))
    def interrupt(self, heard: int | None, item: str | None) -> None:
        self.run(self.core.interrupt(heard, item_id=item))

    @rule(item=ITEMS | st.just("call_a"))
    def look(self, item: str) -> None:
        state = self.core.conversation.get(item)
        if state is not None:
            view = self.core.view(state)
            self.views.append((view, view.audio.read() if view.audio is not None else b"", said(view)))

    @rule(item=ITEMS, ms=st.integers(0, 100))
    def played(self, item: str, ms: int) -> None:
        self.core.output.played(item, ms)

    @rule(item=ITEMS, ms=st.integers(-5, 10**6))
    def truncate(self, item: str, ms: int) -> None:
        self.run(self.outgoing(ConversationItemTruncate(item_id=item, content_index=0, audio_end_ms=ms)))

    @rule(call=CALLS, reply=REPLIES, invalid=st.sampled_from([False, False, True]))
    def tool_returns(self, call: str, reply: Reply, invalid: bool) -> None:
        if self.started[call]:
            self.run(self.core.finish_call(call, "5", reply=reply, invalid=invalid))

    @rule(call=CALLS)
    def tool_goes_to_the_background(self, call: str) -> None:
        if self.started[call]:
            self.run(self.core.detach_call(call))

    @rule()
    def tools_begin_to_change(self) -> None:
        self.core.responses.changes += 1

    @rule()
    def tools_have_changed(self) -> None:
        if self.core.responses.changes:
            self.core.responses.changes -= 1
            self.run(self.core.responses.release())

    @rule(call=CALLS)
    def answered_by_hand(self, call: str) -> None:
        item = FunctionCallOutputItem(call_id=call, output="6")
        self.run(self.outgoing(ConversationItemCreate(item=item)))

    @rule(item=st.sampled_from(["i1", "call_a"]))
    def delete(self, item: str) -> None:
        self.run(self.core.delete_item(item))

    # Layers and time

    @rule()
    def layers_hold(self) -> None:
        self.holding = True

    @rule()
    def layers_let_go(self) -> None:
        self.holding = False
        while self.held:
            self.run(self.outgoing(self.held.popleft()))

    @rule()
    def a_layer_drops(self) -> None:
        if self.held:
            self.run(self.core.dropped(self.held.popleft(), AgentkitError("dropped")))

    @rule(index=st.integers(0, 3))
    def a_timer_runs_out(self, index: int) -> None:
        if len(self.timers) > index:
            self.run(self.core.timer(self.timers.pop(index)))

    # What must hold

    @invariant()
    def no_body_runs_twice_and_no_item_of_a_call_has_two_outputs(self) -> None:
        assert all(count <= 1 for count in self.started.values()), self.started
        assert all(count <= len(self.items_of[call]) for call, count in self.outputs.items()), self.outputs

    @invariant()
    def an_output_that_was_written_is_in_the_ledger(self) -> None:
        for call_id in self.outputs:
            call = self.core.calls.get(call_id)
            assert call is not None
            assert call.status is CallStatus.DELIVERED

    @invariant()
    def one_create_of_ours_is_on_its_way_at_most(self) -> None:
        ours = [response for response in self.core.responses.active.values() if response.wanted is not None]
        assert len(ours) <= 1

    @invariant()
    def a_response_counts_once_in_a_turn(self) -> None:
        for turn in self.turns:
            assert len(turn.response_ids) == len(set(turn.response_ids)), turn.response_ids
            assert turn.shares == 0 or id(turn) in self.open

    @invariant()
    def no_turn_waits_for_a_call_in_the_background(self) -> None:
        responses = [*self.core.responses.active.values(), *self.core.responses._recent.values()]
        for call in self.core.calls:
            owner = next((response for response in responses if response.id == call.response_id), None)
            assert not (call.detached and owner is not None and call.call_id in owner.outstanding)

    @invariant()
    def the_conversation_is_one_list(self) -> None:
        ids = [state.id for state in self.core.conversation]
        assert len(ids) == len(set(ids)) == len(self.core.conversation)
        assert [getattr(item, "id", None) for item in self.core.conversation.last(len(ids))] == ids
        assert not any(self.core.conversation.was_deleted(item_id) for item_id in ids)

    @invariant()
    def every_buffer_is_bounded(self) -> None:
        assert self.core.output.kept <= KEPT
        assert len(self.core.conversation._parked) <= PARKED
        assert all(len(state.parts) <= 2 for state in self.core.conversation)

    @invariant()
    def the_user_s_audio_is_bounded(self) -> None:
        audio = self.core.input
        assert audio.kept <= INPUT_KEPT
        assert 0 <= audio.pending <= audio.total

    @invariant()
    def a_view_does_not_change(self) -> None:
        for view, data, told in self.views:
            assert said(view) == told
            if view.audio is not None:  # retention may drop its beginning
                assert data.endswith(view.audio.read())

    @invariant()
    def no_more_is_heard_than_was_received(self) -> None:
        for item in ("i1", "i2", "i3", "u1", "u2"):
            assert self.core.output.heard_ms(item) <= self.core.output.received_ms(item)

    def teardown(self) -> None:
        """From now on server, tools and layers do their part: every turn ends, and the user is answered."""
        self.layers_let_go()
        self.core.responses.changes = 0
        self.run([*self.core.responses.release(), *self.core.taking.release()])
        for name in ("speech_stopped", "committed"):
            self.server(f"input_audio_buffer.{name}", item_id="last")
        token = self.core.next_id()
        self.run(self.core.respond(token))
        for number in range(100):
            if not self.open:
                break
            for call in [call.call_id for call in self.core.calls.running]:
                self.run(self.core.finish_call(call, "5"))
            responses = self.core.responses
            if responses.requested is not None:
                self.server("response.created", response={"id": f"end{number}"})
            for response_id in [*responses.active, *responses.beside]:
                self.server("response.done", response={"id": response_id, "status": "completed"})
            timers, self.timers = self.timers, []
            for name in timers:
                self.run(self.core.timer(name))
            if not responses.beside:
                for event in [event for event in self.sent if isinstance(event, ResponseCreate)]:
                    if is_beside(event.response) and event.event_id is not None:
                        metadata = {"agentkit_id": event.event_id}
                        self.server("response.done", response={"id": f"aside{event.event_id}", "metadata": metadata})
        left = [turn for turn in self.turns if id(turn) in self.open]
        assert not left, f"turns never ended: {[turn.tokens for turn in left]}"
        assert any(token in turn.tokens for turn in self.turns)
        assert not self.core.calls.running
        assert self.core.responses.free


Sessions.TestCase.settings = settings(
    max_examples=int(os.environ.get("HYPOTHESIS_RUNS", "500")),
    stateful_step_count=int(os.environ.get("HYPOTHESIS_STEPS", "50")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestSessions = pytest.mark.timeout(0 if "HYPOTHESIS_RUNS" in os.environ else 120)(Sessions.TestCase)
