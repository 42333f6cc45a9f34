"""The shape of a configuration file, as frozen Structs; the strings below the fields are its reference.

Rule: every key here is in force, or an error says what it needs.
``None`` means "not said": the preset's or the server's own default holds.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct, field

from agentkit.config.nodes import Block
from agentkit.values import SIZE, AudioFormat, Duration, Secret, Timeout

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
    handoff: tuple[Name, ...] = ()
    """The agents of ``agents:`` that it may hand the conversation over to, each by a tool that is made for it."""


class Reconnect(Struct, frozen=True, kw_only=True):
    """How a session goes on when its connection is lost."""

    attempts: Annotated[int, Meta(ge=0)] = 8
    """How often it is tried in a row; 0 ends the session with its connection."""
    first_wait: Duration = 0.5
    """The longest wait before the first try; it doubles with each."""
    max_wait: Duration = 20.0
    """The longest wait before any."""


class Provider(Struct, frozen=True, kw_only=True):
    """Which Realtime server is used."""

    use: Name
    """The name of a provider: ``local`` needs no key."""
    options: Block = field(name="with")
    """The provider's own options."""
    reconnect: Reconnect | None = None
    """What is done when the connection is lost; the provider's own ways where it is left out."""


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


class Approve(Struct, frozen=True, kw_only=True):
    """Who decides whether a call runs, and what happens meanwhile."""

    mode: Literal["never", "ask", "always_ask_once"] = "ask"
    """``ask`` before each call, ``always_ask_once`` before the first one of a session, or ``never``."""
    timeout: Timeout | None = None
    """How long a decision is waited for; two minutes where nothing is said."""
    otherwise: Literal["reject", "approve"] = "reject"
    """What holds where nobody has decided by then; a ``dangerous`` tool can only be rejected."""
    filler: str | None = None
    """What the agent says while it waits."""


class ToolItem(Struct, frozen=True, kw_only=True):
    """What every item of ``tools`` can say; what it leaves out stays as the tool's own code has it."""

    name: Name | None = None
    """What the model calls it, where its own name does not fit; not for a set of tools."""
    prefix: Name | None = None
    """Put before the name of the tool, or of each tool of a set."""
    timeout: Timeout | None = None
    """How long one call may take."""
    approve: Literal["never", "ask", "always_ask_once"] | Approve | None = None
    """Who has to agree to a call; a ``dangerous`` tool is asked for where nothing is said."""
    effects: Literal["reads", "writes", "dangerous"] | None = None
    """What it does to the world; ``dangerous`` never runs without a person's approval."""
    idempotent: bool | None = None
    """Whether it may be run again for the same call."""
    retries: Annotated[int, Meta(ge=0, le=10)] | None = None
    """How often it is run again where it failed; for what ``reads`` or is ``idempotent``."""
    concurrency: Count | None = None
    """How many of its calls may run at once in a session."""
    on_interrupt: Literal["finish", "cancel", "finish_silently"] | None = None
    """What becomes of a call that runs when the user cuts the agent off."""
    reply: Literal["wait", "speak", "silent"] | None = None
    """What follows a result: one response for all, one of its own, or none."""
    background: bool | None = None
    """Whether the turn goes on without it; the result is spoken when nobody speaks."""
    progress: Literal["events", "context"] | None = None
    """Who is told of progress: the application, or the model as well."""
    filler: str | None = None
    """What the agent says while a background call begins."""
    max_result: Annotated[int, Meta(ge=1, extra={"unit": SIZE})] | None = None
    """How much of a result the model is told."""
    secret: tuple[Name, ...] | None = None
    """The arguments that are shown to nobody but the tool."""
    optional: bool = False
    """Whether the agent starts without it, with a warning, where it cannot be had."""
    when: bool = True
    """Whether it is there at all; made for ``"${VARIABLE:-false}"``."""


class PluginTool(ToolItem, frozen=True, kw_only=True):
    """A tool, or a set of tools, that a plugin brings."""

    use: Name
    """The tool's name, or ``plugin:name``."""
    options: Block = field(name="with")
    """The tool's own options."""


class PythonTool(ToolItem, frozen=True, kw_only=True):
    """A tool that is a Python function of yours, or a set of tools that is a ``Toolset`` class of yours."""

    python: Name
    """``./file.py:function``, relative to this configuration, or ``package.module:function``."""


class McpTool(ToolItem, frozen=True, kw_only=True):
    """The tools of an MCP server: ``{mcp: {...}}`` is ``{use: mcp, with: {...}}``."""

    mcp: Block
    """How the server is started or reached, and which of its tools are taken."""


