"""``configuration.md``: every key of the file, from the Structs that it is checked against."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from agentkit.config import schema
from agentkit.config.describe import Option, default_in_words, field_docs, options_of
from agentkit.docs.pages.writing import fenced, inline, page, summary, table
from agentkit.plugins import Plugins
from agentkit.registry import Factory

_HEAD: Final = ("key", "type", "default", "meaning")
_SMALLEST: Final = """\
agent: {instructions: Answer in one sentence.}
provider: {use: local}
"""
_BLOCKS: Final = (
    ("agent", schema.Agent),
    ("agents", schema.FurtherAgent),
    ("provider", schema.Provider),
    ("session", schema.Session),
    ("tools", schema.ToolItem),
    ("middleware", schema.Layer),
    ("guardrails", schema.Guardrail),
    ("limits", schema.Limits),
    ("recording", schema.Recording),
    ("audio", schema.Audio),
    ("serve", schema.Serve),
)
"""The blocks of a file that have a section, with the class of each, or of each of its items."""
_TOOLS: Final = (
    ("use", schema.PluginTool),
    ("python", schema.PythonTool),
    ("mcp", schema.McpTool),
    ("hosted_mcp", schema.HostedTool),
)
_EXAMPLES: Final = {
    "agents": """\
agent:
  name: desk
  instructions: You are the front desk. Hand over whoever asks about a bill.
  handoff: [billing]
agents:
  billing:
    description: Questions about bills.
    instructions: You know about bills.
provider: {use: local}
""",
    "session": """\
agent: {instructions: Answer in one sentence.}
provider: {use: openai}
session:
  output: audio
  voice: marin
  turn: {mode: server_vad, silence_ms: 600}
""",
    "limits": """\
agent: {instructions: Answer in one sentence.}
provider: {use: openai}
limits:
  session_time: 15m
  turns: 200
  cost_usd: 0.50
  rates: {input: 4, output: 16, audio_input: 32, audio_output: 64}
""",
}
_RULES: Final = (
    (
        "Building on others",
        inline(
            """
            `preset:` names partial configurations that plugins bring, and `extends:` files (relative to this one,
            at most five deep). From the bottom up: presets, `extends`, this file, `--set key.path=value`. Maps are
            merged, key by key; a single value replaces the one below; a list replaces the one below too, unless it
            has an item `inherit`, which stands for it: `tools: [inherit, {use: weather}]`. `key: null` puts the
            default back. A provider or a turn mode that differs from the one below takes none of its options over.
            `agentkit show --origin` tells where each value comes from.
            """
        ),
    ),
    (
        "Variables",
        inline(
            """
            In any value, not in keys: `${NAME}` is a variable of the environment that must be set,
            `${NAME:-default}` has a default, `${NAME:?what to do}` a message, and `$$` is a dollar. Inside of `{ }`
            and `[ ]` write `"${NAME}"`, in quotes. Where a variable is the whole value, the key decides the type:
            `port: ${PORT:-8787}` is a number. What is switched off by `when: false` needs no variables. `{{name}}`
            in instructions and greetings is another thing: a text of `variables:`.
            """
        ),
    ),
    (
        "Durations and sizes",
        "`250ms`, `5s`, `15m`, `2h`, `30d`, and `512B`, `64KiB`, `1MiB`, `2GB`. A number without a unit is an error.",
    ),
    (
        "YAML",
        inline(
            """
            It is read as YAML 1.2: `yes`, `no`, `on` and `off` are texts, and `12:30` is one. A key that is given
            twice, a tag and `<<` are errors. Anchors and aliases work. The first line `# yaml-language-server:
            $schema=.agentkit/schema.json` lets an editor complete the keys; `agentkit schema --out
            .agentkit/schema.json` writes that file for the plugins which are installed.
            """
        ),
    ),
)


def configuration_page() -> str:
    """Return the page."""
    sections = {name for name, _ in _BLOCKS}
    top = [each for each in options_of(schema.Config) if "." not in each.name and "[]" not in each.name]
    parts = [
        inline(
            """
            The whole file can be as small as this; `agentkit check` finds every mistake in it, and `agentkit show`
            prints what it comes to.
            """
        ),
        fenced(_SMALLEST, "yaml"),
        inline(
            """
            A name with a dot is a key of the block before the dot: `instructions.file` is `instructions: {file: ...}`,
            and what is required of a block is required where the block is there. `none` says that nothing is sent or
            done where the key is left out.
            """
        ),
        "## The file",
        _rows(top, link=sections),
    ]
    for name, cls in _BLOCKS:
        parts += _section(name, cls)
    for title, text in _RULES:
        parts += [f"## {title}", text]
    return page("Configuration", *parts, *_own_options())


def _section(name: str, cls: type[Struct]) -> Iterable[str]:
    yield f"## {name}"
    yield (
        inline(field_docs(schema.Config).get(name, ""))
        if name in ("tools", "middleware", "guardrails")
        else summary(cls)
    )
    if name in _EXAMPLES:
        yield fenced(_EXAMPLES[name], "yaml")
    options = [each for each in options_of(cls) if not each.name.startswith("tools[]")]
    if name != "tools":
        yield _rows(options)
        return
    yield "An item is one of these, by the key that it has:"
    common = {each.name for each in options}
    for key, kind in _TOOLS:
        yield f"**`{key}`**: {summary(kind)}"
        yield _rows(each for each in options_of(kind) if each.name not in common)
    yield "The first three can also say this; what they leave out stays as the tool's own code has it:"
    yield _rows(options)


def _own_options() -> Iterable[str]:
    """Give the tables of what agentkit itself brings; those of plugins are in their READMEs."""
    plugins = Plugins.from_modules({})
    yield "## Options of agentkit's own (`with:`)"
    yield "`agentkit plugins NAME` shows those of every plugin."
    for kind in ("providers", "responders", "middleware"):
        for name in plugins.names(kind):
            item: object = plugins.get(kind, name)
            assert isinstance(item, Factory)
            if item.config is not None:
                yield f"### {kind[:-1] if kind.endswith('s') else kind} `{name}`"
                yield inline(item.description)
                yield _rows(options_of(item.config))


def _rows(options: Iterable[Option], *, link: Iterable[str] = ()) -> str:
    linked = set(link)
    return table(
        _HEAD,
        [
            (
                f"[`{each.name}`](#{each.name})" if each.name in linked else f"`{each.name}`",
                each.type.replace(", not empty", ""),
                "" if each.name == "with" else default_in_words(each, code="`"),
                each.description,
            )
            for each in options
        ],
    )
