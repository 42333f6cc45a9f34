"""The shape of a configuration file, as frozen Structs; the strings below the fields are its reference.

Rule: every key here is in force. A key that a later version has stands in ``PLANNED``, an error until then.
``None`` means "not said": the preset's or the server's own default holds.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct, field

from agentkit.config.nodes import Block
from agentkit.values import AudioFormat, Timeout

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
"""A name of something; never empty."""

Count: TypeAlias = Annotated[int, Meta(ge=1)]
"""A whole number from 1."""

Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=60_000)]
"""A whole number of milliseconds, up to a minute."""


class TextFile(Struct, frozen=True, kw_only=True):
    """A text that stands in a file of its own."""

    file: Name
    """The file's path, relative to the configuration that names it."""


class Agent(Struct, frozen=True, kw_only=True):
    """Who the agent is."""

    name: Name | None = None
    """How the terminal and the logs call it."""
    instructions: str | TextFile | None = None
    """What the model is told about its task; ``{{name}}`` puts in a variable."""
    variables: dict[str, str] = field(default_factory=dict)
    """Texts for ``{{name}}`` in the instructions and the greeting."""
    greeting: str | None = None
    """What the agent says first, before the user speaks."""


class Provider(Struct, frozen=True, kw_only=True):
    """Which Realtime server is used."""

    use: Name
    """The name of a provider: ``local`` needs no key."""
    options: Block = field(name="with")
    """The provider's own options."""


class Transcription(Struct, frozen=True, kw_only=True):
    """How the user's speech is written down."""

    model: Name | None = None
    """The model that transcribes."""
    language: Name | None = None
    """The language that is spoken, as ``en``."""
    prompt: str | None = None
    """Words and names that help the transcription."""


class Turn(Struct, frozen=True, kw_only=True):
    """How the end of the user's turn is found."""

    mode: Literal["server_vad", "semantic_vad", "push_to_talk"] = "server_vad"
    """By silence, by meaning, or by the application itself."""
    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    """How loud speech must be; ``server_vad`` only."""
    silence_ms: Milliseconds | None = None
    """How much silence ends a turn; ``server_vad`` only."""
    prefix_ms: Milliseconds | None = None
    """How much audio before the speech is kept; ``server_vad`` only."""
    eagerness: Literal["low", "medium", "high", "auto"] | None = None
    """How soon the agent answers; ``semantic_vad`` only."""
    interrupt: bool | None = None
    """Whether the user's speech stops the agent; not for ``push_to_talk``."""


class ToolName(Struct, frozen=True, kw_only=True):
    """One tool that has to be called."""

    tool: Name
    """The tool's name."""


class Session(Struct, frozen=True, kw_only=True):
    """What the Realtime server is asked for."""

    output: Literal["audio", "text"] | None = None
    """What the agent answers with; audio always brings its transcript."""
    voice: Name | None = None
    """The voice, by the provider's name for it."""
    transcription: Transcription | None = None
    """Writes down what the user says; off where it is left out."""
    turn: Turn | None = None
    """How the end of the user's turn is found."""
    input_format: AudioFormat | None = None
    """The audio that is sent: ``pcm16@24000``, ``g711_ulaw@8000`` or ``g711_alaw@8000``."""
    output_format: AudioFormat | None = None
    """The audio that comes back."""
    noise_reduction: Literal["near_field", "far_field"] | None = None
    """Cleans the input: near for headsets, far for a room."""
    tool_choice: Literal["auto", "none", "required"] | ToolName | None = None
    """Whether the model may, must not or must call tools, or the one that it must call."""
    max_output_tokens: Count | Literal["inf"] | None = None
    """The longest answer."""
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    """How varied the answers are; where the provider's dialect has it."""
    speed: Annotated[float, Meta(ge=0.25, le=1.5)] | None = None
    """How fast the agent speaks."""


class PluginTool(Struct, frozen=True, kw_only=True):
    """A tool that a plugin brings."""

    use: Name
    """The tool's name, or ``plugin:name``."""
    options: Block = field(name="with")
    """The tool's own options."""
    name: Name | None = None
    """What the model calls it, where its own name does not fit."""
    prefix: Name | None = None
    """Put before its name."""
    timeout: Timeout | None = None
    """How long one call may take."""
    optional: bool = False
    """Whether the agent starts without it, with a warning, where it cannot be had."""
    when: bool = True
    """Whether it is there at all; made for ``"${VARIABLE:-false}"``."""