class HostedMcp(Struct, frozen=True, kw_only=True):
    """An MCP server that the Realtime server calls by itself."""

    label: Name
    """How the server is called; each of an agent's has another."""
    url: Name | None = None
    """Where it is; either this or ``connector``."""
    connector: Name | None = None
    """The id of a connector that the Realtime server's vendor keeps."""
    authorization: Secret | None = None
    """The token that it wants."""
    headers: dict[str, Secret] = field(default_factory=dict)
    """Headers of every request to it."""
    include: tuple[Name, ...] = ()
    """The tools that may be called; all of them where none is named."""
    approve: Literal["never", "ask"] = "ask"
    """Whether a person is asked before each call."""
    description: str | None = None
    """What the model is told of it."""


class HostedTool(Struct, frozen=True, kw_only=True):
    """The tools of an MCP server that run where the Realtime server runs, and not here."""

    hosted_mcp: HostedMcp
    """Which server."""
    when: bool = True
    """Whether it is there at all; made for ``"${VARIABLE:-false}"``."""


AnyToolItem: TypeAlias = PluginTool | PythonTool | McpTool | HostedTool
"""An item of ``tools``, by the key that says what it is."""


class FurtherAgent(Struct, frozen=True, kw_only=True):
    """An agent to hand over to; what it leaves out is as ``agent:`` has it, but for ``greeting`` and ``handoff``."""

    description: str | None = None
    """When to hand over to it, for the model; its name says it where this is left out."""
    instructions: str | TextFile | None = None
    """What the model is told about its task from then on."""
    variables: dict[str, str] = field(default_factory=dict)
    """Texts for ``{{name}}``, besides those of ``agent:``."""
    greeting: str | None = None
    """What it says when the conversation has come to it."""
    voice: Name | None = None
    """Its voice, where the server can still change it: not after anything was spoken."""
    tools: tuple[AnyToolItem, ...] | None = None
    """What it can do; ``inherit`` puts the file's own ``tools:`` in its place, which hold where this is left out."""
    handoff: tuple[Name, ...] | None = None
    """Whom it may hand over to; the agent of ``agent:`` where this is left out."""


class Layer(Struct, frozen=True, kw_only=True):
    """A middleware that a plugin brings."""

    use: Name
    """The middleware's name, or ``plugin:name``."""
    options: Block = field(name="with")
    """The middleware's own options."""
    when: bool = True
    """Whether it is there at all; made for ``"${VARIABLE:-false}"``."""


class Guardrail(Struct, frozen=True, kw_only=True):
    """A middleware that has the last word on each way, and stops what it cannot check."""

    use: Name
    """The guard's name, or ``plugin:name``; only a middleware that is ``critical`` can be one."""
    options: Block = field(name="with")
    """The guard's own options."""
    at: Name | tuple[Name, ...] | None = None
    """Where it looks; the guard's own option of this name."""
    action: Name | None = None
    """What it does; the guard's own option of this name."""
    when: bool = True
    """Whether it is there at all; made for ``"${VARIABLE:-false}"``."""


Rate: TypeAlias = Annotated[float, Meta(ge=0)]
"""What a million tokens cost, in US dollars."""


class Rates(Struct, frozen=True, kw_only=True):
    """What the model's tokens cost, in US dollars a million; those of text have to be said in a file."""

    input: Rate
    """Text and images that it reads."""
    output: Rate
    """Text that it writes."""
    audio_input: Rate | None = None
    """Audio that it hears; as ``input`` where it is left out."""
    audio_output: Rate | None = None
    """Audio that it speaks; as ``output`` where it is left out."""
    cached: Rate | None = None
    """What it has read before; as ``input`` where it is left out."""
    cached_audio: Rate | None = None
    """What it has heard before; as ``audio_input`` where it is left out."""


class Limits(Struct, frozen=True, kw_only=True):
    """What ends or bounds a session."""

    session_time: Timeout | None = None
    """How long a session may last."""
    idle_time: Timeout | None = None
    """How long nothing may be said or done, by the user or by the agent."""
    turns: Count | None = None
    """How many turns the user may take."""
    cost_usd: Annotated[float, Meta(gt=0)] | None = None
    """How much a session may cost, by the ``rates``."""
    rates: Rates | None = None
    """What the model's tokens cost; ``cost_usd`` needs them."""
    on_limit: Literal["say_goodbye", "close"] = "close"
    """What the agent does when one of these is reached: it says goodbye first, or the session ends at once."""
    goodbye: str | None = None
    """What it says then; words of its own where it is left out."""
    tool_calls_per_turn: Count | None = None
    """How many tool calls one turn may make; 32 where nothing is said."""
    tool_calls_per_session: Count | None = None
    """How many tool calls one session may make."""
    tool_calls_at_once: Count | None = None
    """How many tools may run at once; further calls wait."""
    same_calls_per_turn: Count | None = None
    """How many responses of one turn may make the very same call; 5 where nothing is said."""


