"""What a layer is, and what is refused when its class is made."""

from contextlib import asynccontextmanager
from typing import Any

import pytest

from agentkit.events import (
    ClientEvent,
    ConversationItemAdded,
    ConversationItemCreated,
    Event,
    Notice,
    ResponseAudioDelta,
    ResponseCreate,
    ResponseEvent,
    ResponseOutputAudioDelta,
    ServerEvent,
)
from agentkit.middleware import Middleware, Next, on
from agentkit.tools import ToolCall, ToolResult

pytestmark = pytest.mark.anyio


class Watch(Middleware):
    @on(ResponseEvent, Notice)
    async def family(self, event: Event, call_next: Next[Event]) -> None:
        await call_next(event)

    @on(ResponseOutputAudioDelta)
    async def audio(self, event: ResponseOutputAudioDelta, call_next: Next[ResponseOutputAudioDelta]) -> None:
        await call_next(event)


def handler_name(layer: Middleware, event_class: type[Event]) -> str | None:
    handler: Any = layer.handler(event_class)
    return handler.__name__ if handler is not None else None


def test_the_nearest_class_wins() -> None:
    assert handler_name(Watch(), ResponseOutputAudioDelta) == "audio"
    assert handler_name(Watch(), ResponseEvent) == "family"
    assert handler_name(Watch(), Notice) == "family"
    assert handler_name(Watch(), ResponseCreate) is None


def test_a_handler_sees_both_names_of_an_event() -> None:
    assert handler_name(Watch(), ResponseAudioDelta) == "audio"


def test_a_subclass_keeps_and_changes_handlers() -> None:
    class More(Watch):
        @on(ConversationItemAdded)
        async def added(self, event: ConversationItemAdded, call_next: Next[ConversationItemAdded]) -> None: ...

        async def audio(self, event: ResponseOutputAudioDelta, call_next: Next[ResponseOutputAudioDelta]) -> None: ...

        @on(ResponseEvent)
        async def all_of_them(self, event: ResponseEvent, call_next: Next[ResponseEvent]) -> None: ...

    assert handler_name(More(), ConversationItemCreated) == "added"
    assert handler_name(More(), ResponseOutputAudioDelta) == "audio"
    assert handler_name(More(), ResponseEvent) == "all_of_them"
    assert handler_name(More(), Notice) == "family"


def test_a_layer_is_named_by_its_class() -> None:
    assert Watch().name == "Watch"


def test_hooks_are_listed() -> None:
    class All(Watch):
        async def wrap_tool_call(self, call: ToolCall, call_next: Any) -> ToolResult:
            return ToolResult.of(None)

        def on_wire(self, direction: Any, raw: bytes, event: Event) -> None: ...

    assert Watch().hooks() == ["ResponseEvent", "Notice", "ResponseOutputAudioDelta"]
    assert All().hooks() == ["ResponseEvent", "Notice", "ResponseOutputAudioDelta", "wrap_tool_call", "on_wire"]
    assert Middleware().hooks() == []


@pytest.mark.parametrize("classes", [(), ("response.create",), (ResponseCreate, int), (ResponseCreate(),)])
def test_only_event_classes_can_be_handled(classes: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="@on"):
        on(*classes)


def test_a_handler_has_to_be_async() -> None:
    with pytest.raises(TypeError, match="async def"):

        @on(ServerEvent)  # type: ignore[type-var]  # what is tested
        def handle(self: Any, event: Any, call_next: Any) -> None: ...


def test_a_handler_has_to_take_the_event_and_call_next() -> None:
    with pytest.raises(TypeError, match="call_next"):

        @on(ServerEvent)
        async def handle(self: Any, event: Any) -> None: ...


def test_one_class_cannot_have_two_handlers() -> None:
    with pytest.raises(TypeError, match="handles ClientEvent twice: in one and in two"):

        class Twice(Middleware):
            @on(ClientEvent)
            async def one(self, event: ClientEvent, call_next: Next[ClientEvent]) -> None: ...

            @on(ClientEvent)
            async def two(self, event: ClientEvent, call_next: Next[ClientEvent]) -> None: ...


def test_a_handler_that_is_overridden_has_to_stay_async() -> None:
    with pytest.raises(TypeError, match=r"Quiet\.audio has to be `async def`"):

        class Quiet(Watch):
            def audio(self, event: Any, call_next: Any) -> None: ...  # type: ignore[override]  # what is tested


def test_tool_calls_have_to_be_wrapped_by_async_code() -> None:
    with pytest.raises(TypeError, match="wrap_tool_call has to be `async def`"):

        class Sync(Middleware):
            def wrap_tool_call(self, call: Any, call_next: Any) -> Any: ...


def test_a_wire_tap_may_not_wait() -> None:
    with pytest.raises(TypeError, match="on_wire has to be a plain `def`"):

        class Tap(Middleware):
            async def on_wire(self, direction: Any, raw: bytes, event: Event) -> None: ...  # type: ignore[override]  # what is tested


def test_running_has_to_be_a_context_manager() -> None:
    for bad in (_coroutine, _generator):
        with pytest.raises(TypeError, match="running has to be an @asynccontextmanager"):
            type("Bad", (Middleware,), {"running": bad})
    good = type("Good", (Middleware,), {"running": asynccontextmanager(_generator)})
    assert good().hooks() == ["running"]


async def _coroutine(self: Any) -> None: ...


async def _generator(self: Any) -> Any:
    yield


async def test_a_layer_without_hooks_of_its_own_passes_calls_on() -> None:
    async def body(call: ToolCall) -> ToolResult:
        return ToolResult.of(call.name)

    layer = Middleware()
    layer.on_wire("in", b"{}", Notice(code="c", message="m"))
    async with layer.running():
        assert (await layer.wrap_tool_call(ToolCall(call_id="c", name="tool"), body)).output == "tool"
