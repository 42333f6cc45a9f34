"""``hooks.md``: what a plugin can register, what a middleware can take, and the events of a session."""

import inspect
import sys
from collections.abc import Iterator
from typing import Final

import msgspec

from agentkit import events, hookspecs
from agentkit.docs.pages.writing import attribute_docs, fenced, inline, page, prose, summary, table, type_in_words
from agentkit.events import ClientEvent, Event, ServerEvent, SessionEvent
from agentkit.middleware import Middleware
from agentkit.middleware.base import SessionHandle

_PARTS: Final = ("Hooks", "Middleware", "Events of a session", "Events of the wire")
_LAYER: Final = ("running", "wrap_tool_call", "on_wire")
_LIMITS: Final = ("critical", "event_timeout", "event_budget")


def hooks_page() -> str:
    """Return the page."""
    parts = [
        inline(
            """
            A plugin is a module that an entry point of the group `agentkit` names. It has any of the hooks below,
            which take nothing and return what it brings. They are called once, never while a session runs.
            `agentkit new plugin` writes the beginning of one, and `agentkit plugins --check NAME` finds what its
            author should mend.
            """
        ),
        "\n".join(f"- [{each}](#{each.lower().replace(' ', '-')})" for each in _PARTS),
        "## Hooks",
        *_hooks(),
        "## Middleware",
        *_middleware(),
        "## Events of a session",
        inline(
            """
            agentkit makes these for the application. They pass the layers as the server's do, and `async for event
            in session` gives them; `from agentkit.events import TurnCompleted` imports one.
            """
        ),
        *_session_events(),
        "## Events of the wire",
        inline(
            """
            Names are those of the protocol: `response.output_audio.delta` is `ResponseOutputAudioDelta`; the one
            exception is `error`, which is `ErrorEvent`. `@on` takes a class of these lists, or one of their bases.
            """
        ),
        *_wire(),
    ]
    return page("Hooks and events", *parts)


def _hooks() -> Iterator[str]:
    for name in hookspecs.HOOKS:
        hook = getattr(hookspecs, name)
        yield f"### {name}"
        returns = inspect.signature(hook).return_annotation
        yield fenced(f"def {name}() -> {returns}: ...", "python")
        yield prose(inspect.getdoc(hook) or "")


def _middleware() -> Iterator[str]:
    yield prose(inspect.getdoc(Middleware) or "")
    yield table(
        ("what a layer may have", "for what"),
        [
            ("`@on(Event, ...)`", "`async def (self, event, call_next)`: takes the events of these classes."),
            *((f"`{_signature(name)}`", summary(getattr(Middleware, name))) for name in _LAYER),
        ],
    )
    docs = attribute_docs(Middleware)
    rows = [(f"`{name}`", f"`{getattr(Middleware, name)}`", docs[name]) for name in _LIMITS]
    yield table(("attribute of the class", "default", "meaning"), rows)
    yield "What `self.session` gives a layer:"
    names = [name for name in vars(SessionHandle) if not name.startswith("_")]
    yield table(("name", "for what"), [(f"`{name}`", _said(name)) for name in names])


def _signature(name: str) -> str:
    method = inspect.unwrap(getattr(Middleware, name))
    given = ", ".join(inspect.signature(method).parameters)
    if name == "running":
        return f"@asynccontextmanager async def {name}({given})"
    return f"{'async ' if inspect.iscoroutinefunction(method) else ''}def {name}({given})"


def _said(name: str) -> str:
    found = vars(SessionHandle)[name]
    return summary(found.fget if isinstance(found, property) else found)


def _session_events() -> Iterator[str]:
    for cls in session_events():
        yield f"### {cls.__name__}"
        yield f"`{cls.wire_type}`: {inline(inspect.getdoc(cls) or '')}"
        docs = attribute_docs(cls)
        rows = [
            (f"`{field.name}`", type_in_words(field.type), docs.get(field.name, ""))
            for field in msgspec.structs.fields(cls)
            if field.name in vars(cls).get("__annotations__", {})
        ]
        yield table(("field", "type", "meaning"), rows)


def session_events() -> list[type[SessionEvent]]:
    """Return the events that the engine makes, in the order in which the code has them."""
    module = sys.modules[events.TurnCompleted.__module__]
    found = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, SessionEvent)]
    return [
        each for each in found if each.__module__ == module.__name__ and hasattr(each, "wire_type") and _has_type(each)
    ]


def _has_type(cls: type[Event]) -> bool:
    return bool(getattr(cls, "wire_type", ""))


def _wire() -> Iterator[str]:
    for base, title in ((ClientEvent, "Sent"), (ServerEvent, "Received")):
        classes = [
            each
            for name in events.__all__
            if isinstance(each := getattr(events, name), type) and issubclass(each, base) and _has_type(each)
        ]
        yield f"### {title}"
        yield table(("wire", "class"), [(f"`{each.wire_type}`", f"`{each.__name__}`") for each in classes])