class Recording(Struct, frozen=True, kw_only=True):
    """A recording of each session: the ``recorder`` of agentkit-realtime-observe as the first middleware."""

    mode: Literal["none", "events", "events_and_audio"] = "none"
    """What is recorded."""
    path: Name = "recordings/{date}-{session}"
    """Where, without the ending; ``{session}`` and ``{date}`` are filled in."""
    keep: Timeout | None = None
    """How long a recording is kept; older ones beside it go when a session begins. For ever where it is left out."""
    redact: bool = True
    """Whether card numbers, e-mail addresses and the like are left out of the events."""


class AudioInput(Struct, frozen=True, kw_only=True):
    """The microphone."""

    device: Name | Annotated[int, Meta(ge=0)] = "default"
    """Its name, a part of it, or its number in ``agentkit devices``."""


class AudioOutput(Struct, frozen=True, kw_only=True):
    """The speaker."""

    device: Name | Annotated[int, Meta(ge=0)] = "default"
    """Its name, a part of it, or its number in ``agentkit devices``."""
    volume: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """How loud, from 0 to 1."""


class Audio(Struct, frozen=True, kw_only=True):
    """Microphone and speaker, for ``agentkit run`` and ``agentkit serve``; a program of your own has its own."""

    input: AudioInput = field(default_factory=AudioInput)
    """The microphone."""
    output: AudioOutput = field(default_factory=AudioOutput)
    """The speaker."""
    echo: Literal["auto", "gate", "headphones", "aec"] = "auto"
    """What keeps the agent from hearing itself."""


class Serve(Struct, frozen=True, kw_only=True):
    """How ``agentkit serve`` offers the agent."""

    port: Annotated[int, Meta(ge=0, le=65535)] = 8787
    """The port; 0 takes any that is free."""
    allow_origins: tuple[Name, ...] = ()
    """The web pages that may connect, besides its own."""
    max_sessions: Count | None = None
    """How many sessions may be open at once."""


class Config(Struct, frozen=True, kw_only=True):
    """A whole configuration file."""

    version: Literal[1] = 1
    """The version of this shape."""
    extends: Name | tuple[Name, ...] | None = None
    """A file to build on, or several (later wins); relative to this one."""
    preset: Name | tuple[Name, ...] | None = None
    """A preset to start from, or several (later wins)."""
    plugins: tuple[Name, ...] | None = None
    """The plugins that may be used besides agentkit's own; all that are installed where it is left out."""
    agent: Agent
    """Who the agent is."""
    agents: dict[str, FurtherAgent] = field(default_factory=dict)
    """Further agents by name, for ``handoff``."""
    provider: Provider
    """Which Realtime server is used."""
    session: Session = field(default_factory=Session)
    """What the Realtime server is asked for."""
    tools: tuple[AnyToolItem, ...] = ()
    """What the agent can do; ``inherit`` puts the list of what this file builds on in its place."""
    middleware: tuple[Layer, ...] = ()
    """What every event passes; the first is next to your code, the last next to the wire."""
    guardrails: tuple[Guardrail, ...] = ()
    """What has the last word: nearest your code for what comes in, nearest the wire for what goes out, nearest the tool
    for calls."""
    limits: Limits = field(default_factory=Limits)
    """What ends or bounds a session."""
    recording: Recording = field(default_factory=Recording)
    """A recording of each session."""
    audio: Audio | None = None
    """Microphone and speaker."""
    serve: Serve | None = None
    """How ``agentkit serve`` offers the agent."""


MISSING: Final[Mapping[tuple[object, str], str]] = {
    (Config, "agent"): "write `agent: {instructions: ...}`",
    (
        Config,
        "provider",
    ): "write `provider: {use: local}`, which needs no key, or take a preset that brings one",
}
"""What to write where a required key is missing."""

SWITCHED: Final = (("tools",), ("middleware",), ("guardrails",), ("agents", "*", "tools"))
"""The lists whose items ``when: false`` switches off, with whatever they would need; ``*`` is any name."""

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
