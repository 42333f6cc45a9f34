"""What each code means, with a text that gives it and the way out; the reference and ``check --explain`` show it."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

_HEAD: Final = "agent: {instructions: Be brief.}\nprovider: {use: local}\n"


class Explanation(Struct, frozen=True, kw_only=True):
    """What there is to say of one code."""

    meaning: str
    """What is wrong."""
    example: str
    """A configuration that gives it; empty where a text cannot show it."""
    mend: str
    """What to do."""


def _of(meaning: str, example: str, mend: str, *, head: bool = True) -> Explanation:
    return Explanation(meaning=meaning, example=_HEAD + example if head and example else example, mend=mend)


EXPLANATIONS: Final[Mapping[str, Explanation]] = {
    "AK001": _of(
        "The text is not YAML: a quote or a bracket is not closed, or a line fits none of the blocks around it.",
        "session: {output: text\ntools: []\n",
        "Mend the place that is shown. What stands around it is checked all the same.",
    ),
    "AK002": _of(
        "A line is indented with a tab, which YAML does not take.",
        "session:\n\toutput: text\n",
        "Indent with spaces; `agentkit check --fix` does, where it is sure how many are meant.",
    ),
    "AK003": _of(
        "A block has the same key twice; YAML readers differ in which one they take, so neither is taken.",
        "session: {output: text}\nsession: {voice: marin}\n",
        "Keep one, or put what both say into one block.",
    ),
    "AK004": _of(
        "A text has or begins with marks that mean something in YAML: `: `, `@`, `*`, `%`, or `${` between { } or [ ].",
        "session: {voice: ${VOICE:-marin}}\n",
        "Put the whole value in quotes; `agentkit check --fix` does.",
    ),
    "AK005": _of(
        "A YAML tag (`!name`) asks for an object; a configuration is plain data and makes none.",
        "session: {voice: !!str marin}\n",
        "Delete the tag. Quote the value to make a text of it.",
    ),
    "AK006": _of(
        "A merge key (`<<`) is not part of YAML 1.2.",
        "session: &base {output: text}\nlimits:\n  <<: *base\n",
        "Build on another file with `extends`, or take a list over with `inherit`.",
    ),
    "AK007": _of(
        "The file holds more than one document; only the first is read.",
        "---\nagent: {}\n",
        "Put each into a file of its own. One can build on another with `extends`.",
    ),
    "AK008": _of(
        "There is nothing in the file, or nothing but comments.",
        "# nothing yet\n",
        "Write at least `agent:` and `provider:`, or a `preset:`.",
        head=False,
    ),
    "AK009": _of(
        "The file cannot be read as text: it is missing, too large (1 MiB), not UTF-8, or has a character that YAML "
        "forbids.",
        "session: {voice: mar\x07in}\n",
        "Save it as UTF-8, delete the character, or write it as an escape in double quotes.",
    ),
    "AK010": _of(
        "Lists and maps nest deeper than 50, or aliases repeat more than 10,000 values.",
        "session: &x {voice: *x}\n",
        "Nest less. An alias may not stand inside of what it repeats.",
    ),
    "AK011": _of(
        "An override of the command line is not `key=value`.",
        "",
        "Write `--set session.voice=marin`.",
    ),
    "AK012": _of(
        "A space is missing behind a colon or behind the dash of a list's item.",
        "session:\n  output:text\n",
        "Write `output: text` and `- use: now`; `agentkit check --fix` does.",
    ),
    "AK013": _of(
        "Quotation marks that a word processor writes do not quote in YAML; they become a part of the text.",
        "session: {voice: \u201cmarin\u201d}\n",
        'Write straight quotes: "marin". Where the marks are meant, put straight ones around them.',
    ),
    "AK101": _of(
        "No such key exists here.",
        "session: {voise: marin}\n",
        "Take the key that is proposed, or one of those that are listed; a misspelt one is mended by "
        "`agentkit check --fix`.",
    ),
    "AK102": _of(
        "The value is of another type than the key takes.",
        "limits: {turns: many}\n",
        "Write the type that the message names. Durations and sizes need a unit (5s, 1MiB), truth values are true and "
        "false.",
    ),
    "AK103": _of(
        "A key that has to be there is not.",
        "provider: {use: local}\n",
        "Write it, or take a preset or a file that brings it.",
        head=False,
    ),
    "AK104": _of(
        "The value is none of those that the key takes.",
        "session: {output: voice}\n",
        "Take one of those that are listed.",
    ),
    "AK105": _of(
        "The value is of the right type, and too small, too large, too short or too long.",
        "session: {speed: 3}\n",
        "Keep to the bounds that the message names.",
    ),
    "AK106": _of(
        "The key exists, in another block.",
        "agent: {instructions: Be brief., voice: marin}\nprovider: {use: local}\n",
        "Move it to the block that is named.",
        head=False,
    ),
    "AK201": _of(
        "No installed plugin gives a tool, middleware, preset, provider or responder of this name, or no agent has it.",
        "tools: [{use: wether}]\n",
        "Take the name that is proposed, install the package that is named, or see `agentkit plugins`.",
    ),
    "AK202": _of(
        "Two plugins give the same name, so it belongs to neither.",
        "",
        "Write `plugin:name`, as `basics:now`.",
    ),
    "AK203": _of(
        "A plugin is installed and cannot be used: its import fails, or it gives something of a wrong kind.",
        "",
        "See `agentkit plugins`; the fault is the plugin's, and its author needs the message.",
    ),
    "AK204": _of(
        "A file that the configuration names cannot be read.",
        "extends: gone.yaml\n",
        "Check the path; it is relative to the file that names it.",
    ),
    "AK205": _of(
        "A file that the configuration names is outside of the configuration's own folder.",
        "extends: ../../elsewhere.yaml\n",
        "Move the file below the configuration's folder.",
    ),
    "AK206": _of(
        "Files extend each other in a loop, or more than 5 deep.",
        "",
        "Let each file build on files that do not build on it.",
    ),
    "AK207": _of(
        "What `python:` names cannot be found, imported or used as a tool.",
        "tools: [{python: ./tools.py}]\n",
        "Write `./file.py:function` or `package.module:function`.",
    ),
    "AK208": _of(
        "A plugin has read its options and refuses them.",
        "",
        "Change what the message names, below `with:`.",
    ),
    "AK209": _of(
        "A key is for a package that is not installed.",
        "",
        "Install the package with the command that is shown, or delete the key.",
    ),
    "AK210": _of(
        "A configuration that came by stdin names code of its own with `python:`, which would be run.",
        "",
        "Read it first. Then say `--trust`, or write it into a file.",
    ),
    "AK301": _of(
        "An environment variable is needed and not set.",
        "session: {voice: '${A_VOICE_THAT_IS_NOT_SET}'}\n",
        "Export it, or give a default: `${NAME:-default}`.",
    ),
    "AK302": _of(
        "A secret stands in the file, where it is easily shared by mistake. A warning.",
        "tools: [{hosted_mcp: {label: x, url: 'https://example.org', authorization: abc}}]\n",
        'Put it into the environment, and write "${NAME}".',
    ),
    "AK303": _of(
        "A `${...}` is not written right, or the variable does not hold text.",
        "session: {voice: '${VOICE'}\n",
        "Write `${NAME}`, `${NAME:-default}` or `${NAME:?message}`; `$$` is a dollar.",
    ),
    "AK304": _of(
        "The instructions or the greeting have a `{{name}}` that `agent.variables` does not give.",
        "agent: {greeting: 'Hello, {{name}}'}\nprovider: {use: local}\n",
        "Give the variable, or write `\\{{name}}` for the braces themselves.",
        head=False,
    ),
    "AK401": _of(
        "Two keys or values contradict each other.",
        "session: {turn: {mode: push_to_talk, silence_ms: 500}}\n",
        "Delete one of the two.",
    ),
    "AK402": _of(
        "An audio format is asked for with a rate that it does not have.",
        "session: {input_format: g711_ulaw@24000}\n",
        "G.711 has 8000 samples a second: write `g711_ulaw@8000`.",
    ),
    "AK403": _of(
        "Options (`with:`) are given to something that takes none.",
        "",
        "Delete `with:`.",
    ),
    "AK404": _of(
        "Two tools of one agent, two servers or two agents have the same name.",
        "tools:\n  - hosted_mcp: {label: x, url: 'https://example.org'}\n"
        "  - hosted_mcp: {label: x, url: 'https://example.com'}\n",
        "Give one of them another `name:`, `prefix:` or `label:`.",
    ),
    "AK405": _of(
        "A key of a tool's policy does not fit what the tool does: what writes is not run again, what is dangerous is "
        "asked for.",
        "tools: [{use: x, effects: dangerous, approve: never}]\n",
        "Change the policy as the hint says, or what the tool is said to do.",
    ),
    "AK406": _of(
        "A middleware stands under `guardrails:` and lets everything pass where it fails itself.",
        "",
        "Write it under `middleware:`, or take a guard whose class says `critical = True`.",
    ),
    "AK407": _of(
        "An agent under `agents:` is in nobody's `handoff`, so no conversation comes to it. A warning.",
        "agents: {billing: {instructions: Be exact.}}\n",
        "Name it in `handoff` of the agent that may hand over to it, or delete it.",
    ),
}
"""What each code means, in the order of ``CODES``."""
