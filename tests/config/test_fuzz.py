"""No text, however broken, gives anything but diagnostics."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agentkit.config import Diagnostic, diagnose, render_concise, render_full, render_json

SEED = """\
version: 1
preset: voice
agent:
  name: concierge
  instructions: |
    You help {{city}}.
  variables: {city: "${CITY:-Turin}"}
provider:
  use: openai
  with: {api_key: "${KEY:-x}", n: &a [1, 2]}
session:
  turn: {mode: server_vad, threshold: 0.5}
  input_format: pcm16@24000
  tool_choice: {tool: now}
tools:
  - inherit
  - use: now
    with: {allow: [example.org], timeout: 5s}
  - python: ./tools.py:hours
middleware:
  - {use: redact, when: "${W:-false}", with: {pattern: '\\d{16}'}}
limits: {session_time: 15m, turns: 8}
"""

# fmt: off
PIECES = st.sampled_from([
    "{", "}", "[", "]", ",", ": ", "- ", "? ", "\n", "\n  ", "\t", "'", "\"", "# ", "%YAML 9\n", "---\n", "...\n",
    "${", "${A}", "${A:-1}", "$$", "&a ", "*a", "!!x ", "! ", "|", ">", "<<: ", "@", "`", "{{", "}}", "inherit",
    "null", "~", "1e999", ".nan", "0x1", "true", "5s", "extends: a.yaml\n", "preset: x\n", "with: ", "use: ", "\0",
    "\ud800", "\u2028", "\ufeff", "\r\n", "\U0001f642",
])
# fmt: on


def check(text: str) -> tuple[Diagnostic, ...]:
    loaded, found = diagnose(text, environ={"A": "*a: {"})
    assert (loaded is None) == any(each.severity == "error" for each in found)
    render_full(found, color=True, width=60)
    render_concise(found)
    render_json(found)
    return found


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_gives_diagnostics(text: str) -> None:
    assert check(text)


@given(st.lists(PIECES, max_size=30).map("".join))
@settings(max_examples=300, deadline=None)
def test_any_mixture_of_yaml_gives_diagnostics(text: str) -> None:
    assert check(text)


@given(st.lists(st.tuples(st.integers(0, len(SEED)), st.integers(0, 12), PIECES), min_size=1, max_size=4))
@settings(max_examples=400, deadline=None)
def test_any_damaged_file_gives_a_configuration_or_diagnostics(edits: list[tuple[int, int, str]]) -> None:
    text = SEED
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    check(text)


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_override_gives_a_configuration_or_diagnostics(key: str, value: str) -> None:
    diagnose("agent: {}\nprovider: {use: local}\n", overrides=[key, f"{key}={value}", f"session.{key}={value}"])
