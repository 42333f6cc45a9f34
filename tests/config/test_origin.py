"""What a configuration comes to, with where each value is from, and as YAML that reads as the same again."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from agentkit import Secret
from agentkit.config import load_config
from agentkit.config.diagnostics import Problems
from agentkit.config.loader import read_yaml
from agentkit.config.nodes import Source, from_value
from agentkit.config.origin import Branch, Leaf, Origin, effective, said, to_data
from agentkit.config.walk import to_python
from agentkit.config.written import to_yaml
from agentkit.masking import Masker
from agentkit.registry import Kind

BASE = "agent: {}\nprovider: {use: local}\n"


class Options(Struct, frozen=True, kw_only=True):
    """The options of everything in these tests."""

    key: Secret | None = None
    count: int = 3
    label: str = "x"
    headers: dict[str, str] = {}
    at: str = "input"


def config_of(kind: Kind, name: str) -> type[Struct] | None:
    return Options if kind in ("tools", "middleware") and name != "plain" else None


def shown(text: str, **settings: Any) -> Branch:
    environ = settings.setdefault("environ", {})
    loaded = load_config(text, name="agent.yaml", **settings)
    return effective(loaded, config_of, environ=environ)


def at(branch: Branch, *path: str | int) -> Any:
    found: Any = branch
    for part in path:
        found = dict(found.items)[part]
    return found


def yaml(branch: Branch) -> str:
    return "".join(f"{line.text}\n" for line in to_yaml(branch))


def test_what_a_file_says_is_shown_with_its_line() -> None:
    leaf = at(shown(BASE + "session: {voice: marin}\n"), "session", "voice")
    assert (leaf.value, str(leaf.origin)) == ("marin", "agent.yaml:3")


def test_what_a_preset_brings_names_the_preset_and_the_preset_itself_is_gone() -> None:
    branch = shown("preset: voice\nagent: {}\nprovider: {use: local}\n")
    assert str(at(branch, "session", "output").origin) == "preset voice"
    assert "preset" not in dict(branch.items)


def test_an_override_is_shown_as_one() -> None:
    leaf = at(shown(BASE, overrides=["session.turn.silence_ms=650"]), "session", "turn", "silence_ms")
    assert (leaf.value, str(leaf.origin)) == (650, "--set")


def test_a_variable_is_named_with_the_line_that_asks_for_it() -> None:
    text = BASE + 'agents: {b: {voice: "${VOICE}", greeting: "hi ${WHO:-you}"}}\n'
    branch = shown(text, environ={"VOICE": "marin"})
    assert str(at(branch, "agents", "b", "voice").origin) == "$VOICE (agent.yaml:3)"
    assert str(at(branch, "agents", "b", "greeting").origin) == "$WHO unset (agent.yaml:3)"


def test_defaults_are_there_and_are_left_out_where_only_what_is_said_counts() -> None:
    branch = shown(BASE)
    assert str(at(branch, "limits", "on_limit").origin) == "default"
    assert to_data(said(branch)) == {"agent": {}, "provider": {"use": "local"}}


def test_null_puts_the_default_back_and_says_where() -> None:
    branch = shown(BASE + "limits: {on_limit: null}\nsession: {voice: null}\n")
    assert str(at(branch, "limits", "on_limit").origin) == "default (null at agent.yaml:3)"
    assert at(branch, "session", "voice").value is None


def test_what_files_below_say_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "base.yaml").write_text(BASE + "tools: [{python: ./tools.py:add}]\n")
    path = tmp_path / "agent.yaml"
    path.write_text("extends: parts/base.yaml\ntools: [inherit, {use: plain}]\n")
    branch = effective(load_config(path, name="agent.yaml"), config_of, environ={})
    tool = at(branch, "tools", 0, "python")
    assert (tool.value, tool.origin.where) == ("./parts/tools.py:add", "parts/base.yaml:3")
    assert at(branch, "tools", 1, "use").origin.where == "agent.yaml:2"


def test_the_options_of_a_plugin_are_shown_by_its_own_class() -> None:
    branch = shown(
        BASE + 'tools: [{use: box, with: {key: "${K}", count: "${N}", label: "${N}"}}]\n',
        environ={"K": "a-b-c-d", "N": "8"},
    )
    options = at(branch, "tools", 0, "with")
    assert to_data(options) == {"key": "***", "count": 8, "label": "8", "at": "input"}
    assert 'label: "8"' in yaml(branch)
    assert "count: 8" in yaml(branch)


def test_an_option_that_stands_beside_a_guard_is_not_given_twice() -> None:
    guard = at(shown(BASE + "guardrails: [{use: box, at: output}]\n"), "guardrails", 0)
    assert to_data(guard) == {"use": "box", "at": "output", "when": True, "with": {"count": 3, "label": "x"}}


@pytest.mark.parametrize(
    "line",
    [
        'tools: [{use: box, with: {key: "hush-hush"}}]',
        'tools: [{use: box, with: {headers: {Authorization: "hush-hush"}}}]',
        'tools: [{use: box, with: {label: "hush-hush", key: "hush-hush"}}]',
        'tools: [{use: box, with: {label: "${MY_TOKEN}"}}]',
        'tools: [{use: box, with: {label: "https://me:hush-hush@example.org/x"}}]',
        'tools: [{use: box, with: {label: "wss://example.org/x?api_key=hush-hush"}}]',
        'tools: [{hosted_mcp: {label: a, url: "https://example.org", authorization: hush-hush}}]',
    ],
)
def test_a_secret_is_masked_however_it_is_written(line: str) -> None:
    branch = shown(BASE + line + "\n", environ={"MY_TOKEN": "hush-hush"})
    assert "hush-hush" not in yaml(branch) + str(to_data(branch))
    assert "***" in yaml(branch)


def test_a_masker_says_what_is_secret_besides() -> None:
    loaded = load_config(BASE + "session: {voice: classified}\n")
    branch = effective(loaded, config_of, environ={}, masker=Masker({"classified"}, {}))
    assert at(branch, "session", "voice").value == "***"


def test_what_is_written_reads_as_the_same_configuration() -> None:
    text = BASE + (
        'session: {max_output_tokens: inf, tool_choice: {tool: now}, speed: 1.25}\nlimits: {turns: "${N}"}\n'
        'tools: [{use: box, when: false, timeout: 5s, secret: [a, "b c", "inherit"]}]\n'
        'agents: {b: {instructions: "line one\\nline two\\n", greeting: "costs $${x} or $5", handoff: []}}\n'
    )
    branch = said(shown(text, environ={"N": "7"}))
    again = said(shown(yaml(branch)))
    assert to_data(again) == to_data(branch)
    assert yaml(again) == yaml(branch)


def _branch(value: object) -> Branch:
    origin = Origin(kind="file")

    def made(each: object) -> Branch | Leaf:
        if isinstance(each, dict):
            return Branch(items=tuple((key, made(item)) for key, item in each.items()), origin=origin)
        if isinstance(each, list):
            return Branch(items=tuple((i, made(item)) for i, item in enumerate(each)), origin=origin, is_list=True)
        if isinstance(each, str):
            return Leaf(value=each, origin=origin)
        assert each is None or isinstance(each, bool | int | float)
        node = from_value(each, Source("x"))
        return Leaf(value=each, origin=origin, written=getattr(node, "text", ""))

    found = made(value)
    assert isinstance(found, Branch)
    return found


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    [
        "a\nb\n",
        "a\n\n",
        " a\n b",
        "a: b",
        "- x",
        "#",
        "yes",
        "010",
        "1e3",
        "~",
        "x #y",
        "{a}",
        "[",
        "*a",
        "a\t\n b\n",
        "\n",
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_TEXTS, _VALUES, min_size=1, max_size=4))
def test_every_text_and_nesting_is_written_so_that_it_reads_as_itself(value: dict[str, object]) -> None:
    problems = Problems()
    node = read_yaml(Source("<text>", yaml(_branch(value))), problems)
    assert problems.finish() == ()
    assert node is not None
    # Dollars are doubled where they would begin a variable, which is put in after reading.
    assert _undoubled(to_python(node)) == _undoubled(value)


def _undoubled(value: object) -> object:
    if isinstance(value, dict):
        return {key: _undoubled(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_undoubled(each) for each in value]
    return value.replace("$$", "$") if isinstance(value, str) else value