class PythonTool(Struct, frozen=True, kw_only=True):
    """A tool that is a Python function of yours."""

    python: Name
    """``./file.py:function``, relative to this configuration, or ``package.module:function``."""
    name: Name | None = None
    """What the model calls it, where its own name does not fit."""
    prefix: Name | None = None
    """Put before its name."""
    timeout: Timeout | None = None
    """How long one call may take."""
    optional: bool = False
    """Whether the agent starts without it, with a warning, where it cannot be had."""
    when: bool = True
    """Whether it is there at all; made for ``"${VARIABLE:-false}"``."""


class Layer(Struct, frozen=True, kw_only=True):
    """A middleware that a plugin brings."""

    use: Name
    """The middleware's name, or ``plugin:name``."""
    options: Block = field(name="with")
    """The middleware's own options."""
    when: bool = True
    """Whether it is there at all; made for ``"${VARIABLE:-false}"``."""


class Limits(Struct, frozen=True, kw_only=True):
    """What ends or bounds a session."""

    session_time: Timeout | None = None
    """How long a session may last."""
    turns: Count | None = None
    """How many turns the user may take."""
    tool_calls_per_turn: Count | None = None
    """How many tool calls one turn may make."""


class Config(Struct, frozen=True, kw_only=True):
    """A whole configuration file."""

    version: Literal[1] = 1
    """The version of this shape."""
    extends: Name | tuple[Name, ...] | None = None
    """A file to build on, or several (later wins); relative to this one."""
    preset: Name | tuple[Name, ...] | None = None
    """A preset to start from, or several (later wins)."""
    agent: Agent
    """Who the agent is."""
    provider: Provider
    """Which Realtime server is used."""
    session: Session = field(default_factory=Session)
    """What the Realtime server is asked for."""
    tools: tuple[PluginTool | PythonTool, ...] = ()
    """What the agent can do; ``inherit`` puts the list of what this file builds on in its place."""
    middleware: tuple[Layer, ...] = ()
    """What every event passes; the first is next to your code, the last next to the wire."""
    limits: Limits = field(default_factory=Limits)
    """What ends or bounds a session."""


_TOOL: Final = frozenset({"approve", "retries", "on_interrupt", "effects", "concurrency", "reply", "idempotent", "mcp"})

PLANNED: Final[Mapping[object, frozenset[str]]] = {
    Config: frozenset({"agents", "audio", "guardrails", "recording", "serve"}),
    Agent: frozenset({"handoff"}),
    Provider: frozenset({"reconnect"}),
    PluginTool: _TOOL,
    PythonTool: _TOOL,
    Limits: frozenset({"idle_time", "cost_usd", "on_limit", "rates"}),
}
"""Keys that are decided and not in force yet."""

MISSING: Final[Mapping[tuple[object, str], str]] = {
    (Config, "agent"): "write `agent: {instructions: ...}`",
    (
        Config,
        "provider",
    ): "write `provider: {use: local}`, which needs no key, or take a preset that brings one",
}
"""What to write where a required key is missing."""

SWITCHED: Final = (("tools",), ("middleware",))
"""The lists whose items ``when: false`` switches off, with whatever variables they would need."""

TURN_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "server_vad": frozenset({"threshold", "silence_ms", "prefix_ms", "interrupt"}),
    "semantic_vad": frozenset({"eagerness", "interrupt"}),
    "push_to_talk": frozenset(),
}
"""Which keys of ``turn`` go with which ``mode``."""


def decisive_key(path: tuple[str, ...]) -> str | None:
    """Return the key of a block that decides what its other keys mean, where it has one."""
    return {("provider",): "use", ("session", "turn"): "mode"}.get(path)


def left_behind(path: tuple[str, ...], choice: str) -> frozenset[str]:
    """Return what a block does not take over from below once its decisive key says something else."""
    if path == ("provider",):
        return frozenset({"with"})
    return frozenset().union(*TURN_KEYS.values()) - TURN_KEYS.get(choice, frozenset())
