"""Memory: what the user asked to remember, for one session or in a file.

Rule: keys are compared folded (case, spaces, underscores, a leading "my"): "My dog" and "dog" are one.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import json
import re
import threading
import weakref
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Annotated, Final

from msgspec import Meta, Struct

from agentkit import Factory, Tool, ToolContext, ToolError, tool
from agentkit.files import replace_file

_MAX_KEYS: Final = 1_000
_MAX_KEY: Final = 100
_MAX_VALUE: Final = 2_000
_MAX_FILE: Final = 8_000_000
_LEADING = re.compile(r"^(?:my|the|our|user'?s?)\s+")

Memory = MutableMapping[str, str]


# The two tools are built separately and share only the session, so what is remembered hangs on that, and goes with it.
_SESSIONS: Final[weakref.WeakKeyDictionary[object, Memory]] = weakref.WeakKeyDictionary()
_CHANGING: Final = threading.Lock()


class MemoryConfig(Struct, frozen=True, kw_only=True):
    """The options of ``set_memory`` and ``get_memory``; give both the same."""

    path: Annotated[str, Meta(min_length=1)] | None = None
    """A JSON file that keeps the memory between sessions; without it, memory ends with the session."""


def _build_set(config: MemoryConfig) -> Tool[..., object]:
    @tool(
        examples=(
            "remember that {key} is called {value}",
            "remember that {key} is {value}",
            "note that {key} is {value}",
        )
    )
    def set_memory(key: str, value: str, context: ToolContext) -> dict[str, str]:
        """Remember a fact for later.

        Args:
            key: What the fact is about, in a few words, such as "dog" or "favourite colour".
            value: What to remember about it, such as "Rex" or "green".
        """
        name = _folded(key)
        if not name or len(name) > _MAX_KEY:
            raise ToolError(f"the key must have 1 to {_MAX_KEY} characters")
        if len(value) > _MAX_VALUE:
            raise ToolError(f"the value is longer than {_MAX_VALUE} characters; remember less of it")
        with _opened(config, context, write=True) as memory:
            if name not in memory and len(memory) >= _MAX_KEYS:
                raise ToolError(f"the memory is full: it holds {_MAX_KEYS} facts")
            memory[name] = value
        return {"text": f"I will remember that: {name}, {value}.", "key": name, "value": value}

    return set_memory


def _build_get(config: MemoryConfig) -> Tool[..., object]:
    @tool(
        examples=(
            "what is {key} called?",
            "what is my {key}?",
            "what do you remember about {key}?",
        )
    )
    def get_memory(key: str, context: ToolContext) -> dict[str, str | list[str] | None]:
        """Recall a fact that was remembered before.

        Args:
            key: What the fact is about, in a few words, such as "dog" or "favourite colour".
        """
        name = _folded(key)
        with _opened(config, context, write=False) as memory:
            if name in memory:
                return {"text": f"{name}: {memory[name]}", "key": name, "value": memory[name]}
            near = _nearest(name, list(memory))
        text = f"Nothing is remembered as {name!r}"
        text += f"; the nearest are {', '.join(near)}." if near else "."
        return {"text": text, "key": name, "value": None, "nearest": near}

    return get_memory


@contextlib.contextmanager
def _opened(config: MemoryConfig, context: ToolContext, *, write: bool) -> Iterator[Memory]:
    """Give the memory of this session or of the file, and keep what changed in it."""
    if config.path is None:
        yield _session_memory(context.session)
        return
    path = Path(config.path).expanduser()
    # Both tools run in worker threads, so reading, changing and writing is one step.
    with _lock(str(path.absolute())):
        memory = _read(path)
        yield memory
        if write:
            _write(path, memory)


def _session_memory(session: object) -> Memory:
    if session is None:
        raise ToolError("there is no session to remember in: give both memory tools the option path")
    with _CHANGING:
        return _SESSIONS.setdefault(session, {})


@functools.cache
def _lock(path: str) -> threading.Lock:
    return threading.Lock()


def _read(path: Path) -> Memory:
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MAX_FILE + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ToolError(f"the memory file {path} cannot be read: {error.strerror}") from error
    if len(raw) > _MAX_FILE:
        raise ToolError(f"the memory file {path} is larger than {_MAX_FILE} bytes; it was not changed")
    try:
        memory = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ToolError(
            f"the memory file {path} is no valid JSON and was left as it is: mend it, or move it away"
        ) from error
    if not isinstance(memory, dict) or not all(isinstance(value, str) for value in memory.values()):
        raise ToolError(f"the memory file {path} must hold an object of texts and was left as it is: mend or move it")
    return memory


def _write(path: Path, memory: Memory) -> None:
    data = json.dumps(dict(memory), ensure_ascii=False, indent=2) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data.encode(), mode=None if path.exists() else 0o600)
    except OSError as error:
        raise ToolError(f"the memory file {path} cannot be written: {error.strerror}") from error


def _folded(key: str) -> str:
    words = " ".join(key.replace("_", " ").replace("\u2019", "'").casefold().rstrip("?.! ").split())
    return _LEADING.sub("", words)


def _nearest(name: str, keys: list[str]) -> list[str]:
    words = set(name.split())
    sharing = [key for key in keys if words & set(key.split())]
    similar = difflib.get_close_matches(name, keys, n=5, cutoff=0.5)
    return list(dict.fromkeys([*similar, *sharing]))[:5]


def _factory(
    name: str, build: Callable[[MemoryConfig], Tool[..., object]], description: str
) -> Factory[Tool[..., object]]:
    return Factory(name, build, MemoryConfig, description)


SET_MEMORY: Final = _factory("set_memory", _build_set, "Remember a fact for later.")
"""The tool ``set_memory``."""

GET_MEMORY: Final = _factory("get_memory", _build_get, "Recall a fact that was remembered before.")
"""The tool ``get_memory``."""
