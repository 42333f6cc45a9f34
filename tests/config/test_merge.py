"""Presets, extended files, the file itself and overrides lie over one another."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agentkit.config import Diagnostic, Loaded, diagnose
from agentkit.errors import PluginLoadError, UnknownNameError
from agentkit.presets import Preset, PresetResolver

MINIMAL = "agent: {}\nprovider: {use: local}\n"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return tmp_path / "agent.yaml"

    return write


def resolver(*presets: Preset) -> PresetResolver:
    def find(name: str) -> Preset:
        for preset in presets:
            if preset.name == name:
                return preset
        known = tuple(preset.name for preset in presets)
        raise UnknownNameError(f"no preset is called `{name}`", name=name, known=known)

    return find


def load(path: Path | str, *overrides: str, presets: PresetResolver | None = None) -> Loaded:
    loaded, found = diagnose(path, name="agent.yaml", overrides=overrides, environ={}, presets=presets or resolver())
    assert loaded is not None, found
    return loaded


def errors(path: Path | str, *overrides: str, presets: PresetResolver | None = None) -> tuple[Diagnostic, ...]:
    loaded, found = diagnose(path, name="agent.yaml", overrides=overrides, environ={}, presets=presets or resolver())
    assert loaded is None
    return found


def uses(loaded: Loaded) -> list[str]:
    return [getattr(tool, "use", "") for tool in loaded.config.tools]


def test_maps_merge_deeply_and_scalars_replace(write: Write) -> None:
    path = write(
        base=MINIMAL + "session: {voice: a, speed: 1.1, turn: {threshold: 0.1, silence_ms: 5}}\n",
        agent="extends: base.yaml\nsession: {voice: b, turn: {silence_ms: 6}}\n",
    )
    session = load(path).config.session
    assert (session.voice, session.speed) == ("b", 1.1)
    assert session.turn is not None
    assert (session.turn.threshold, session.turn.silence_ms) == (0.1, 6)


def test_lists_replace(write: Write) -> None:
    path = write(base=MINIMAL + "tools: [{use: a}]\n", agent="extends: base.yaml\ntools: [{use: b}]\n")
    assert uses(load(path)) == ["b"]


def test_inherit_puts_the_lower_list_in_its_place(write: Write) -> None:
    path = write(
        base=MINIMAL + "tools: [{use: a}, {use: b}]\n",
        agent="extends: base.yaml\ntools: [{use: x}, inherit, {use: y}]\n",
    )
    loaded = load(path)
    assert uses(loaded) == ["x", "a", "b", "y"]
    assert str(loaded.place("tools", 1, "use")) == "base.yaml:3:15"
    assert str(loaded.place("tools", 3, "use")) == "agent.yaml:2:34"


def test_inherit_with_nothing_below_adds_nothing() -> None:
    assert uses(load(MINIMAL + "tools: [inherit, {use: a}]\n")) == ["a"]


def test_a_quoted_inherit_is_a_text() -> None:
    (found,) = errors(MINIMAL + "tools: ['inherit']\n")
    assert found.code == "AK102"


def test_null_puts_the_default_back(write: Write) -> None:
    path = write(
        base=MINIMAL + "session: {voice: a}\ntools: [{use: a}]\n",
        agent="extends: base.yaml\nsession: {voice: null}\ntools: null\n",
    )
    config = load(path).config
    assert config.session.voice is None
    assert config.tools == ()


def test_a_null_below_does_not_hinder_a_map_above(write: Write) -> None:
    path = write(base=MINIMAL + "session:\n", agent="extends: base.yaml\nsession: {voice: a}\n")
    assert load(path).config.session.voice == "a"


def test_options_stay_behind_when_the_provider_changes(write: Write) -> None:
    path = write(
        base="agent: {}\nprovider: {use: openai, with: {model: m, api_key: '${UNSET}'}}\n",
        agent="extends: base.yaml\nprovider: {use: local}\n",
    )
    assert load(path).config.provider.options.given is False


def test_options_merge_when_the_provider_stays(write: Write) -> None:
    path = write(
        base="agent: {}\nprovider: {use: openai, with: {model: m, url: u}}\n",
        agent="extends: base.yaml\nprovider: {use: openai, with: {model: n}}\n",
    )
    entries = load(path).config.provider.options.node.entries
    assert {key: getattr(entry.value, "text", None) for key, entry in entries.items()} == {"model": "n", "url": "u"}


def test_another_turn_mode_drops_what_only_the_lower_one_has(write: Write) -> None:
    path = write(
        base=MINIMAL + "session: {turn: {mode: server_vad, silence_ms: 5, interrupt: false}}\n",
        agent="extends: base.yaml\nsession: {turn: {mode: semantic_vad}}\n",
    )
    turn = load(path).config.session.turn
    assert turn is not None
    assert (turn.silence_ms, turn.interrupt) == (None, False)


def test_an_error_in_an_extended_file_cites_that_file(write: Write) -> None:
    path = write(base=MINIMAL + "session: {voise: a}\n", agent="extends: base.yaml\nlimits: {trns: 1}\n")
    assert [each.place for each in errors(path)] == ["base.yaml:3:11", "agent.yaml:2:10"]


def test_a_value_that_is_replaced_is_not_checked(write: Write) -> None:
    path = write(base=MINIMAL + "session: {output: adio}\n", agent="extends: base.yaml\nsession: {output: text}\n")
    assert load(path).config.session.output == "text"


def test_presets_lie_below_extends_and_later_ones_win(write: Write) -> None:
    presets = resolver(
        Preset("one", "session: {voice: one, speed: 1, output: text}\n"),
        Preset("two", {"session": {"voice": "two", "speed": 1.2}}),
    )
    path = write(base=MINIMAL + "preset: [one, two]\nsession: {speed: 1.3}\n", agent="extends: base.yaml\n")
    session = load(path, presets=presets).config.session
    assert (session.voice, session.speed, session.output) == ("two", 1.3, "text")


def test_a_preset_of_the_file_replaces_that_of_the_base_unless_it_inherits(write: Write) -> None:
    presets = resolver(Preset("one", {"session": {"voice": "one"}}), Preset("two", {"session": {"speed": 1.2}}))
    base = MINIMAL + "preset: one\n"
    replaced = load(write(base=base, agent="extends: base.yaml\npreset: two\n"), presets=presets).config.session
    both = load(write(base=base, agent="extends: base.yaml\npreset: [inherit, two]\n"), presets=presets).config.session
    assert (replaced.voice, replaced.speed) == (None, 1.2)
    assert (both.voice, both.speed) == ("one", 1.2)


def test_an_override_can_name_the_preset() -> None:
    presets = resolver(Preset("one", {"session": {"voice": "one"}}))
    assert load(MINIMAL, "preset=one", presets=presets).config.session.voice == "one"


def test_a_preset_can_be_named_by_a_variable() -> None:
    presets = resolver(Preset("one", {"session": {"voice": "one"}}))
    assert load(MINIMAL + "preset: '${P:-one}'\n", presets=presets).config.session.voice == "one"


def test_an_error_in_a_preset_cites_it() -> None:
    presets = resolver(
        Preset("one", "session:\n  voise: x\n", owner="acme 1.2"), Preset("two", {"limits": {"trns": 1}})
    )
    found = errors(MINIMAL + "preset: [one, two]\n", presets=presets)
    assert [each.place for each in found] == ["preset one (acme 1.2):2:3", "preset two"]


@pytest.mark.parametrize(
    "data, code",
    [
        ("a: [", "AK001"),
        ("- a\n", "AK102"),
        ({"session": object()}, "AK203"),
        ({"extends": "x"}, "AK401"),
        ("preset: other\n", "AK401"),
        (Path("/nowhere/preset.yaml"), "AK204"),
    ],
)
def test_a_preset_that_cannot_be_used_is_an_error(data: str | dict[str, object] | Path, code: str) -> None:
    assert code in {each.code for each in errors(MINIMAL + "preset: p\n", presets=resolver(Preset("p", data)))}


def test_a_preset_of_a_package_may_name_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "prompt.md").write_text("Be brief.")
    (tmp_path / "preset.yaml").write_text("agent: {instructions: {file: prompt.md}}\n")
    presets = resolver(Preset("p", tmp_path / "preset.yaml"))
    assert load(MINIMAL + "preset: p\n", presets=presets).instructions == "Be brief."


def test_a_preset_that_is_no_file_names_no_files() -> None:
    presets = resolver(Preset("p", {"agent": {"instructions": {"file": "x.md"}}}))
    (found,) = errors(MINIMAL + "preset: p\n", presets=presets)
    assert (found.code, found.place) == ("AK204", "preset p")


def test_an_unknown_preset_gets_the_nearest_name() -> None:
    (found,) = errors("agent: {}\npreset: voise\n", presets=resolver(Preset("voice", "")))
    assert (found.code, found.line, found.column, found.hint) == ("AK201", 2, 9, "did you mean `voice`?")


def test_a_preset_whose_plugin_is_broken_is_an_error() -> None:
    def broken(name: str) -> Preset:
        raise PluginLoadError(f"{name} cannot be imported", hint="pip install it")

    (found,) = errors("agent: {}\npreset: p\n", presets=broken)
    assert (found.code, found.hint) == ("AK203", "pip install it")


def test_overrides_win_and_have_their_own_place() -> None:
    loaded = load(MINIMAL + "session: {voice: a}\n", "session.voice=b", "limits.turns=5", "tools=[{use: x}]")
    assert loaded.config.session.voice == "b"
    assert loaded.config.limits.turns == 5
    assert uses(loaded) == ["x"]
    assert str(loaded.place("session", "voice")) == "--set session.voice"


TWO = MINIMAL + "tools:\n  - {use: a, timeout: 9s}\n  - use: b\n"


def test_an_override_reaches_an_item_of_a_list() -> None:
    loaded = load(TWO, "tools[0].timeout=1s", "tools[1]={use: c}")
    assert uses(loaded) == ["a", "c"]
    assert [getattr(tool, "timeout", None) for tool in loaded.config.tools] == [1.0, None]
    assert str(loaded.place("tools", 0, "timeout")) == "--set tools[0].timeout"
    assert str(loaded.place("tools", 0)) == "agent.yaml:4:5"


def test_an_override_reaches_an_item_of_a_preset(write: Write) -> None:
    preset = resolver(Preset(name="p", data="tools: [{use: a}, {use: b}]\n"))
    text = "agent: {}\nprovider: {use: local}\npreset: p\n"
    assert uses(load(text, "tools[1].use=c", presets=preset)) == ["a", "c"]
    assert uses(load(text + "tools: [inherit, {use: x}]\n", "tools[2].use=y", presets=preset)) == ["a", "b", "y"]


@pytest.mark.parametrize(
    "override, message, hint",
    [
        ("tools[2].use=x", "there is no tools[2] to override", "it has tools[0] to tools[1]"),
        ("agent[0].name=x", "there is no agent[0] to override", "what is written there is no list"),
        ("middleware[0].use=x", "there is no middleware[0] to override", "nothing is written there"),
        ("agents.x.tools[0].use=x", "there is no agents.x.tools[0] to override", "nothing is written there"),
    ],
)
def test_an_item_that_is_not_there_cannot_be_overridden(override: str, message: str, hint: str) -> None:
    found = errors(TWO, override)[0]
    assert (found.code, found.message, found.hint) == ("AK011", message, hint)


@pytest.mark.parametrize(
    "override, said",
    [
        ("=x", "names no key"),
        ("a..b=1", "has an empty part in its key"),
        ("tools[x]=1", "has `tools[x]` in its key, which is no key"),
        ("tools[0=1", "has `tools[0` in its key, which is no key"),
        ("limits", "gives no value"),
    ],
)
def test_a_wrong_override_says_what_is_wrong_with_it(override: str, said: str) -> None:
    (found,) = errors(MINIMAL, override)
    assert found.message.endswith(f"` {said}")


def test_an_override_without_a_value_puts_the_default_back() -> None:
    assert load(MINIMAL + "session: {voice: a}\n", "session.voice=").config.session.voice is None


@pytest.mark.parametrize(
    "override, code",
    [
        ("session.voice", "AK011"),
        ("=x", "AK011"),
        ("session..voice=x", "AK011"),
        ("session.voise=x", "AK101"),
        ("session.speed=fast", "AK102"),
        ("session.voice=[a", "AK001"),
        ("session.voice=!x y", "AK005"),
        ("a." * 3000 + "b=1", "AK010"),
    ],
)
def test_a_wrong_override_is_cited_by_its_key(override: str, code: str) -> None:
    (found,) = errors(MINIMAL, override)
    assert (found.code, found.line) == (code, None)
    assert found.file == f"--set {override.partition('=')[0]}".rstrip()


def test_the_value_of_an_override_without_a_key_is_not_shown() -> None:
    assert "canary" not in repr(errors(MINIMAL, "=canary"))


def test_files_extend_each_other_five_deep(write: Write) -> None:
    files = {f"f{n}": f"extends: f{n + 1}.yaml\n" for n in range(1, 5)}
    path = write(agent="extends: f1.yaml\n", **files, f5=MINIMAL)
    assert load(path).config.provider.use == "local"


def test_a_sixth_file_is_too_deep(write: Write) -> None:
    files = {f"f{n}": f"extends: f{n + 1}.yaml\n" for n in range(1, 6)}
    (found,) = errors(write(agent="extends: f1.yaml\n", **files, f6=MINIMAL))
    assert (found.code, found.place) == ("AK206", "f5.yaml:1:10")


def test_a_loop_is_shown_as_a_chain(write: Write) -> None:
    (found,) = errors(write(agent="extends: a.yaml\n", a="extends: b.yaml\n", b="extends: a.yaml\n"))
    assert (found.code, found.place) == ("AK206", "b.yaml:1:10")
    assert "agent.yaml -> a.yaml -> b.yaml -> a.yaml" in found.message


def test_a_file_that_extends_itself_is_a_loop(write: Write) -> None:
    (found,) = errors(write(agent="extends: agent.yaml\n"))
    assert found.message.endswith("agent.yaml -> agent.yaml")


def test_two_bases_may_share_a_third(write: Write) -> None:
    path = write(
        agent="extends: [a.yaml, b.yaml]\n",
        a="extends: base.yaml\nsession: {voice: a}\n",
        b="extends: base.yaml\nsession: {speed: 1.1}\n",
        base=MINIMAL + "session: {voice: base, speed: 1.0}\n",
    )
    session = load(path).config.session
    assert (session.voice, session.speed) == ("a", 1.1)


def test_a_missing_base_is_the_only_problem_reported_for_it(write: Write) -> None:
    (found,) = errors(write(agent="extends: gone.yaml\nagent: {instructions: 'Hi {{who}}'}\n"))
    assert (found.code, found.line, found.column) == ("AK204", 1, 10)


def test_a_base_in_a_subfolder_is_relative_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "sub" / "b.yaml").write_text(MINIMAL)
    (tmp_path / "agent.yaml").write_text("extends: sub/a.yaml\n")
    assert str(load(tmp_path / "agent.yaml").place("provider", "use")) == "sub/b.yaml:2:17"


@pytest.mark.parametrize("target", ["../base.yaml", "sub/../../base.yaml"])
def test_a_base_outside_the_folder_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "base.yaml").write_text(MINIMAL)
    (tmp_path / "own" / "sub").mkdir(parents=True)
    (tmp_path / "own" / "agent.yaml").write_text(f"extends: {target}\n")
    (found,) = errors(tmp_path / "own" / "agent.yaml")
    assert (found.code, found.line, found.column) == ("AK205", 1, 10)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(MINIMAL)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "link.yaml").symlink_to(tmp_path / "base.yaml")
    (tmp_path / "own" / "agent.yaml").write_text("extends: link.yaml\n")
    (found,) = errors(tmp_path / "own" / "agent.yaml")
    assert found.code == "AK205"


def test_a_path_that_cannot_be_one_is_an_error() -> None:
    (found,) = errors('extends: "a\\0b"\n')
    assert found.code == "AK204"


def test_a_text_may_extend_a_file_of_its_directory(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(MINIMAL)
    loaded, found = diagnose("extends: base.yaml\n", name="<stdin>", environ={}, directory=tmp_path)
    assert loaded is not None, found
    assert str(loaded.place("provider", "use")) == "base.yaml:2:17"


def test_a_base_can_be_named_by_a_variable(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(MINIMAL)
    _, found = diagnose("extends: ${BASE}\n", environ={"BASE": "base.yaml"}, directory=tmp_path)
    assert found == ()


def test_a_base_named_by_a_missing_variable_is_the_only_problem() -> None:
    assert [each.code for each in errors("extends: ${BASE}\n")] == ["AK301"]
