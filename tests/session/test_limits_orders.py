"""A limit that is reached in the middle of anything: in whatever order things happen, the session ends as it says."""

from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

import agentkit
from agentkit.errors import AgentkitError
from agentkit.events import Notice, SessionEnded, SessionEvent, ToolStarted
from agentkit.session.limiting import GOODBYE_SECONDS
from agentkit.testing import SESSION, FakeServer
from agentkit.tools import tool

LISTENING: dict[str, Any] = {
    **SESSION,
    "audio": {**SESSION["audio"], "input": {"turn_detection": {"type": "server_vad"}}},
}
WORDS = "Say exactly: Goodbye."
TIME = 10.0
STEPS = st.sampled_from(
    ["ask", "say", "append", "interrupt", "speaks", "stops", "begins", "ends", "fails", "calls", "background", "waits"]
)


class Stage:
    """A session and its server, and what may happen."""

    def __init__(self, session: agentkit.Session, server: FakeServer, tasks: anyio.abc.TaskGroup) -> None:
        self.session = session
        self.server = server
        self.tasks = tasks
        self.active: list[str] = []
        self.count = 0

    async def quietly(self, function: Any, *args: object) -> None:
        try:
            await function(*args)
        except AgentkitError:
            pass  # it was over

    async def step(self, step: str) -> None:
        self.count += 1
        session, emit = self.session, self.server.emit
        match step:
            case "ask":
                self.tasks.start_soon(self.quietly, session.ask, "hello")
            case "say":
                self.tasks.start_soon(self.quietly, session.say, "hello")
            case "append":
                await session.append_audio(bytes(4800))
            case "interrupt":
                self.tasks.start_soon(self.quietly, session.interrupt)
            case "speaks":
                await emit("input_audio_buffer.speech_started", item_id=f"u{self.count}", audio_start_ms=0)
            case "stops":
                await emit("input_audio_buffer.speech_stopped", item_id=f"u{self.count}", audio_end_ms=0)
            case "begins":
                self.active.append(f"r{self.count}")
                await emit("response.created", response={"id": self.active[-1]})
            case "ends" | "fails" if self.active:
                error = {"error": {"code": "server_error"}} if step == "fails" else None
                status = "failed" if step == "fails" else "completed"
                response: dict[str, Any] = {"id": self.active.pop(0), "status": status, "output": []}
                response["status_details"] = error
                await emit("response.done", response=response)
            case "calls" | "background" if self.active:
                item = {
                    "id": f"i{self.count}",
                    "type": "function_call",
                    "call_id": f"c{self.count}",
                    "status": "completed",
                }
                item |= {"name": "slow" if step == "calls" else "later", "arguments": "{}"}
                await emit("response.output_item.done", response_id=self.active[-1], item=item)
            case "waits":
                await anyio.sleep(1)


async def play(steps: list[tuple[str, float]], *, listening: bool, on_limit: Any) -> None:
    @tool(timeout=4)
    async def slow() -> str:
        """Work."""
        await anyio.sleep(3)
        return "done"

    @tool(timeout=9, background=True)
    async def later() -> str:
        """Work."""
        await anyio.sleep(8)
        return "done"

    server = FakeServer(session=LISTENING if listening else SESSION)
    goodbye = "Goodbye." if on_limit == "say_goodbye" else None
    limits = agentkit.SessionLimits(session_time=TIME, on_limit=on_limit, goodbye=goodbye)
    began = anyio.current_time()
    reached: list[float] = []
    ended: list[float] = []
    late: list[SessionEvent] = []
    written: list[tuple[float, dict[str, Any]]] = []

    async with agentkit.open(server, tools=[slow, later], limits=limits) as session, anyio.create_task_group() as tasks:
        stage = Stage(session, server, tasks)

        async def listen() -> None:
            with session.subscribe(Notice, ToolStarted) as events:
                async for event in events:
                    if isinstance(event, Notice) and event.code == "limit":
                        reached.append(anyio.current_time())
                    elif isinstance(event, ToolStarted) and reached:
                        late.append(event)

        async def read() -> None:
            while True:
                event = await server.next()
                written.append((anyio.current_time(), event))
                if (event.get("response") or {}).get("instructions") == WORDS:
                    await server.says(f"bye{len(written)}", "Goodbye.")
                elif event["type"] == "response.cancel" and event["response_id"] in stage.active:
                    stage.active.remove(event["response_id"])
                    response = {"id": event["response_id"], "status": "cancelled", "output": []}
                    await server.emit("response.done", response=response)

        async def watch() -> None:
            await session.wait_closed()
            ended.append(anyio.current_time() - began)

        tasks.start_soon(watch)
        tasks.start_soon(listen)
        tasks.start_soon(stage.quietly, read)
        for step, pause in steps:
            await stage.quietly(stage.step, step)
            await anyio.sleep(pause)
        await session.wait_closed()
        tasks.cancel_scope.cancel()

    assert session.ended == SessionEnded(cause="limit")
    assert TIME <= ended[0] <= TIME + (GOODBYE_SECONDS if on_limit == "say_goodbye" else 0) + 3
    assert len(reached) == 1
    assert late == []
    after = [event for at, event in written if at > reached[0] and event["type"] == "response.create"]
    assert [event for event in after if (event.get("response") or {}).get("instructions") != WORDS] == []
    assert len(after) <= 1 or on_limit == "say_goodbye"


@pytest.mark.parametrize("on_limit", ["close", "say_goodbye"])
@pytest.mark.parametrize("listening", [False, True])
@given(steps=st.lists(st.tuples(STEPS, st.sampled_from([0.0, 0.0, 0.5, 2.0])), max_size=30))
@settings(max_examples=60)
def test_a_session_ends_once_and_begins_nothing_more(
    steps: list[tuple[str, float]], listening: bool, on_limit: str
) -> None:
    async def main() -> None:
        with anyio.fail_after(500):
            await play(steps, listening=listening, on_limit=on_limit)

    anyio.run(main, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})
